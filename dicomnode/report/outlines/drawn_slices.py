"""Which slices the outlines of a presentation state are drawn on, so that it stays small enough to open.

Viewers read all graphics of a presentation state before they show the first image. What has most points is
thinned first, to every second slice, every fourth …; so a nodule keeps all of its slices beside a lung.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.report.outlines.outlines import Ring, slices_of
from dicomnode.values import Segment

MOST_BYTES: Final = 8 * 2**20
"""That all outlines take together, written; with the rest the object stays below 10 MB."""

_POINT: Final = 8  # bytes, two FL
_RING: Final = 200  # … beside its points
_SLICE: Final = 300  # … of the item that holds those of a segment on a slice


@dataclass(frozen=True, slots=True, eq=False)
class DrawnSegment:
    """What is drawn of a segment: its outlines by slice.

    key: the slice with most pixels, the first of equal ones. step: every how many slices; 0 where none is
    drawn, since even the key slice takes too much room.
    """

    segment: Segment
    key: int
    step: int
    rings: dict[int, tuple[Ring, ...]]


def drawn(segments: Sequence[Segment], most_bytes: int) -> list[DrawnSegment]:
    """Choose what is drawn of each segment; the key slice is kept longest."""
    found = [_all_of(segment) for segment in segments]
    sizes = [_size(one) for one in found]
    while sum(sizes) > most_bytes:
        largest = max(range(len(found)), key=lambda n: sizes[n])
        found[largest] = _thinner(found[largest])
        sizes[largest] = _size(found[largest])
    return found


def _all_of(segment: Segment) -> DrawnSegment:
    rings, counts = {}, {}
    for one in slices_of(segment.mask):
        rings[one.k] = tuple(ring for polygon in one.polygons() for ring in polygon.rings)
        counts[one.k] = one.count
    return DrawnSegment(segment, max(counts, key=lambda k: counts[k]), 1, rings)


def _thinner(one: DrawnSegment) -> DrawnSegment:
    """Draw half as many slices; instead of the last one, none."""
    if len(one.rings) <= 1:
        return DrawnSegment(one.segment, one.key, 0, {})
    step = one.step * 2
    rings = {k: rings for k, rings in one.rings.items() if (k - one.key) % step == 0}
    return DrawnSegment(one.segment, one.key, step, rings)


def _size(one: DrawnSegment) -> int:
    return sum(
        _SLICE + sum(_RING + _POINT * (len(ring) + 1) for ring in rings) for rings in one.rings.values()
    )
