"""Ellipsoids in a grid: what organs and lesions of simple volumes are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.learn.generate.drawn import LESION, TrueSegment
from dicomnode.values import Code, FindingKind, Grid

Bool = NDArray[np.bool_]

_APART_MM: Final = 4.0  # of two lesions, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """centre, radii: LPS mm (x, y, z)."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]

    def inside(self, grid: Grid) -> Bool:
        """Tell which voxels have their centre in it."""
        k, j, i = (np.arange(n, dtype=np.float64) for n in grid.shape_kji)
        affine = grid.affine_lps  # along the axes of the patient
        x = ((i * affine[0, 0] + affine[0, 3] - self.centre[0]) / self.radii[0]) ** 2
        y = ((j * affine[1, 1] + affine[1, 3] - self.centre[1]) / self.radii[1]) ** 2
        z = ((k * affine[2, 2] + affine[2, 3] - self.centre[2]) / self.radii[2]) ** 2
        return np.asarray(z[:, None, None] + y[None, :, None] + x[None, None, :] <= 1.0)


def grid_of(shape_kji: tuple[int, int, int], mm: float, frame_of_reference_uid: str) -> Grid:
    """Make an isotropic grid along the axes of the patient, around the point 0."""
    affine = np.diag((mm, mm, mm, 1.0))
    affine[:3, 3] = [-mm * (n - 1) / 2 for n in reversed(shape_kji)]
    return Grid(shape_kji, affine, frame_of_reference_uid)


def sphere_mm(mask: Bool, grid: Grid) -> float:
    """Diameter of the ball of the same volume, mm."""
    return float((6.0 * float(mask.sum()) * grid.voxel_mm3 / np.pi) ** (1.0 / 3.0))


def lesion_segments(lesions: list[Bool], grid: Grid, site: Code) -> tuple[TrueSegment, ...]:
    """Make a segment of each lesion; where there is none, one that is empty says so."""
    masks = lesions or [np.zeros(grid.shape_kji, dtype=bool)]
    labels = [f"lesion-{n}" for n in range(1, len(lesions) + 1)] or ["lesion"]
    return tuple(
        TrueSegment(
            label=label,
            kind=FindingKind.LESION,
            type=LESION,
            mask=mask,
            colour_rgb=(255, 160, 0),
            site=site,
        )
        for label, mask in zip(labels, masks, strict=True)
    )


def apart_from(grid: Grid, organ: Bool, radii_mm: Sequence[float], rng: np.random.Generator) -> list[Bool]:
    """Put balls into an organ, apart from each other; what has no place is left out, never the first."""
    depth = ndimage.distance_transform_edt(organ, sampling=grid.spacing_kji_mm)
    deepest = 0.9 * float(depth.max())
    balls: list[Ellipsoid] = []
    for radius in radii_mm:
        free = organ & (depth > min(radius, deepest))
        for ball in balls:
            apart = ball.radii[0] + radius + _APART_MM
            free &= ~Ellipsoid(centre=ball.centre, radii=(apart, apart, apart)).inside(grid)
        places = np.argwhere(free)
        if len(places):
            x, y, z = (float(one) for one in grid.to_lps_mm(places[int(rng.integers(len(places)))]))
            balls.append(Ellipsoid(centre=(x, y, z), radii=(radius, radius, radius)))
    return [ball.inside(grid) & organ for ball in balls]
