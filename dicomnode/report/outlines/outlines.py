"""The outline of a mask on one slice: closed polygons in pixel coordinates, with the holes that they have.

They run through the midpoints between pixel centres inside and outside (marching squares on a binary image).
So no outline goes through the centre of a pixel, and whoever asks of each centre whether it lies inside, by
any rule, gets back the mask. Corners are cut: a polygon is smaller than its pixels by half a pixel in all,
whatever its size, and a hole by as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Float64, Mask

Bool = NDArray[np.bool_]

Ring = Float64
"""(n, 2) column, row of the corners, the first pixel's centre at 0, 0; the last corner joins the first.

Around what is inside it runs clockwise as an image is seen (rows downwards), around a hole the other way.
"""

_HALF: Final = 0.5  # between outside, 0, and inside, 1


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """One piece of a mask on a slice: the outline around it, and those of the holes in it."""

    outer: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """All outlines, the outer one first."""
        return (self.outer, *self.holes)


@dataclass(frozen=True, slots=True, eq=False)
class SliceOfMask:
    """What a mask has on slice k: the pixels of a box, bool (j, i), and where its first pixel lies."""

    k: int
    pixels: Bool
    origin_ji: tuple[int, int]

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))

    def polygons(self) -> tuple[Polygon, ...]:
        """Return the outlines, see `polygons_of`."""
        return polygons_of(self.pixels, self.origin_ji)

    def keyholed(self) -> tuple[Ring, ...]:
        """Return the outlines without holes, see `keyholed_of`."""
        return keyholed_of(self.pixels, self.origin_ji)


def slices_of(mask: Mask) -> Iterator[SliceOfMask]:
    """Yield the slices on which a mask has pixels, k ascending; its box is unpacked once."""
    (first, _), (row, _), (column, _) = mask.box_kji
    for k, pixels in enumerate(mask.crop(), start=first):
        rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
        if rows.size:
            inner = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            yield SliceOfMask(k, inner, (row + int(rows[0]), column + int(columns[0])))


def polygons_of(pixels: Bool, origin_ji: tuple[int, int] = (0, 0)) -> tuple[Polygon, ...]:
    """Outline what is set in `pixels` (j, i), without corners that lie on a line.

    Pixels that touch at a corner are joined there. origin_ji: row and column of the first pixel.
    """
    return tuple(
        Polygon(without_straight_points(outer), tuple(without_straight_points(hole) for hole in holes))
        for outer, *holes in _all_points(pixels, origin_ji)
    )


def keyholed_of(pixels: Bool, origin_ji: tuple[int, int] = (0, 0)) -> tuple[Ring, ...]:
    """Outline what is set in `pixels` (j, i), each piece by one ring: its holes are joined to its outside.

    A channel of no width leads to each hole and back (the keyhole technique, PS3.3 C.8.8.6.3). It runs along
    a row between pixel centres, so it touches none.
    """
    return tuple(
        without_straight_points(_keyholed(*map(_with_points_between_rows, rings)))
        for rings in _all_points(pixels, origin_ji)
    )


def area_of(ring: Ring) -> float:
    """Area within a ring in pixels: positive of an outline, negative of a hole (shoelace formula)."""
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def without_straight_points(ring: Ring) -> Ring:
    """Leave out the points that the ring passes straight on; where it turns back they stay."""
    came, goes = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = came[:, 0] * goes[:, 1] - came[:, 1] * goes[:, 0]
    onwards = (came * goes).sum(axis=1) > 0
    kept: Ring = ring[~((turns == 0) & onwards)]
    return kept


def _all_points(pixels: Bool, origin_ji: tuple[int, int]) -> Iterator[list[Ring]]:
    """Yield the rings of each piece, the outer one first, with a point wherever they pass between pixels."""
    from contourpy import FillType, contour_generator  # noqa: PLC0415  only where outlines are drawn

    # One pixel of nothing all around: what ends at the edge of the image is closed there
    framed = np.pad(pixels, 1).astype(np.float64)
    generator = contour_generator(z=framed, name="serial", fill_type=FillType.OuterOffset)
    points, offsets, *_ = generator.filled(_HALF, 2.0)
    row, column = origin_ji
    for piece, ends in zip(points, offsets, strict=True):
        assert piece is not None
        assert ends is not None
        moved = np.asarray(piece, dtype=np.float64) + np.array([column - 1, row - 1])
        # The last point of each is its first
        yield [moved[start : stop - 1] for start, stop in pairwise(ends)]


def _with_points_between_rows(ring: Ring) -> Ring:
    """Put a point wherever a ring passes the middle between two rows; it goes straight on there."""
    onwards = np.roll(ring, -1, axis=0) - ring
    after = np.flatnonzero((onwards[:, 0] == 0) & (ring[:, 1] % 1 == 0))
    more: Ring = np.insert(ring, after + 1, ring[after] + onwards[after] / 2, axis=0)
    return more


def _keyholed(outer: Ring, *holes: Ring) -> Ring:
    """Join holes to the ring around them: from the leftmost point of each, to the left.

    The first ring that is met there is the outer one or that of a hole further left, which was joined before.
    """
    points: list[tuple[float, float]] = []
    after: list[int] = []  # of each point, the number of the next one
    on_row: dict[float, list[int]] = {}

    def add(ring: Ring) -> int:
        """Put the points of a ring behind each other, and return the number of the first."""
        begun = len(points)
        for column, row in ring.tolist():
            on_row.setdefault(row, []).append(len(points))
            points.append((column, row))
            after.append(len(points))
        after[-1] = begun
        return begun

    add(outer)
    for hole in sorted((_from_leftmost(hole) for hole in holes), key=lambda ring: float(ring[0, 0])):
        column, row = hole[0]
        met = max((n for n in on_row[row] if points[n][0] < column), key=lambda n: points[n][0])
        begun = add(np.concatenate([hole, hole[:1], [points[met]]]))
        after[met], after[-1] = begun, after[met]
    walked, at = [], 0
    for _ in points:
        walked.append(points[at])
        at = after[at]
    return np.array(walked)


def _from_leftmost(hole: Ring) -> Ring:
    """Begin a hole with the leftmost of its points between two rows: left of it lies what is inside."""
    between = np.flatnonzero(hole[:, 1] % 1 != 0)
    first = between[np.lexsort((hole[between, 1], hole[between, 0]))[0]]
    return np.roll(hole, -int(first), axis=0)
