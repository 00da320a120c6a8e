"""What is taken from a peer at most, counted as it comes: instances, bytes, seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dicomnode.faults import FETCH_LATE, FETCH_TOO_LARGE, NodeError

_GB: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """instances, bytes: of one fetch; seconds: for all of it; object_bytes: of one instance."""

    instances: int = 5000
    bytes: int = 4_000_000_000
    seconds: float = 600.0
    object_bytes: int = 4_000_000_000

    def __post_init__(self) -> None:
        for name in ("instances", "bytes", "seconds", "object_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"FetchLimits.{name} must be > 0, got {getattr(self, name)!r}")


class Meter:
    """Counts what one fetch takes, from the moment that it is made. name: of the peer, for the reasons."""

    def __init__(self, name: str, limits: FetchLimits) -> None:
        self.name, self.limits = name, limits
        self.instances = 0
        self.bytes = 0
        self._end = time.monotonic() + limits.seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 when none are."""
        return max(0.0, self._end - time.monotonic())

    def check_time(self) -> None:
        """Raise NodeError(FETCH_LATE) when no time is left."""
        if not self.left_s:
            raise NodeError(FETCH_LATE, name=self.name, seconds=self.limits.seconds)

    def check_instances(self, wanted: int) -> None:
        """Raise NodeError(FETCH_TOO_LARGE) when so many further instances are too many."""
        if self.instances + wanted > self.limits.instances:
            limit = f"{wanted} images, {self.limits.instances} is the limit of one fetch"
            raise NodeError(FETCH_TOO_LARGE, name=self.name, limit=limit)

    def count(self, instances: int, bytes_: int) -> None:
        """Count what came; raises NodeError FETCH_TOO_LARGE or FETCH_LATE."""
        self.check_time()
        self.check_instances(instances)
        self.instances += instances
        self.bytes += bytes_
        if self.bytes > self.limits.bytes:
            limit = f"more than {self.limits.bytes / _GB:g} GB"
            raise NodeError(FETCH_TOO_LARGE, name=self.name, limit=limit)

    @contextmanager
    def watching(self, drop: Callable[[], None]) -> Iterator[None]:
        """Call `drop` when the time is over, and say FETCH_LATE instead of what that leads to."""
        late = threading.Event()

        def end() -> None:
            late.set()
            drop()

        timer = threading.Timer(self.left_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except NodeError as error:
            if late.is_set():
                raise NodeError(FETCH_LATE, name=self.name, seconds=self.limits.seconds) from error
            raise
        finally:
            timer.cancel()
