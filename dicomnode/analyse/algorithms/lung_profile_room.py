"""What lies where lung should be: between lung and ribs, in the dents of its outline, on one side more.

A radiologist compares: the sides, the heights of the diaphragm, the width of the mediastinum; and looks at
whether the lung reaches the ribs. Signs of differences are right less left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.airless import airless_of
from dicomnode.analyse.algorithms.lung_profile_sides import THIRDS, Sides
from dicomnode.analyse.grids import Bool, Float32

_DENSE_HU: Final = -200.0
_BONE_HU: Final = 180.0
_LEVELS: Final = 6  # heights at which the sides are compared
_SLICES: Final = 2  # every second slice tells enough
_NAMES_OF_SIDES: Final = ("right", "left")

ROOM_NAMES: Final[tuple[str, ...]] = (
    "total_ml",
    "right_part",
    "height_mm",
    "width_mm",
    "base_apart_mm",
    "lowest_apart_mm",
    *(f"uneven_{level}" for level in range(_LEVELS)),
    *(f"inner_apart_{level}_mm" for level in range(_LEVELS)),
    *(f"wall_{which}_ml" for which in ("more", "less")),
    "upper_uneven_ml",
    "within_ml",
    *(f"dent_{which}_{third}" for third in THIRDS for which in ("right", "left")),
    *(f"dent_dense_{which}_{third}_ml" for third in THIRDS for which in ("more", "less")),
    *(f"dent_hu_p{rank}" for rank in (10, 50, 90)),
    *(f"back_{which}_{third}_mm" for third in THIRDS for which in ("more", "less")),
    "between_p50",
    "between_p90",
)
"""Lengths in mm, volumes in ml, `…_p…` in HU; `uneven`, `right_part` and `dent` are parts of 1."""


def room_of_lungs(sides: Sides) -> dict[str, float]:
    """Measure shape, sides and the room around the lungs."""
    return _sizes(sides) | _levels(sides) | _airless(sides) | _dents(sides) | _between(sides)


def _sizes(sides: Sides) -> dict[str, float]:
    right, left = (float(one.sum()) * sides.voxel_ml for one in (sides.right, sides.left))
    both = sides.both
    across = np.flatnonzero(both.any(axis=(0, 1)))
    along = np.flatnonzero(both.any(axis=(1, 2)))
    lowest = [int(np.flatnonzero(one.any(axis=(1, 2)))[0]) for one in (sides.right, sides.left)]
    return {
        "total_ml": right + left,
        "right_part": right / (right + left),
        "height_mm": float(along[-1] + 1 - along[0]) * sides.mm,
        "width_mm": float(across[-1] + 1 - across[0]) * sides.mm,
        "base_apart_mm": _base_mm(sides.right, sides.mm) - _base_mm(sides.left, sides.mm),
        "lowest_apart_mm": float(lowest[0] - lowest[1]) * sides.mm,
    }


def _base_mm(lung: Bool, mm: float) -> float:
    """Return how high the diaphragm lies under a lung: the median over its lowest voxels, by column."""
    columns = lung.any(axis=0)
    return float(np.median(lung.argmax(axis=0)[columns])) * mm


def _levels(sides: Sides) -> dict[str, float]:
    """Compare the sides at several heights: area, and how far each inner border lies from the middle."""
    found: dict[str, float] = {}
    height = np.flatnonzero(sides.both.any(axis=(1, 2)))
    cuts = np.linspace(height[0], height[-1] + 1, _LEVELS + 1).round().astype(int)
    for level in range(_LEVELS):
        part = slice(int(cuts[level]), int(cuts[level + 1]))
        right, left = sides.right[part], sides.left[part]
        areas = float(right.sum()), float(left.sum())
        found[f"uneven_{level}"] = (areas[0] - areas[1]) / max(sum(areas), 1.0)
        found[f"inner_apart_{level}_mm"] = (
            _inner(right[:, :, ::-1], right.shape[2] - 1 - sides.middle_i) - _inner(left, sides.middle_i)
        ) * sides.mm
    return found


def _inner(lung: Bool, middle: float) -> float:
    """Return the mean way from the middle to the first voxel of lung outwards, in voxels."""
    some = lung.any(axis=2)
    first = lung.argmax(axis=2)[some]
    return float((first - middle).mean()) if first.size else 0.0


def _airless(sides: Sides) -> dict[str, float]:
    """Take what the step `lungs` measures of lung without air, the sides by what is more."""
    lungs = {"right": sides.right, "left": sides.left}
    found = airless_of(sides.hu, sides.box, lungs, sides.middle_i, sides.mm)
    walls = sorted((found.wall_right_ml, found.wall_left_ml), reverse=True)
    return {
        "wall_more_ml": walls[0],
        "wall_less_ml": walls[1],
        "upper_uneven_ml": found.uneven_ml,
        "within_ml": found.within_ml,
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Dents:
    """What a slice's convex hull of one lung holds beside it. lung, hull: voxels. hu: of what is dense."""

    lung: int
    hull: int
    hu: Float32


