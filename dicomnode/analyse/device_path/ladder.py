"""When a device is full: what is tried, in which order, before a study has to wait.

First what costs nothing, then what costs time, then what costs others: kept memory is given back, the batch
is halved, then one window at a time, then sums of a few planes instead of whole volumes, then another
engine's networks go. Each once. Nothing of it changes the result, and nothing moves to the CPU in the middle
of a study: it fails in the end, and is tried again later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog

from dicomnode.device.cuda import CudaKernels
from dicomnode.device.kernels import Kernels
from dicomnode.faults import CUDA_MEMORY, DEVICE_FULL, NodeError

T = TypeVar("T")

PIECE_BYTES: Final = 256 << 20  # many classes on the grid of the source must not cost many volumes
SMALL_PIECE_BYTES: Final = 16 << 20

MakeRoom = Callable[[int], bool]
"""Is told how many bytes are wanted; lets other engines go, the longest unused first; False: none is left."""


def no_room(wanted: int) -> bool:  # noqa: ARG001  a MakeRoom
    """For who holds nothing that could go."""
    return False


class DeviceMemory(Protocol):
    """The memory of a device, as its owner in this process sees it."""

    def available(self) -> int:
        """Bytes that this process may still take: what is free, and what it keeps unused."""

    def give_back(self) -> None:
        """Give back to the device what is kept unused."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A way to run a network.

    batch: windows at a time. by_slabs: sums are those of a few planes only. piece_bytes: of values that are
    taken onto the source grid at a time.
    """

    batch: int
    by_slabs: bool = False
    piece_bytes: int = PIECE_BYTES

    @property
    def words(self) -> str:
        """For the log."""
        return f"batch {self.batch}{', a few planes at a time' if self.by_slabs else ''}"


def rungs(batch: int, *, slabs: bool) -> tuple[Rung, ...]:
    """Return the ways down from a batch, most memory first. slabs: whether sums can be of a few planes."""
    batches = dict.fromkeys((batch, max(batch // 2, 1), 1))
    found = [
        Rung(one, piece_bytes=SMALL_PIECE_BYTES if number else PIECE_BYTES)
        for number, one in enumerate(batches)
    ]
    last = Rung(1, by_slabs=slabs, piece_bytes=SMALL_PIECE_BYTES)
    return tuple(dict.fromkeys((*found, last)))


class Ladder:
    """Runs what takes memory of a device, and climbs down where there is not enough."""

    def __init__(self, kernels: Kernels, make_room: MakeRoom = no_room) -> None:
        self._device = kernels.device
        self._memory = memory_of(kernels)
        self._make_room = make_room
        self._log = structlog.get_logger("dicomnode.analyse")

    def without_steps(self, doing: str, attempt: Callable[[], T], wanted_bytes: int) -> T:
        """Do what can be done in one way only. Raises as `down`."""
        return self.down(doing, (Rung(1),), lambda _: attempt(), lambda _: wanted_bytes)

    def down(
        self,
        doing: str,
        ways: Sequence[Rung],
        attempt: Callable[[Rung], T],
        wanted_bytes: Callable[[Rung], int],
    ) -> T:
        """Try the ways in their order, from the first that should fit; return what the first that does gives.

        attempt: must leave nothing on the device when it fails. wanted_bytes: of memory that is not held yet.
        Raises NodeError(DEVICE_FULL), which may be tried again, when none fits, and at once what else fails.
        """
        first = self._first(ways, wanted_bytes)
        tries = [ways[first], *ways[first:]]  # the first again, once memory that is kept was given back
        reason = ""
        for number, rung in enumerate(tries):
            if number and self._memory is not None:
                self._memory.give_back()
            try:
                return attempt(rung)
            except NodeError as error:
                reason = self._why(error, doing, rung)
        last = ways[-1]
        if self._make_room(wanted_bytes(last)):
            if self._memory is not None:
                self._memory.give_back()
            try:
                return attempt(last)
            except NodeError as error:
                reason = self._why(error, doing, last)
        wanted = wanted_bytes(last) / 1e6
        raise NodeError(DEVICE_FULL, device=self._device.name, doing=doing, wanted_mb=wanted, reason=reason)

    def _first(self, ways: Sequence[Rung], wanted_bytes: Callable[[Rung], int]) -> int:
        """Return the first way that should fit, else the last."""
        if self._memory is None:
            return 0
        available = self._memory.available()
        return next((n for n, rung in enumerate(ways) if wanted_bytes(rung) <= available), len(ways) - 1)

    def _why(self, error: NodeError, doing: str, rung: Rung) -> str:
        """Say why an attempt failed; raise it again unless memory was short."""
        if error.fault is not CUDA_MEMORY:
            raise error
        reason = error.fault.text(**error.values).rstrip(".")
        self._log.warning("device.memory_short", doing=doing, way=rung.words, reason=reason)
        return reason


class _CudaMemory:
    """The memory of a CUDA context."""

    def __init__(self, kernels: CudaKernels) -> None:
        self._context = kernels.context

    def available(self) -> int:
        return self._context.memory().free + self._context.pool.held

    def give_back(self) -> None:
        self._context.pool.free_held()


def memory_of(kernels: Kernels) -> DeviceMemory | None:
    """Return the memory that kernels work in; None for the host's, which others watch over."""
    return _CudaMemory(kernels) if isinstance(kernels, CudaKernels) else None
