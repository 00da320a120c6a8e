"""Where slices lie: one affine for a stack, or the reason why there is none. Numbers in, no I/O.

The affine comes from the positions of the first and the last slice, never from Slice Thickness or
Spacing Between Slices (PS3.3 C.7.6.2.1.1). Of a tilted gantry it is sheared, and right for every voxel.
What is tolerated is named here and in docs/reference/volumes.md, and told as a repair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from dicomnode.assemble.record import Header, Orientation
from dicomnode.faults import (
    GANTRY_TILT,
    GEOMETRY_IMPLAUSIBLE,
    SLICE_GAP,
    SLICES_IRREGULAR,
    SLICES_SHIFTED,
    VOLUME_TOO_LARGE,
)
from dicomnode.values import Float64, Grid, Refusal, Repair
from dicomnode.values.geometry import axes_of

SAME_POSITION_MM: Final = 0.01
"""Positions along the normal that differ by less are one: scanners write 0.01 mm or finer."""

EVEN_TOLERANCE: Final = 0.05
"""Part of the slice distance by which a slice may lie off its place in the even grid."""

EVEN_FLOOR_MM: Final = 0.1
"""Always tolerated off the even grid (up to a quarter of the distance): some write positions with one
decimal, so that a slice and the ends of the grid are off by 0.05 mm each."""

GAP_TOLERANCE: Final = 0.1
"""A distance within this part of a slice distance of a multiple of the usual one is a gap."""

GAP_SHARE: Final = 0.25
"""Neighbouring gaps in more than this part of the steps are no losses but another interval."""

IN_PLANE_TOLERANCE: Final = 0.2
"""Part of a pixel by which a slice may lie off the line of the others, within its plane."""

IN_PLANE_FLOOR_MM: Final = 0.02
"""Always tolerated within the plane: positions of very small pixels are rounded, too."""

MOST_TILT_DEGREES: Final = 45.0
"""Gantries are tilted by up to 30 degrees; beyond this the positions are of something else than a stack."""

SMALLEST_PIXEL_MM: Final = 0.01
"""Finer than any scanner of patients; less is a length in another unit, or damage."""

LARGEST_EXTENT_MM: Final = 3000.0
"""Longer than any patient and table; a grid in mm over more would also cost more memory than there is."""

MOST_VOXELS: Final = 2**30
"""1024 slices of 1024 x 1024: what is decoded, prepared and segmented is several times as much memory."""

TOLD_MM: Final = 0.005
"""Jitter below this is not worth a repair: it is how decimal text rounds."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where a stack lies, and what was tolerated."""

    grid: Grid
    repairs: tuple[Repair, ...] = ()

    @property
    def affine_lps(self) -> Float64:
        """float64 (4, 4), index (i, j, k, 1) → LPS mm."""
        return self.grid.affine_lps


def axes(header: Header) -> Float64 | None:
    """Return row, column and normal direction of an image, see `axes_of`; None without valid ones."""
    return None if header.orientation is None else _axes(header.orientation)


@lru_cache(maxsize=64)
def _axes(orientation: Orientation) -> Float64 | None:
    """Do it once for all slices that lie alike."""
    found = axes_of(orientation)
    if found is not None:
        found.setflags(write=False)
    return found


def along_normal(headers: Sequence[Header], normal: Float64) -> Float64:
    """Return each slice's position along the normal, mm."""
    return _positions(headers) @ normal


def places_of(positions: Float64) -> list[int]:
    """Number the places that images lie at, from 0: those at one have one number.

    positions: along the normal in mm, ascending.
    """
    places: list[int] = []
    began = 0.0
    for position in positions:
        again = bool(places) and position - began < SAME_POSITION_MM
        places.append(places[-1] if again else (places[-1] + 1 if places else 0))
        began = began if again else float(position)
    return places


