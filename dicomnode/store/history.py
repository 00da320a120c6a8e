"""History: what an instance was before it was corrected. Nothing here is ever changed or taken away.

`history/<study>/<instance>-<number>.dcm`, names as in `studies/`, numbers from 1 in the order in which they
were replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dicomnode.store.disk import Disk
from dicomnode.store.layout import HISTORY, ensure_folder
from dicomnode.store.seal import read_seal
from dicomnode.store.whole import TEMPORARY_SUFFIX

_SUFFIX: Final = ".dcm"

Mark = tuple[str, int]
"""Digest and size of a file: which of several of one SOP Instance UID it is."""


def before(root: Path, target: Path) -> list[Path]:
    """What the instance at `target` was, the oldest first."""
    found = (root / HISTORY / target.parent.name).glob(f"{target.stem}-*{_SUFFIX}")
    return sorted(found, key=lambda path: int(path.stem.rpartition("-")[2]))


def replace_instance(disk: Disk, root: Path, received: Path, target: Path) -> Path:
    """Let the received file take the place of the instance at `target`; give where that is kept.

    What was there has a durable name in the history before it loses the one in its study; that the new one
    has its name there is durable after a flush of the study's folder. After a crash at any step, doing it
    again ends the same. Raises OSError.
    """
    kept = _keep(disk, root, target)
    temporary = target.with_name(f".{target.stem}{TEMPORARY_SUFFIX}")
    try:
        disk.link(received, temporary)
    except FileExistsError:  # of one who died before the next line
        disk.unlink(temporary)
        disk.link(received, temporary)
    disk.rename(temporary, target)
    return kept


def _keep(disk: Disk, root: Path, target: Path) -> Path:
    folder = root / HISTORY / target.parent.name
    ensure_folder(disk, folder)
    earlier = before(root, target)
    if earlier and mark(earlier[-1]) == mark(target):
        kept = earlier[-1]  # kept before a crash
    else:
        number = int(earlier[-1].stem.rpartition("-")[2]) + 1 if earlier else 1
        kept = folder / f"{target.stem}-{number}{_SUFFIX}"
        disk.link(target, kept)
    disk.fsync_dir(folder)
    disk.fsync_dir(folder.parent)
    return kept


def mark(path: Path) -> Mark | None:
    """The mark of a file; None for one whose seal is lost. Raises OSError."""
    sealed = read_seal(path)
    return None if sealed is None else (sealed.digest, sealed.size)
