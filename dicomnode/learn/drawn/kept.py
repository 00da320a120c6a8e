"""Arrays that are kept as one file: there whole or not at all, and made again where they are damaged."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import RUN_DIFFERS, RUN_NOT_WRITTEN, NodeError

DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What reading raises where nothing is kept, or half of something, or what another form has."""

_FORM: Final = "form"

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[Kept]):
    """A folder of what is drawn once. read: None where nothing is kept; write: NodeError(RUN_NOT_WRITTEN).

    ending: of each name, with the form of what is kept: what has another one is made again.
    """

    folder: Path
    ending: str
    read: Callable[[Path], Kept | None]
    write: Callable[[Kept, Path], None]

    def place(self, name: object) -> Path:
        """Where something is kept, or would be."""
        return self.folder / f"{name}{self.ending}"

    def has(self, name: object) -> bool:
        """Whether it is there, and whole."""
        return self.read(self.place(name)) is not None

    def keep(self, name: object, made: Callable[[], Kept]) -> Path:
        """Make it unless it is there; return where. NodeError(RUN_NOT_WRITTEN)."""
        if not self.has(name):
            self.write(made(), self.place(name))
        return self.place(name)


def taken(read: Callable[[Path], Kept | None], path: Path) -> Kept:
    """Read what is kept. NodeError as `there`."""
    return there(read(path), path)


def there(found: Kept | None, path: Path) -> Kept:
    """Return what was read; NodeError(RUN_DIFFERS) where it is gone: nothing is left out in silence."""
    if found is None:
        raise NodeError(RUN_DIFFERS, run=path.parent, what=f"{path.name} is gone, or damaged")
    return found


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep arrays by name as one file. Raises NodeError(RUN_NOT_WRITTEN), and leaves no part behind."""
    staged: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            staged = Path(file.name)
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError as error:
        if staged is not None:
            staged.unlink(missing_ok=True)
        raise NodeError(RUN_NOT_WRITTEN, path=path, error=error.strerror or str(error)) from error


def read_arrays(path: Path) -> Mapping[str, NDArray[Any]] | None:
    """Return arrays that are kept; None where there are none, or half of them."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except DAMAGED:
        return None


def write_formed(path: Path, form: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep arrays as one file of a form: what is read under another is made again. As `write_arrays`."""
    write_arrays(path, {_FORM: np.array(form), **arrays})


def read_formed(path: Path, form: str, made_of: Callable[[Mapping[str, NDArray[Any]]], Kept]) -> Kept | None:
    """Return what is made of kept arrays; None where there are none of this form, or damaged ones."""
    kept = read_arrays(path)
    if kept is None or str(kept.get(_FORM)) != form:
        return None
    try:
        return made_of(kept)
    except DAMAGED:
        return None


def sweep(folder: Path) -> None:
    """Remove what a training left half made when it was killed: all that is hidden there.

    Whoever still writes there is what that one left behind, and may fail.
    """
    for path in folder.glob(".*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # what stays there is in nobody's way
                path.unlink()
