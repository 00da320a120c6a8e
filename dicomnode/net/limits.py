"""What is taken from a peer at most, counted as it comes: bytes of a message, instances, bytes, seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dicomnode.faults import FETCH_LATE, FETCH_TOO_LARGE, NodeError

_GB: Final = 1e9
_MB: Final = 1e6
_WEIGH_S: Final = 1.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimits:
    """message_bytes: of one message that a peer sends, bytes: of all of them by one association.

    The defaults are for answers: an identifier has some hundred bytes, the longest list of them 50,000.
    """

    message_bytes: int = 1_000_000
    bytes: int = 64_000_000


class Incoming:
    """Counts what comes by an association; pynetdicom gathers a message whole before it gives it away.

    over: why no more was taken, in words; "" while all is well.
    """

    def __init__(self, limits: AnswerLimits) -> None:
        self.limits = limits
        self.over = ""
        self._message = self._all = 0

    def count(self, bytes_: int) -> None:
        """Count what comes next; raises OSError, which ends the association, when it is too much."""
        self._message += bytes_
        self._all += bytes_
        if self._message > self.limits.message_bytes:
            self.refuse(f"a message of it is longer than {self.limits.message_bytes / _MB:g} MB")
        if self._all > self.limits.bytes:
            self.refuse(f"it sent more than {self.limits.bytes / _MB:g} MB")

    def message_ended(self) -> None:
        """Take note that a message is whole."""
        self._message = 0

    def refuse(self, why: str) -> None:
        """Raise OSError, and keep why."""
        self.over = why
        raise OSError(why)


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
        self.check_bytes(0)

    def check_bytes(self, more: int) -> None:
        """Raise NodeError(FETCH_TOO_LARGE) when so many further bytes are too many."""
        if self.bytes + more > self.limits.bytes:
            limit = f"more than {self.limits.bytes / _GB:g} GB"
            raise NodeError(FETCH_TOO_LARGE, name=self.name, limit=limit)

    @contextmanager
    def watching(self, drop: Callable[[], None], weigh: Callable[[], int] | None = None) -> Iterator[None]:
        """Call `drop` when the time is over, and say FETCH_LATE instead of what that leads to.

        weigh: how many bytes came meanwhile by another way, and are not counted yet; asked each second, and
        when they are too many, FETCH_TOO_LARGE is said in the same way.
        """
        ended = threading.Event()
        over: list[NodeError] = []

        def watch() -> None:
            while not over and not ended.wait(self.left_s if weigh is None else min(self.left_s, _WEIGH_S)):
                try:
                    self.check_time()
                    self.check_bytes(0 if weigh is None else weigh())
                except NodeError as error:
                    over.append(error)
                    drop()

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        except NodeError as error:
            if over:
                raise over[0] from error
            raise
        finally:
            ended.set()
