"""Worlds that are drawn in a moment: two lungs of air in a block of tissue, with a vessel in each."""

from __future__ import annotations

import numpy as np

from dicomnode.learn.planted.world import World, world_from

SHAPE = (56, 60, 84)


def two_lungs() -> np.ndarray:
    k, j, i = np.ogrid[0 : SHAPE[0], 0 : SHAPE[1], 0 : SHAPE[2]]
    lungs = np.zeros(SHAPE, dtype=bool)
    for middle in (22, 62):
        lungs |= ((k - 28) / 22) ** 2 + ((j - 30) / 22) ** 2 + ((i - middle) / 16) ** 2 < 1.0
    return lungs


def small_world(seed: int, *, sigma=(0.0, 0.0, 0.0), balls=()) -> World:
    rng = np.random.default_rng(seed)
    lungs = two_lungs()
    hu = np.where(lungs, -850.0 + 15.0 * rng.standard_normal(SHAPE), 40.0).astype(np.float32)
    for middle in (20, 64):
        hu[:, 28:30, middle : middle + 2] = 40.0
    return world_from(str(seed), hu, lungs, np.array(balls, dtype=np.float32).reshape(-1, 4), sigma)
