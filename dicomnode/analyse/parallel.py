"""Several cores for one volume: work that falls into parts which know nothing of each other.

numpy and scipy let go of the interpreter in their loops, so threads are enough. How the work is cut never
depends on how many threads there are, and each part is computed as it would be alone: the result is the
same bit for bit on any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeVar

from dicomnode.device import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_AT_MOST: Final = 8  # what is done here is bound by memory: more threads wait for each other


@dataclass(frozen=True, slots=True)
class _Team:
    """The threads of a stretch of work: this one, and those of the pool."""

    threads: int
    pool: ThreadPoolExecutor | None


_team: ContextVar[_Team | None] = ContextVar("team", default=None)


@contextmanager
def cores(threads: int = 0) -> Iterator[None]:
    """Let `each` use so many threads within the block; 0: all that this process may use.

    The threads are started once for the block. A block within a block uses the threads of the outer one.
    """
    if _team.get() is not None:
        yield
        return
    allowed = min(usable_cores(), _AT_MOST)
    several = min(threads or allowed, allowed)
    pool = ThreadPoolExecutor(several - 1, thread_name_prefix="volume") if several > 1 else None
    token = _team.set(_Team(several, pool))
    try:
        yield
    finally:
        _team.reset(token)
        if pool is not None:
            pool.shutdown()


def each(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[R]:
    """Do `work` on each part and give the results in their order; what it raises, is raised here.

    This thread works as well, so a part that itself calls `each`, or a pool that is busy, only makes it
    slower. Outside of `cores` it is done by this thread alone.
    """
    team = _team.get()
    if team is None or team.pool is None or len(parts) < 2:
        yield from map(work, parts)
        return
    job = _Job(work, parts)
    helpers = [team.pool.submit(job.all) for _ in range(min(team.threads, len(parts)) - 1)]
    try:
        given = 0
        while job.one():
            while given in job.results:
                yield job.results.pop(given)
                given += 1
    finally:
        job.stop()
        _wait(helpers)
    for index in range(given, len(parts)):
        yield job.results.pop(index)


def both(first: Callable[[], T], second: Callable[[], R]) -> tuple[T, R]:
    """Do two things at a time that know nothing of each other."""
    one: Callable[[], Any] = first
    other: Callable[[], Any] = second
    result, another = each(lambda work: work(), (one, other))
    return result, another


class _Job:
    """Parts that several threads take one after the other."""

    def __init__(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> None:
        self.results: dict[int, Any] = {}
        self._work, self._parts, self._next = work, parts, count()  # next() of a count is atomic

    def one(self) -> bool:
        """Do the next part; False when there is none left."""
        index = next(self._next)
        if index >= len(self._parts):
            return False
        self.results[index] = self._work(self._parts[index])
        return True

    def all(self) -> None:
        """Do what is left."""
        while self.one():
            pass

    def stop(self) -> None:
        """Leave what no thread has begun."""
        self._next = count(len(self._parts))


def _wait(helpers: Sequence[Future[None]]) -> None:
    """Wait for those that have begun, and raise what they raised."""
    for helper in wait([helper for helper in helpers if not helper.cancel()]).done:
        helper.result()
