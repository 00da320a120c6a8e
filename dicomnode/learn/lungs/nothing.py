"""What has no lungs: a belly with gas in its bowel, a head with its sinuses, a table without a patient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Bool, Float32

Shape = tuple[int, int, int]

_AIR_HU: Final = -1000.0


def draw_nothing(shape: Shape, spacing_mm: float, rng: np.random.Generator) -> Float32:
    """Draw one of them in HU (k, j, i), before any scanner."""
    draw = _DRAWN[int(rng.choice(len(_DRAWN), p=_OFTEN))]
    return draw(shape, spacing_mm, rng)


def belly(shape: Shape, spacing_mm: float, rng: np.random.Generator) -> Float32:
    """A trunk of fat, muscle and spine, with up to a dozen gas-filled loops, some of them litres large."""
    hu = np.full(shape, _AIR_HU, dtype=np.float32)
    wide, deep = rng.uniform(130.0, 190.0), rng.uniform(85.0, 125.0)
    centre = (0.0, rng.uniform(-12.0, 12.0), rng.uniform(-12.0, 12.0))
    hu[_ball(shape, spacing_mm, centre, (1e5, deep, wide))] = -95.0
    hu[_ball(shape, spacing_mm, centre, (1e5, deep - 14.0, wide - 18.0))] = 45.0
    hu[_ball(shape, spacing_mm, centre, (1e5, deep - 22.0, wide - 26.0))] = -90.0
    spine = (0.0, centre[1] + deep - 48.0, centre[2])
    hu[_ball(shape, spacing_mm, spine, (1e5, 19.0, 22.0))] = 220.0
    for _ in range(int(rng.integers(2, 10))):  # organs
        at = (rng.uniform(-160.0, 160.0), centre[1] + rng.uniform(-45.0, 35.0), rng.uniform(-90.0, 90.0))
        size = rng.uniform(18.0, 70.0, size=3)
        hu[_ball(shape, spacing_mm, at, (size[0], size[1], size[2])) & (hu < 0.0)] = rng.uniform(10.0, 120.0)
    for _ in range(int(rng.integers(0, 13))):  # gas: a level where it is not all gas
        at = (rng.uniform(-160.0, 160.0), centre[1] + rng.uniform(-60.0, 10.0), rng.uniform(-100.0, 100.0))
        size = np.exp(rng.uniform(np.log(8.0), np.log(60.0), size=3))
        loop = _ball(shape, spacing_mm, at, (size[0], size[1], size[2])) & (hu > -200.0)
        level = at[1] + rng.uniform(-0.5, 1.2) * size[1]
        hu[loop] = 20.0
        hu[loop & (_axes(shape, spacing_mm)[1] < level)] = rng.uniform(-1000.0, -940.0)
    return hu


def head(shape: Shape, spacing_mm: float, rng: np.random.Generator) -> Float32:
    """A skull with a brain, sinuses and mouth full of air, and a neck below it."""
    hu = np.full(shape, _AIR_HU, dtype=np.float32)
    at = (rng.uniform(-30.0, 90.0), rng.uniform(-10.0, 10.0), rng.uniform(-10.0, 10.0))
    high, deep, wide = rng.uniform(85.0, 110.0), rng.uniform(85.0, 105.0), rng.uniform(65.0, 85.0)
    z = _axes(shape, spacing_mm)[0]
    neck = (0.0, at[1] + 25.0, at[2])
    hu[_ball(shape, spacing_mm, neck, (1e5, 62.0, 58.0)) & (z < at[0])] = 40.0
    hu[_ball(shape, spacing_mm, at, (high, deep, wide))] = 30.0
    hu[_ball(shape, spacing_mm, at, (high - 6.0, deep - 6.0, wide - 6.0))] = 900.0
    hu[_ball(shape, spacing_mm, at, (high - 13.0, deep - 13.0, wide - 13.0))] = 35.0
    for _ in range(int(rng.integers(2, 8))):
        down, front, beside = rng.uniform(20.0, 80.0), rng.uniform(10.0, 70.0), rng.uniform(-35.0, 35.0)
        hole = (at[0] - down, at[1] - front, at[2] + beside)
        size = rng.uniform(6.0, 26.0, size=3)
        hu[_ball(shape, spacing_mm, hole, (size[0], size[1], size[2])) & (hu > -300.0)] = _AIR_HU
    return hu


def empty(shape: Shape, spacing_mm: float, rng: np.random.Generator) -> Float32:
    """Air, and a hollow table at times."""
    hu = np.full(shape, _AIR_HU, dtype=np.float32)
    if rng.uniform() < 0.7:
        at = (0.0, rng.uniform(20.0, 120.0), 0.0)
        hu[_ball(shape, spacing_mm, at, (1e5, 40.0, 240.0))] = -150.0
        hu[_ball(shape, spacing_mm, at, (1e5, 32.0, 232.0))] = -990.0
    return hu


_DRAWN: Final[tuple[Callable[[Shape, float, np.random.Generator], Float32], ...]] = (belly, head, empty)
_OFTEN: Final = (0.6, 0.28, 0.12)


def _axes(shape: Shape, spacing_mm: float) -> tuple[Float32, ...]:
    """z, y, x in mm from the middle of the box."""
    return tuple(
        ((axis - (size - 1) / 2.0) * spacing_mm).astype(np.float32)
        for axis, size in zip(np.ogrid[tuple(slice(0, size) for size in shape)], shape, strict=True)
    )


def _ball(shape: Shape, spacing_mm: float, centre_mm: tuple[float, ...], radii_mm: tuple[float, ...]) -> Bool:
    """Return where an ellipsoid lies (z, y, x)."""
    far = np.zeros((1, 1, 1), dtype=np.float32)
    for axis, middle, radius in zip(_axes(shape, spacing_mm), centre_mm, radii_mm, strict=True):
        far = far + ((axis - np.float32(middle)) / np.float32(radius)) ** 2
    inside: Bool = far < 1.0
    return inside
