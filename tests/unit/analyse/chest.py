"""A chest drawn from ellipsoids: where everything is, is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

AIR, SOFT, LUNG, BONE = -1000.0, 40.0, -850.0, 400.0
MM = 3.0
SHAPE = (100, 76, 104)  # k to the head, j to the back, i to the left: 300 × 228 × 312 mm


@dataclass(frozen=True)
class Chest:
    """Which parts are drawn. Balls are (centre x, y, z in mm, radius in mm, HU)."""

    lungs: tuple[str, ...] = ("right", "left")
    couch: bool = True
    airways: bool = True
    noise: float = 20.0
    squeeze_right: float = 1.0
    touching_mm: float = 0.0
    balls: tuple[tuple[float, float, float, float, float], ...] = field(default=())

    def changed(self, **what: object) -> Chest:
        return replace(self, **what)  # type: ignore[arg-type]


def axes_mm() -> tuple[NDArray[np.float64], ...]:
    """z, y, x of the voxel centres, 0 in the middle; x to the patient's left."""
    k, j, i = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    z, y, x = ((a - (n - 1) / 2.0) * MM for a, n in zip((k, j, i), SHAPE, strict=True))
    return z, y, x


def affine() -> NDArray[np.float64]:
    """The affine of the array, with 0 mm in its middle."""
    result = np.diag([MM, MM, MM, 1.0])
    result[:3, 3] = [-(n - 1) / 2.0 * MM for n in SHAPE[::-1]]
    return result


def lung(side: str, chest: Chest) -> NDArray[np.bool_]:
    """The voxels of one lung, airways in it."""
    z, y, x = axes_mm()
    at = -66.0 if side == "right" else 64.0
    scale = chest.squeeze_right if side == "right" else 1.0
    wide, deep = 48.0, 66.0
    inside = ((x - at) / wide) ** 2 + (y / deep) ** 2 + ((z - 10.0) / (96.0 * scale)) ** 2 < 1
    if chest.touching_mm:  # in front of the heart both reach the midline
        front = (np.abs(y + 40) < chest.touching_mm / 2) & (np.abs(z - 20) < 30)
        inside = inside | (front & (x < 0 if side == "right" else x > 0) & (np.abs(x) < 60))
    return inside


def draw(chest: Chest | None = None) -> NDArray[np.float32]:
    """Draw HU (k, j, i)."""
    chest = chest or Chest()
    z, y, x = axes_mm()
    hu = np.full(SHAPE, AIR, dtype=np.float32)
    hu[np.broadcast_to((x / 146.0) ** 2 + (y / 98.0) ** 2 < 1, SHAPE)] = SOFT
    hu[np.broadcast_to((x / 20.0) ** 2 + ((y - 72.0) / 18.0) ** 2 < 1, SHAPE)] = BONE
    for side in chest.lungs:
        hu[lung(side, chest)] = LUNG
    for bx, by, bz, radius, value in chest.balls:
        hu[(x - bx) ** 2 + (y - by) ** 2 + (z - bz) ** 2 < radius**2] = value
    if chest.airways:
        _draw_airways(hu)
    if chest.couch:
        shell = (np.abs(x) < 120) & (y > 99) & (y < 112)
        hollow = (np.abs(x) < 114) & (y > 102) & (y < 109)
        hu[np.broadcast_to(shell, SHAPE)] = -150.0
        hu[np.broadcast_to(hollow, SHAPE)] = -995.0
    rng = np.random.default_rng(5)
    return hu + rng.standard_normal(SHAPE).astype(np.float32) * np.float32(chest.noise)


def _draw_airways(hu: NDArray[np.float32]) -> None:
    z, y, x = axes_mm()
    trachea = (x**2 + (y - 5) ** 2 < 9.0**2) & (z > 40)
    wall = (x**2 + (y - 5) ** 2 < 12.0**2) & (z > 37)
    for sign in (-1, 1):
        along = 40.0 - 0.5 * np.abs(x)
        near = (z - along) ** 2 + (y - 5) ** 2
        reach = (x * sign >= 0) & (x * sign < 58)
        wall = wall | (reach & (near < 10.0**2))
        trachea = trachea | (reach & (near < 7.0**2))
    hu[np.broadcast_to(wall, SHAPE)] = SOFT
    hu[np.broadcast_to(trachea, SHAPE)] = -998.0
