"""Slices that are not one even row, but a few: two scans with a jump between them, or two slice distances.

Nothing is made up between the blocks: each is a volume of its own. A distance that may mean lost slices is no
end of a block, however long it is. Numbers in, no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from dicomnode.assemble.placing import (
    EVEN_FLOOR_MM,
    GAP_TOLERANCE,
    Placement,
    along_normal,
    even_tolerance_mm,
    place,
)
from dicomnode.assemble.record import Header
from dicomnode.faults import SLICE_GAP, SLICES_IRREGULAR, TOO_FEW_SLICES
from dicomnode.values import Fact, Float64, Refusal, Repair

MINIMUM_SLICES: Final = 3
"""Fewer do not show whether they are evenly spaced."""

JUMP_MM: Final = 50.0
"""A distance of at least this …"""

JUMP_STEPS: Final = 10.0
"""… and of as many usual distances is a jump to another part of the body, unless it may be lost slices."""

MINIMUM_BLOCK: Final = 5
"""Fewer slices of a distance of their own are no block: by chance four may be evenly spaced."""

MOST_INTERVALS: Final = 4
"""More distances in a series are no plan of a scan, but irregular."""

OTHER_INTERVAL: Final = 0.1
"""Neighbouring blocks differ by more than this part in their distance: else slices between them are lost, or
the table drifts."""

Block = tuple[int, int]  # first slice, and the first one behind it
Scan = tuple[Fact, ...]  # what names the scan that a slice is of
_SCAN_WORDS: Final = ("AcquisitionNumber", "StackID")


@dataclass(frozen=True, slots=True)
class Row:
    """Slices in one row, k ascending: where they lie, or why there is no volume of them.

    number: which row of the series it is, from 1. repairs: why there are several.
    """

    headers: tuple[Header, ...]
    number: int
    placed: Placement | Refusal
    repairs: tuple[Repair, ...] = ()


def rows_of(headers: Sequence[Header], normal: Float64) -> list[Row]:
    """Place slices, in blocks where they are not one even row.

    headers: sorted along the normal, no two at one position; normal: unit vector (LPS).
    """
    along = along_normal(headers, normal)
    found: list[tuple[Block, Placement | Refusal]] = []
    scans = [tuple(header.tags.get(word) for word in _SCAN_WORDS) for header in headers]
    for first, last in at_jumps(along, scans):
        placed = _placed(headers[first:last])
        uneven = isinstance(placed, Refusal) and placed.code in {SLICE_GAP.code, SLICES_IRREGULAR.code}
        blocks = by_interval(along[first:last]) if uneven else None
        if blocks is None:
            found.append(((first, last), placed))
            continue
        for start, stop in blocks:
            block = (first + start, first + stop)
            found.append((block, _placed(headers[slice(*block)])))
    told = [_told(along, found, n) for n in range(len(found))]
    return [
        Row(tuple(headers[slice(*block)]), n + 1, placed, told[n] if len(found) > 1 else ())
        for n, (block, placed) in enumerate(found)
    ]


def too_few(headers: Sequence[Header]) -> Refusal:
    """Refuse slices that are fewer than a volume needs."""
    return TOO_FEW_SLICES.refusal(count=len(headers), minimum=MINIMUM_SLICES)


def _placed(headers: Sequence[Header]) -> Placement | Refusal:
    return place(headers) if len(headers) >= MINIMUM_SLICES else too_few(headers)


def _told(along: Float64, found: Sequence[tuple[Block, Placement | Refusal]], n: int) -> tuple[Repair, ...]:
    first, last = found[n][0]
    text = (
        f"The slices of the series lie in {len(found)} blocks, {_even(found)}; nothing was made up "
        f"between them. This is block {n + 1}: {last - first} slices from {along[first]:.1f} to "
        f"{along[last - 1]:.1f} mm along their normal."
    )
    return (Repair("block", text),)


def _even(found: Sequence[tuple[Block, Placement | Refusal]]) -> str:
    even = [str(number) for number, (_, placed) in enumerate(found, 1) if isinstance(placed, Placement)]
    if len(even) == len(found):
        return "each evenly spaced"
    if not even:
        return "none of them evenly spaced"
    one = len(even) == 1
    return f"of which block{'' if one else 's'} {', '.join(even)} {'is' if one else 'are'} evenly spaced"


def at_jumps(along: Float64, scans: Sequence[Scan] = ()) -> tuple[Block, ...]:
    """Cut slices where they jump; one block where they do not, or where a part of them would be too small.

    A jump of whole slice distances between two rows of that distance may be lost slices: it cuts only where
    all slices before it are of one scan and all behind it of another.
    along: positions along the normal in mm, ascending. scans: of each slice, by its attributes.
    """
    steps = np.diff(along)
    whole = ((0, len(along)),)
    if not len(steps):
        return whole
    cuts = np.flatnonzero(steps >= max(JUMP_MM, JUMP_STEPS * float(np.median(steps)))) + 1
    blocks = tuple(pairwise((0, *(int(cut) for cut in cuts), len(along))))
    if min(stop - start for start, stop in blocks) < MINIMUM_BLOCK:
        return whole
    ends = [
        stop
        for (start, stop), (_, last) in pairwise(blocks)
        if _are_two(scans[start:stop], scans[stop:last]) or not _may_be_lost(along[start:last], stop - start)
    ]
    return tuple(pairwise((0, *ends, len(along))))


def _are_two(before: Sequence[Scan], behind: Sequence[Scan]) -> bool:
    return len(set(before)) == 1 and len(set(behind)) == 1 and before[0] != behind[0]


def _may_be_lost(along: Float64, cut: int) -> bool:
    """Tell whether slices of one row may be missing before slice `cut`: whole distances lie there."""
    before, behind = np.diff(along[:cut]), np.diff(along[cut:])
    if abs(before.mean() - behind.mean()) > OTHER_INTERVAL * max(before.mean(), behind.mean()):
        return False
    usual = float(np.concatenate([before, behind]).mean())
    jump = float(along[cut] - along[cut - 1])
    # The floor: positions with one decimal
    return abs(jump - round(jump / usual) * usual) <= max(
        GAP_TOLERANCE * usual, min(EVEN_FLOOR_MM, usual / 4)
    )


def by_interval(along: Float64) -> tuple[Block, ...] | None:
    """Cut slices into blocks that are evenly spaced, each with another distance; None where they are not.

    A slice between two blocks belongs to the first. along: positions along the normal in mm, ascending.
    """
    runs = _even_runs(np.diff(along))
    blocks = [(first, last + 2) for first, last in runs]
    # Blocks that follow each other at once share the slice at which the distance changes
    starts = [max(start, before[1]) for before, (start, _) in zip([(0, 0), *blocks], blocks, strict=False)]
    blocks = [(start, stop) for start, (_, stop) in zip(starts, blocks, strict=True)]
    if not 2 <= len(blocks) <= MOST_INTERVALS or min(stop - start for start, stop in blocks) < MINIMUM_BLOCK:
        return None
    if blocks[0][0] != 0 or blocks[-1][1] != len(along) or any(a[1] != b[0] for a, b in pairwise(blocks)):
        return None
    distances = [(along[stop - 1] - along[start]) / (stop - 1 - start) for start, stop in blocks]
    if any(abs(a - b) <= OTHER_INTERVAL * max(a, b) for a, b in pairwise(distances)):
        return None
    return tuple(blocks)


def _even_runs(steps: Float64) -> list[tuple[int, int]]:
    """Return runs of steps, first and last, that are long enough and within the tolerance of each other."""
    runs: list[tuple[int, int]] = []
    first = 0
    for n in range(1, len(steps) + 1):
        if n < len(steps):
            some = steps[first : n + 1]
            if np.ptp(some) <= 2 * even_tolerance_mm(some):
                continue
        if n - first >= MINIMUM_BLOCK - 2:  # with the slice that it may share, or without
            runs.append((first, n - 1))
        first = n
    return runs
