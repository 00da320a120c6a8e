"""A package's folder, which appears with all its files or does not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_folder(folder: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Give a folder beside the one that is meant, with the files on disk; what is left of it goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        staged.chmod(0o755)  # the user of the service reads it
        for name, content in files.items():
            with (staged / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            (staged / name).chmod(0o644)
        _sync(staged)
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def put_in_place(staged: Path, folder: Path) -> None:
    """Rename the folder; one that lies there steps aside first, and back if that fails."""
    if not os.path.lexists(folder):
        staged.rename(folder)
        _sync(folder.parent)
        return
    aside = staged.with_name(f"{staged.name}.old")
    folder.rename(aside)
    try:
        staged.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
