"""Locks between processes: the kernel lets go of them when a process ends, however it ends (flock(2))."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_MODE = 0o600


class Held:
    """A lock that is held until it is closed, or its process ends."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def hold(path: Path, *, exclusive: bool) -> Held:
    """Wait for the lock: alone, or together with others that do not want it alone.

    The file stays when the lock is let go: were it removed, two could hold the lock of one name.
    """
    fd = _open(path)
    fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    return Held(fd)


def hold_unless_used(path: Path) -> Held | None:
    """Take the lock alone if nobody has it; None when somebody has."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return Held(fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
