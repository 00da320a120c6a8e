"""Every step by which the store changes the disk goes through here, one method a step.

The crash tests put a double in its place that cuts the power at step n with any subset of what was not
flushed. So there is no cleverness here: each method is one step, and raises OSError as the kernel gives it.
Reading needs no double and does not go through here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

Chunk = bytes | bytearray | memoryview

# IOV_MAX of Linux: more pieces in one writev are an error
_IOV_MAX: Final = 1024
# fsync(2), open(2) of a folder that cannot be flushed (SMB, FUSE, some NFS), or that may be written and not
# be read. EIO, ENOSPC and the like are not among them: there the disk has failed
_NO_FLUSH: Final = frozenset({errno.EINVAL, errno.EACCES, errno.ENOTSUP})


class Disk:
    """The real disk. What is made on it has these modes, less the umask."""

    file_mode: int = 0o640
    folder_mode: int = 0o750

    def create(self, path: Path) -> int:
        """Make an empty file and open it for writing; FileExistsError if there is something of that name."""
        return os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, self.file_mode
        )

    def open(self, path: Path) -> int:
        """Open an existing file for writing."""
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def write(self, fd: int, chunks: Sequence[Chunk]) -> None:
        """Append all of the chunks: short writes are continued."""
        left = [memoryview(chunk).cast("B") for chunk in chunks if len(chunk)]
        while left:
            done = os.writev(fd, left[:_IOV_MAX])
            while left and done >= len(left[0]):
                done -= len(left.pop(0))
            if done:
                left[0] = left[0][done:]

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        """Write `data` at `offset`; it must be short enough to be written at once."""
        done = os.pwrite(fd, data, offset)
        if done != len(data):
            raise OSError(f"only {done} of {len(data)} bytes were written")

    def fdatasync(self, fd: int) -> None:
        """Flush content and size of the file. An error is final: never call it again for this file."""
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        """Close the file; an error counts as a write error."""
        os.close(fd)

    def mkdir(self, path: Path) -> None:
        """Make a folder; FileExistsError if there is something of that name."""
        path.mkdir(mode=self.folder_mode)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name; what had that name is gone."""
        os.rename(old, new)  # noqa: PTH104  plain system calls, one a step

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name; FileExistsError if there is something of that name."""
        os.link(old, new)

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        os.unlink(path)  # noqa: PTH108

    def fsync_dir(self, path: Path) -> None:
        """Make the names in a folder durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path) -> int:
        """Bytes that a process without privileges may still write on the disk that holds `path`."""
        space = os.statvfs(path)
        return space.f_bavail * space.f_frsize


class SharedDisk(Disk):
    """The real disk for files that their user gives to others: as the umask says.

    They may lie in a folder of another machine, whose file system has no way to flush a folder: it flushes
    names when it is asked to change them, or as it likes. The store's own folders must be flushed.
    """

    file_mode = 0o666
    folder_mode = 0o777

    def fsync_dir(self, path: Path) -> None:
        """Make the names in a folder durable, where its file system can."""
        try:
            super().fsync_dir(path)
        except OSError as error:
            if error.errno not in _NO_FLUSH:
                raise