def implausible(first: Header, positions: Float64) -> Refusal | None:
    """Refuse slices that claim a size that no scan has: before a pixel is decoded, or a grid made of it.

    first: one of them; all are of one matrix and spacing. positions: of all along the normal, mm, ascending.
    """
    slices = places_of(positions)[-1] + 1
    rows, columns = first.rows or 0, first.columns or 0
    j_mm, i_mm = first.spacing_ji_mm or (0.0, 0.0)
    if min(j_mm, i_mm) < SMALLEST_PIXEL_MM:
        return GEOMETRY_IMPLAUSIBLE.refusal(claim=f"pixels of {j_mm:g} x {i_mm:g} mm")
    extent = (float(np.ptp(positions)), rows * j_mm, columns * i_mm)
    if max(extent) > LARGEST_EXTENT_MM:
        claim = f"the images cover {extent[0]:.4g} x {extent[1]:.4g} x {extent[2]:.4g} mm"
        return GEOMETRY_IMPLAUSIBLE.refusal(claim=claim)
    if slices * rows * columns > MOST_VOXELS:
        return VOLUME_TOO_LARGE.refusal(slices=slices, rows=rows, columns=columns, limit=MOST_VOXELS)
    return None


def place(headers: Sequence[Header]) -> Placement | Refusal:
    """Place slices that are sorted along their normal, no two at one position.

    headers: three or more, with all that is required; the orientation is that of the first, the spacing of
    most.
    """
    directions = axes(headers[0])
    if directions is None or headers[0].spacing_ji_mm is None:
        raise ValueError("place needs headers with orientation and spacing")
    points = _positions(headers)
    step = (points[-1] - points[0]) / (len(points) - 1)
    off = points - (points[0] + np.arange(len(points))[:, None] * step)
    grid = _grid(headers, directions, step, points[0])
    refusal = (
        _too_tilted(grid)
        or _uneven(headers, points @ directions[2], off @ directions[2])
        or _shifted(headers, _in_plane(off, directions[2]))
    )
    if refusal is not None:
        return refusal
    tolerated = _tolerated(headers[0], directions, points, off)
    return Placement(grid, (*_tilt(grid), *tolerated, *_spacings(headers)))


def _grid(headers: Sequence[Header], directions: Float64, step: Float64, origin: Float64) -> Grid:
    first = headers[0]
    row_mm, column_mm = _spacing_ji_mm(headers)
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * column_mm
    affine[:3, 1] = directions[1] * row_mm
    affine[:3, 2] = step
    affine[:3, 3] = origin
    return Grid(
        (len(headers), first.rows or 1, first.columns or 1), affine, first.frame_of_reference_uid or ""
    )


def _spacing_ji_mm(headers: Sequence[Header]) -> tuple[float, float]:
    """Return the spacing that most slices have; of equally many the first."""
    counts = Counter(header.spacing_ji_mm for header in headers)
    return counts.most_common(1)[0][0] or (0.0, 0.0)


def _spacings(headers: Sequence[Header]) -> tuple[Repair, ...]:
    """Say where slices have spacings that differ by how they were written."""
    used = _spacing_ji_mm(headers)
    given = [header.spacing_ji_mm or used for header in headers]
    size = (headers[0].rows or 0, headers[0].columns or 0)
    off = max(abs(ji[n] - used[n]) * size[n] for ji in given for n in (0, 1))
    if off <= TOLD_MM:
        return ()
    low, high = min(min(ji) for ji in given), max(max(ji) for ji in given)
    text = (
        f"Pixel Spacing differs within the slices, from {low:.6g} to {high:.6g} mm. That of most is used, "
        f"{used[0]:.6g} x {used[1]:.6g} mm, which moves no pixel by more than {off:.3f} mm."
    )
    return (Repair("spacing", text),)


def _positions(headers: Sequence[Header]) -> Float64:
    points = [header.position_lps_mm for header in headers]
    return np.array(points, dtype=np.float64)


def _in_plane(vectors: Float64, normal: Float64) -> Float64:
    flat = vectors - np.outer(vectors @ normal, normal)
    return np.asarray(np.linalg.norm(flat, axis=1), dtype=np.float64)


def _in_plane_tolerance_mm(header: Header) -> float:
    return max(IN_PLANE_TOLERANCE * min(header.spacing_ji_mm or (0.0,)), IN_PLANE_FLOOR_MM)


