"""The reserve: free space below which nothing more is accepted, so that the node can still write and tidy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dicomnode.faults import STORE_FULL, STORE_WRITE_FAILED, NodeError
from dicomnode.store.disk import Disk

_GB: Final = 1e9
_CACHED_S: Final = 1.0  # at 1 GB/s a second costs less than the reserve holds


class Reserve:
    """Free space against the reserve; asks the kernel at most once a second."""

    def __init__(
        self, disk: Disk, root: Path, reserve_gb: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._disk = disk
        self._root = root
        self._reserve_gb = reserve_gb
        self._monotonic = monotonic
        self._read: tuple[float, float] | None = (
            None  # when, GB free; one assignment, so threads may share it
        )

    def free_gb(self) -> float:
        """GB (10⁹ bytes) free, at most a second old."""
        now = self._monotonic()
        read = self._read
        if read is None or now - read[0] > _CACHED_S:
            try:
                read = (now, self._disk.free_bytes(self._root) / _GB)
            except OSError as error:
                raise NodeError(STORE_WRITE_FAILED, path=self._root, error=error) from error
            self._read = read
        return read[1]

    def check(self) -> None:
        """Raise NodeError(STORE_FULL) when less than the reserve is free."""
        free_gb = self.free_gb()
        if free_gb < self._reserve_gb:
            raise NodeError(STORE_FULL, path=self._root, free_gb=free_gb, reserve_gb=self._reserve_gb)
