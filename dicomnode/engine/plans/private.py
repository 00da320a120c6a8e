"""A folder that nobody but the service's user may read or write. Plans are code: it is looked at each time.

"Serialized TensorRT engines are executable artifacts" (TensorRT 11.4, Security Considerations): who can put
a file here runs code in the node.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from pathlib import Path
from typing import Final

from dicomnode.faults import PLANS_UNSAFE, NodeError
from dicomnode.store import Disk, require_local

FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OF_OTHERS: Final = 0o077


class PrivateDisk(Disk):
    """The real disk; what is made on it is for this user alone."""

    file_mode = _FILE_MODE
    folder_mode = FOLDER_MODE


class UntrustedFileError(Exception):
    """A file is not one that this user made for itself alone; the text says why."""


def make_private(disk: Disk, folder: Path) -> None:
    """Make the folder where it is missing, and check it.

    Raises NodeError: PLANS_UNSAFE when it, or the way to it, is open to others; STORE_NOT_LOCAL.
    """
    missing = list(itertools.takewhile(lambda path: not os.path.lexists(path), (folder, *folder.parents)))
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was faster
            disk.mkdir(path)
        disk.fsync_dir(path.parent)
    require_local(folder)
    require_private(folder)


def require_private(folder: Path) -> None:
    """Raise NodeError(PLANS_UNSAFE) when others than this user could put something into the folder."""
    found = folder.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise NodeError(PLANS_UNSAFE, path=folder, reason="it is a link to another place")
    if not stat.S_ISDIR(found.st_mode):
        raise NodeError(PLANS_UNSAFE, path=folder, reason="it is no folder")
    if found.st_uid != os.geteuid():
        reason = f"it belongs to user {found.st_uid}, the node runs as user {os.geteuid()}"
        raise NodeError(PLANS_UNSAFE, path=folder, reason=reason)
    if found.st_mode & _OF_OTHERS:
        reason = f"its mode is {stat.S_IMODE(found.st_mode):04o}, not {FOLDER_MODE:04o}"
        raise NodeError(PLANS_UNSAFE, path=folder, reason=reason)
    for above in {*folder.absolute().parents, *folder.resolve().parents}:
        mode = above.stat().st_mode
        # In a folder with the sticky bit (/tmp) nobody can put another one in the place of ours
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise NodeError(PLANS_UNSAFE, path=folder, reason=f"everybody may write to {above}")


def read_private(path: Path, largest: int) -> bytes:
    """Read a file that must be this user's own, regular, and nobody else's.

    Raises UntrustedFileError, and OSError (FileNotFoundError: there is none). What is checked is what is
    read: the checks are made on the open file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise UntrustedFileError("it is a link to another place") from error
        raise
    with open(fd, "rb") as file:  # noqa: PTH123  a descriptor, not a path
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise UntrustedFileError("it is no regular file")
        if found.st_uid != os.geteuid():
            raise UntrustedFileError(f"it belongs to user {found.st_uid}, not to {os.geteuid()}")
        if found.st_mode & _OF_OTHERS:
            raise UntrustedFileError(f"its mode is {stat.S_IMODE(found.st_mode):04o}, not {_FILE_MODE:04o}")
        if found.st_nlink != 1:
            raise UntrustedFileError(f"it has {found.st_nlink} names")
        if found.st_size > largest:
            raise UntrustedFileError(f"it has {found.st_size} bytes, more than {largest}")
        return file.read()