def _too_tilted(grid: Grid) -> Refusal | None:
    if grid.tilt_degrees <= MOST_TILT_DEGREES:
        return None
    return GANTRY_TILT.refusal(degrees=grid.tilt_degrees, limit=MOST_TILT_DEGREES)


def _tilt(grid: Grid) -> tuple[Repair, ...]:
    if not grid.is_sheared:
        return ()
    return (
        Repair(
            "tilt",
            f"The slices are shifted against each other, as under a gantry tilted by {grid.tilt_degrees:.1f} "
            "degrees; each keeps its place, engines see the stack straightened, and results go back on the "
            "slices as they were scanned.",
        ),
    )


def even_tolerance_mm(steps: Float64) -> float:
    """Return how far a slice may lie off its place in the even grid, for slices of these distances."""
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    return max(EVEN_TOLERANCE * usual, min(EVEN_FLOOR_MM, usual / 4))


def _uneven(headers: Sequence[Header], along: Float64, off: Float64) -> Refusal | None:
    """Refuse distances that vary: with gaps where all are multiples of one, irregular otherwise."""
    steps = np.diff(along)
    tolerance = even_tolerance_mm(steps)
    worst = float(np.abs(off).max())
    if worst <= tolerance:
        return None
    middle = float(np.sort(steps)[(len(steps) - 1) // 2])
    # The mean is nearer the distance where positions are rounded: a long gap is many of them
    mean = float(steps[np.abs(steps - middle) <= 2 * tolerance].mean())
    for usual in (middle, mean, float(steps.min())):
        gaps = _gaps(steps, usual)
        if gaps:
            first = gaps[0]
            return SLICE_GAP.refusal(
                (headers[first].sop_instance_uid, headers[first + 1].sop_instance_uid),
                count=len(gaps),
                found_mm=steps[first],
                index=first,
                position_mm=along[first],
                usual_mm=usual,
            )
    return SLICES_IRREGULAR.refusal(
        smallest_mm=steps.min(), largest_mm=steps.max(), off_mm=worst, tolerance_mm=tolerance
    )


def _gaps(steps: Float64, usual: float) -> list[int]:
    """Return after which slices others are missing, if that explains all distances; else nothing."""
    multiples = np.round(steps / usual)
    if multiples.min() < 1 or np.abs(steps - multiples * usual).max() > GAP_TOLERANCE * usual:
        return []
    gaps = np.flatnonzero(multiples > 1)
    side_by_side = len(gaps) > 1 and np.diff(gaps).min() == 1
    if side_by_side and len(gaps) > GAP_SHARE * len(steps):
        return []
    return [int(gap) for gap in gaps]


def _shifted(headers: Sequence[Header], shifts: Float64) -> Refusal | None:
    tolerance = _in_plane_tolerance_mm(headers[0])
    worst = int(shifts.argmax())
    if shifts[worst] <= tolerance:
        return None
    return SLICES_SHIFTED.refusal(
        (headers[worst].sop_instance_uid,), shift_mm=float(shifts[worst]), tolerance_mm=tolerance
    )


def _tolerated(first: Header, directions: Float64, points: Float64, off: Float64) -> tuple[Repair, ...]:
    jitter = []
    along, beside = float(np.abs(off @ directions[2]).max()), float(_in_plane(off, directions[2]).max())
    if along > TOLD_MM:
        steps = np.diff(points @ directions[2])
        jitter.append(
            f"The distance between slices varies from {steps.min():.3f} to {steps.max():.3f} mm; an even "
            f"grid is used, from which no slice lies more than {along:.3f} mm along the normal."
        )
    if beside > TOLD_MM:
        jitter.append(
            f"Slices lie up to {beside:.3f} mm beside the line of the others, within their planes; a grid "
            "along that line is used."
        )
    repairs = [Repair("jitter", " ".join(jitter))] if jitter else []
    given = np.array(first.orientation, dtype=np.float64).reshape(2, 3)
    turned = float(np.abs(given - directions[:2]).max())
    if turned > 1e-5:
        repairs.append(
            Repair(
                "orientation",
                "The direction cosines of Image Orientation (Patient) are not perpendicular unit vectors; "
                f"they were corrected by up to {turned:.6f}.",
            )
        )
    return tuple(repairs)
