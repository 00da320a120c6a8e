"""No more bytes in a second than a destination is to get: what is too fast waits for its turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

_MB: Final = 1e6
_PIECES_A_SECOND: Final = 4  # a peer that waits for the rest must not take us for dead
_SHORTEST: Final = 1024


@dataclass(slots=True)
class Rate:
    """A bucket that fills with `mb_s` MB a second and holds one piece of at most a quarter of a second.

    clock, wait: seconds. One thread uses it. Raises ValueError for a rate that is not above 0.
    """

    mb_s: float
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep
    _free_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not self.mb_s > 0:
            raise ValueError(f"Rate.mb_s must be > 0 MB/s, got {self.mb_s!r}")

    @property
    def longest(self) -> int:
        """Longest piece that is to be sent at once, in bytes; even, as fragments of a data set are."""
        return max(_SHORTEST, int(self.mb_s * _MB / _PIECES_A_SECOND)) & ~1

    def take(self, count: int) -> None:
        """Wait until `count` further bytes may go."""
        now = self.clock()
        if now < self._free_at:
            self.wait(self._free_at - now)
        self._free_at = max(now, self._free_at) + count / (self.mb_s * _MB)

    def seconds(self, count: int) -> float:
        """How long so many bytes take at least."""
        return count / (self.mb_s * _MB)


class Paced:
    """A file to be read and sent, piece by piece, no faster than its rate."""

    def __init__(self, file: BinaryIO, rate: Rate) -> None:
        self._file, self._rate = file, rate

    def read(self, count: int) -> bytes:
        """Give the next piece, of `count` bytes at most, when its time has come."""
        piece = self._file.read(min(count, self._rate.longest))
        self._rate.take(len(piece))
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to another place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say where it is."""
        return self._file.tell()
