"""A file that is there whole or not at all, although others look at its name at any moment.

It is made under a hidden name that ends with `TEMPORARY_SUFFIX`. A crash may leave that; an error does not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dicomnode.store.disk import Disk

TEMPORARY_SUFFIX: Final = ".tmp"
_CHUNK: Final = 1 << 20


def write_whole(disk: Disk, path: Path, content: bytes) -> None:
    """Write a file into an existing folder, durably; what had its name before is gone. Raises OSError.

    After a crash there is what was there before, or the whole of the new one. On a `SharedDisk` the name may
    not be durable yet when this returns: some file systems of other machines flush no folder.
    """
    with _written(disk, path, content) as temporary:
        disk.rename(temporary, path)
    disk.fsync_dir(path.parent)


def write_first(disk: Disk, path: Path, content: bytes) -> bool:
    """Write a file under a name that nobody has; False if somebody was faster. Raises OSError.

    It is durable when this returns, whoever made it.
    """
    with _written(disk, path, content) as temporary:
        try:
            disk.link(temporary, path)
        except FileExistsError:
            was_first = False
        else:
            was_first = True
        disk.unlink(temporary)
    disk.fsync_dir(path.parent)
    return was_first


@contextmanager
def _written(disk: Disk, path: Path, content: bytes) -> Iterator[Path]:
    """Give a flushed file that has no name of its own yet; the caller gives it one, or it goes."""
    # The process is part of the name: two may write at once, and a left-over of a dead one is in nobody's way
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    fd = disk.create(temporary)
    try:
        try:
            for start in range(0, len(content), _CHUNK):
                disk.write(fd, (memoryview(content)[start : start + _CHUNK],))
            disk.fdatasync(fd)
        finally:
            disk.close(fd)
        yield temporary
    except BaseException:
        with suppress(OSError):
            disk.unlink(temporary)
        raise
