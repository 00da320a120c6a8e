"""How much memory of a device an analysis takes, in parts: estimated before it begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np

from dicomnode.engine.runtimes.contract import Session

_FLOAT32: Final = 4
_ON_A_GRID: Final = 5  # axes of an output (n, c, k, j, i)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Memory of a device in bytes.

    weights, context: of the network and what it works in; the session holds the weights already, and the
    rest from its first run on. io: its inputs and outputs of one run. accumulators: the sums of its windows.
    volume: the prepared volume, and what is cut out of it.
    """

    weights: int
    context: int
    io: int
    accumulators: int
    volume: int

    def __post_init__(self) -> None:
        parts = (self.weights, self.context, self.io, self.accumulators, self.volume)
        if min(parts) < 0:
            raise ValueError(f"MemoryEstimate has a part below 0: {parts}")

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.context + self.to_come

    @property
    def to_come(self) -> int:
        """What is not held yet by a session that is warm."""
        return self.io + self.accumulators + self.volume


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMemory:
    """Of a session: its weights, what a run works in, and the inputs and outputs of a run, in bytes."""

    weights: int
    context: int
    io: int


@runtime_checkable
class TellsItsMemory(Protocol):
    """A session that knows its memory in parts."""

    def memory_parts(self, shapes: Mapping[str, Sequence[int]]) -> SessionMemory:
        """Return the parts for inputs of these shapes; NodeError(NETWORK_FAILED) for none it takes."""


def session_memory(session: Session, shapes: Mapping[str, Sequence[int]]) -> SessionMemory:
    """Return the memory of a session for a run on inputs of these shapes; one that tells a sum: in `context`.

    Raises NodeError(NETWORK_FAILED) for shapes that it does not take.
    """
    if isinstance(session, TellsItsMemory):
        return session.memory_parts(shapes)
    io = sum(math.prod(shape) for shape in shapes.values()) * _FLOAT32
    largest = max(shapes.values(), key=math.prod, default=())
    return SessionMemory(weights=0, context=max(session.memory(largest) - io, 0), io=io)


def estimate(
    session: Session,
    shapes: Mapping[str, Sequence[int]],
    *,
    sums_kji: tuple[int, int, int],
    volume_bytes: int,
) -> MemoryEstimate:
    """Estimate a run.

    shapes: of the inputs of one run, by name. sums_kji: cells that windows are summed up over, at most the
    box; of each output with five axes, its channels where they are known, else one. volume_bytes: of what is
    prepared and cut out.
    """
    parts = session_memory(session, shapes)
    cells = math.prod(sums_kji)
    channels = sum(spec.shape[1] or 1 for spec in session.outputs if len(spec.shape) == _ON_A_GRID)
    return MemoryEstimate(
        weights=parts.weights,
        context=parts.context,
        io=parts.io,
        accumulators=channels * cells * np.dtype(np.float32).itemsize,
        volume=volume_bytes,
    )
