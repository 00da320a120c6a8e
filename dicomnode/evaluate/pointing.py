"""The pointing game: whether the maximum of an explanation lies in the lesion.

Zhang et al., Top-down Neural Attention by Excitation Backprop, IJCV 126 (2018; first at ECCV 2016): of the
cases that have the class, the share whose maximum lies in the box of a lesion, some cells of tolerance around
it. Whoever points anywhere hits as often as the boxes take room: that is told beside it, since 0.4 says
nothing where a lesion fills 0.4 of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.figures import Figure, share
from dicomnode.evaluate.intervals import Interval, Resampling, bootstrap_interval
from dicomnode.values import Grid, PointLps
from dicomnode.values.geometry import Float64

NAME = "pointing_game"
_NO_CASES = "there is no case with a lesion"
_HALF = 0.5
_ROUNDING_MM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionBox:
    """A box along the axes of the patient, its smallest and largest x, y, z in LPS mm.

    Raises ValueError where it ends before it begins.
    """

    low_lps_mm: PointLps
    high_lps_mm: PointLps

    def __post_init__(self) -> None:
        if not all(low <= high for low, high in zip(self.low_lps_mm, self.high_lps_mm, strict=True)):
            raise ValueError(f"LesionBox ends before it begins: {self.low_lps_mm} to {self.high_lps_mm}")

    @classmethod
    def around(cls, mask: NDArray[np.bool_], grid: Grid) -> LesionBox:
        """Make it of the voxels (k, j, i) of a lesion, to their outer faces. Raises ValueError for none."""
        places = np.argwhere(mask)
        if not len(places):
            raise ValueError("a lesion without a voxel has no box")
        low, high = places.min(axis=0) - _HALF, places.max(axis=0) + _HALF
        corners = np.array(
            [(k, j, i) for k in (low[0], high[0]) for j in (low[1], high[1]) for i in (low[2], high[2])]
        )
        ends = grid.to_lps_mm(corners)
        return cls(low_lps_mm=_point(ends.min(axis=0)), high_lps_mm=_point(ends.max(axis=0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """One case: whose it is (a key), whether the maximum hit, and how often chance would have (0 … 1)."""

    patient: str
    hit: bool
    chance: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.chance <= 1.0:
            raise ValueError(f"Pointed.chance must be 0 to 1, got {self.chance!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointingGame:
    """The share of hits with its interval by patient, and the share that pointing anywhere would have.

    p_value: how likely so many hits are by chance, each case with its own (exact, Poisson binomial); None
    where there is no case. It takes the cases of one patient for independent.
    """

    hits: Interval
    chance: Figure
    p_value: float | None


def pointed(
    values: NDArray[np.floating],
    grid: Grid,
    boxes: Sequence[LesionBox],
    *,
    patient: str,
    tolerance_mm: float = 0.0,
) -> Pointed:
    """Play one case. values: the explanation (k, j, i) on `grid`, larger is more; boxes: of its lesions.

    A cell is in a box where it touches it, or comes as near as the tolerance: the maximum of a coarse map
    stands for its whole cell. chance: the share of such cells. Of several equal maxima each counts in part:
    it hits where most of them do, so that a flat map is chance and no hit.
    Raises ValueError on other shapes, on what is not a number, and without a box.
    """
    if values.shape != grid.shape_kji:
        raise ValueError(f"the explanation has the shape {values.shape}, its grid {grid.shape_kji}")
    if not np.isfinite(values).all():
        raise ValueError("an explanation must hold finite numbers only")
    if not boxes:
        raise ValueError("a case without a lesion has no place to point at")
    inside = np.zeros(grid.shape_kji, dtype=bool)
    for box in boxes:
        inside |= _touching(grid, box, tolerance_mm)
    chance = float(inside.mean())
    there = inside[values == values.max()]
    return Pointed(patient=patient, hit=bool(there.mean() > _HALF), chance=chance)


def pointing_game(cases: Sequence[Pointed], resampling: Resampling | None = None) -> PointingGame:
    """Count the hits of cases that have the class."""
    hit = np.array([one.hit for one in cases], dtype=bool)

    def figure(rows: Rows) -> Figure:
        return share(NAME, int(hit[rows].sum()), len(rows), _NO_CASES)

    if not cases:
        raise ValueError(_NO_CASES)
    chances = [one.chance for one in cases]
    return PointingGame(
        hits=bootstrap_interval([one.patient for one in cases], figure, resampling),
        chance=Figure(name="pointing_by_chance", value=math.fsum(chances) / len(chances)),
        p_value=at_least(int(hit.sum()), chances),
    )


def at_least(hits: int, chances: Sequence[float]) -> float:
    """Return how likely `hits` or more of independent cases are, each with a chance of its own."""
    counts: Float64 = np.zeros(len(chances) + 1)
    counts[0] = 1.0
    for chance in chances:
        counts[1:] = counts[1:] * (1.0 - chance) + counts[:-1] * chance
        counts[0] *= 1.0 - chance
    return float(min(1.0, counts[hits:].sum()))


def _touching(grid: Grid, box: LesionBox, tolerance_mm: float) -> NDArray[np.bool_]:
    """Tell which cells reach into a box, by their extents along the patient's axes."""
    k, j, i = np.indices(grid.shape_kji)
    centres = grid.to_lps_mm(np.stack([k, j, i], axis=-1).reshape(-1, 3)).reshape(*grid.shape_kji, 3)
    reach = np.abs(grid.affine_lps[:3, :3]).sum(axis=1) * _HALF
    low = np.array(box.low_lps_mm) - tolerance_mm - reach + _ROUNDING_MM
    high = np.array(box.high_lps_mm) + tolerance_mm + reach - _ROUNDING_MM
    # Strictly: a cell that shares a face with the box alone is not in it
    return np.asarray(((centres > low) & (centres < high)).all(axis=-1))


def _point(values: Float64) -> PointLps:
    x, y, z = (float(one) for one in values)
    return x, y, z