def _dents(sides: Sides) -> dict[str, float]:
    """Measure the dents of each lung by thirds: what they are of the hull, and what is dense in them."""
    found: dict[str, float] = {}
    values: list[Float32] = []
    for third, part in sides.thirds().items():
        dense, back = [], []
        for name, lung in zip(_NAMES_OF_SIDES, (sides.right, sides.left), strict=True):
            slices = [_dents_of(lung[k], sides.near[k]) for k in range(part.start, part.stop, _SLICES)]
            seen = [one for one in slices if one is not None]
            hull = sum(one.hull for one in seen)
            found[f"dent_{name}_{third}"] = 1.0 - sum(one.lung for one in seen) / max(hull, 1)
            dense.append(sum(one.hu.size for one in seen) * _SLICES * sides.voxel_ml)
            values += [one.hu for one in seen]
            back.append(_back_mm(lung[part], sides.mm))
        for which, ml in zip(("more", "less"), sorted(dense, reverse=True), strict=True):
            found[f"dent_dense_{which}_{third}_ml"] = ml
        for which, mm in zip(("more", "less"), sorted(back, reverse=True), strict=True):
            found[f"back_{which}_{third}_mm"] = mm
    every = np.concatenate(values) if values else np.zeros(0)
    told = np.percentile(every, (10, 50, 90)) if every.size else np.zeros(3)
    return found | {f"dent_hu_p{rank}": float(one) for rank, one in zip((10, 50, 90), told, strict=True)}


def _dents_of(lung: Bool, hu: Float32) -> _Dents | None:
    """Lay a convex hull around a lung in a slice (j, i); None of a slice with little of it."""
    from scipy.spatial import ConvexHull, QhullError  # noqa: PLC0415  heavy, and of this alone

    corners = np.argwhere(lung & ~_inside(lung)).astype(np.float64)
    if len(corners) < 10:
        return None
    try:
        faces = ConvexHull(corners).equations
    except QhullError:  # all in a line
        return None
    j, i = np.indices(lung.shape)
    inside = np.ones(lung.shape, dtype=bool)
    for a, b, c in faces:
        inside &= a * j + b * i + c <= 1e-6
    dents = inside & ~lung & (hu > _DENSE_HU) & (hu < _BONE_HU)
    return _Dents(lung=int(lung.sum()), hull=int((inside | lung).sum()), hu=hu[dents])


def _inside(lung: Bool) -> Bool:
    """Return the voxels with lung on all four sides in the slice."""
    deep = np.zeros_like(lung)
    deep[1:-1, 1:-1] = lung[1:-1, 1:-1] & lung[:-2, 1:-1] & lung[2:, 1:-1] & lung[1:-1, :-2] & lung[1:-1, 2:]
    return deep


def _back_mm(lung: Bool, mm: float) -> float:
    """Return how far behind its own middle a lung (k, j, i) ends, less for one with fluid behind it."""
    rows: Bool = np.any(lung, axis=2)
    some: Bool = np.any(rows, axis=1)
    if not some.any():
        return 0.0
    last = rows.shape[1] - 1 - rows[some, ::-1].argmax(axis=1)
    first = rows[some].argmax(axis=1)
    return float((last - first).mean()) * mm


def _between(sides: Sides) -> dict[str, float]:
    """Tell how dense the mediastinum is: with contrast medium all soft tissue is brighter."""
    outer = np.logical_or.accumulate(sides.both, axis=2)
    inner: Bool = outer & np.logical_or.accumulate(sides.both[:, :, ::-1], axis=2)[:, :, ::-1]
    values: Float32 = sides.near[inner & ~sides.both]
    values = values[(values > -100.0) & (values < 400.0)]
    told = np.percentile(values, (50, 90)) if values.size else np.zeros(2)
    return {"between_p50": float(told[0]), "between_p90": float(told[1])}
