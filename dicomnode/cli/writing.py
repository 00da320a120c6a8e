"""Files for the user: each is there whole or not at all; a place that takes none is told before the work."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Final

from dicomnode.cli.options import existing_parent, no_folder_because
from dicomnode.faults import FILE_NOT_WRITTEN, NodeError
from dicomnode.store import SharedDisk, write_whole

if TYPE_CHECKING:
    from pathlib import Path

_TEMPORARY: Final = ".dicomnode-"


def require_writable(folder: Path) -> None:
    """Raise NodeError(FILE_NOT_WRITTEN) unless files can be written into a folder, which may have to be made.

    A file is written and removed: rights alone do not tell of a disk that is full, read-only or another's.
    Nothing is left behind, and the folder is not made yet.
    """
    why_not = no_folder_because(folder)
    if why_not is not None:
        raise NodeError(FILE_NOT_WRITTEN, path=folder, error=why_not)
    there = existing_parent(folder)
    try:
        fd, name = tempfile.mkstemp(dir=there, prefix=_TEMPORARY)
        try:
            os.write(fd, b"\0")
            os.fsync(fd)
        finally:
            os.close(fd)
            os.unlink(name)  # noqa: PTH108  as mkstemp names it
    except OSError as error:
        why = f"a file in {there} could not be written ({error.strerror or error})"
        raise NodeError(FILE_NOT_WRITTEN, path=folder, error=why) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file, which is there whole or not at all; the folder is made if it is missing.

    What had the name before stays until then. Raises NodeError(FILE_NOT_WRITTEN), and leaves no part behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(SharedDisk(), path, content)
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or error) from error
