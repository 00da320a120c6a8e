"""What a network finds in a whole world is read as the node reads it, by all that engine.toml can say."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.engine import CentreHeat
from dicomnode.learn.planted.looking import Maps, candidates_in

SHAPE = (20, 22, 26)  # no multiple of what the network needs
AT = (10.0, 11.0, 12.0)


def ball(radius: float, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return how many voxels each lies within a ball."""
    axes = np.ogrid[tuple(slice(0, side) for side in shape)]
    apart = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(axes, AT, strict=True)))
    return (radius - apart).astype(np.float32)


def hu_of(radius: float) -> np.ndarray:
    return (-860.0 + 890.0 * np.clip(ball(radius) + 0.5, 0.0, 1.0)).astype(np.float32)


def small(box: np.ndarray) -> Maps:
    """A network that sees a ball, and outlines too little of it."""
    shape = box.shape[2:]
    cells = tuple(side // 2 for side in shape)
    heat = np.full(cells, -9.0, np.float32)
    heat[5, 5, 6] = 4.0
    maps = {"heat": heat, "logd": np.full(cells, np.log(10.0), np.float32), "mask": ball(3.5, shape)}
    return {name: values[None, None] for name, values in maps.items()}


@pytest.mark.parametrize(("part", "radius"), [(None, 3.5), (0.8, 4.5)])
def test_half_the_height_is_seen_in_the_world_itself(part, radius):
    how = CentreHeat(dense_part=part, dense_logit=-2.0)
    (found,) = candidates_in(small, hu_of(4.5), np.ones(SHAPE, dtype=bool), how)
    assert found.mask.count == int((ball(radius) > 0).sum())
