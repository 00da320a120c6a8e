"""Buffers that are let go of when a stretch of work ends, however it ends."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, TypeVar


class Closable(Protocol):
    """A buffer, or what holds some: a second close does nothing."""

    def close(self) -> None:
        """Let go."""


C = TypeVar("C", bound=Closable)


class Held:
    """Closes what it keeps when its `with` ends, the latest first; what was closed before is left alone."""

    def __init__(self) -> None:
        self._kept: dict[int, Closable] = {}

    def keep(self, one: C) -> C:
        """Close it in the end; return it."""
        self._kept[id(one)] = one
        return one

    def release(self, one: C) -> C:
        """Keep it no longer: it is the caller's to close; return it."""
        self._kept.pop(id(one), None)
        return one

    def drop(self, one: Closable) -> None:
        """Close it now."""
        self.release(one).close()

    @property
    def is_empty(self) -> bool:
        """Whether it keeps nothing."""
        return not self._kept

    def close(self) -> None:
        """Close all."""
        while self._kept:
            self._kept.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
