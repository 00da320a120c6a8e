"""Coarse chests that are drawn in a moment: two lungs in tissue, the lower third of one without air."""

from __future__ import annotations

import numpy as np

from dicomnode.learn.lungs.worlds import LEFT, RIGHT, Coarse

SHAPE = (48, 44, 64)


def sides_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    k, j, i = np.ogrid[tuple(slice(0, size) for size in shape)]
    sides = np.zeros(shape, dtype=np.uint8)
    for number, middle in ((RIGHT, 18), (LEFT, 46)):
        sides[((k - 24) / 18) ** 2 + ((j - 22) / 14) ** 2 + ((i - middle) / 11) ** 2 < 1.0] = number
    return sides


def coarse_world(seed: int, *, is_real: bool = False) -> Coarse:
    rng = np.random.default_rng(seed)
    sides = sides_of()
    hu = np.where(sides > 0, -850.0, 40.0) + 5.0 * rng.standard_normal(SHAPE)
    hu[:14][sides[:14] == RIGHT] = 30.0
    return Coarse(
        name=str(seed),
        hu=np.rint(hu).astype(np.int16),
        sides=sides,
        diseases=("collapse",),
        is_real=is_real,
    )
