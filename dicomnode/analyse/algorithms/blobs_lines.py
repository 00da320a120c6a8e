"""What is short along every line: a nodule is, a vessel is not, and neither is a wall.

An opening by a line keeps what is at least as long as it; what the openings by lines of all directions leave
over is a blob, also where a vessel leads into it (Soille and Talbot, International Journal of Computer Vision
41 (2001) 107: openings by lines keep what is elongated).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from dicomnode.analyse.grids import Float32

Step = tuple[int, int, int]

_SIGNS: Final = (-1, 0, 1)
DIRECTIONS: Final[tuple[Step, ...]] = tuple(
    (k, j, i) for k, j, i in itertools.product(_SIGNS, _SIGNS, _SIGNS) if (k, j, i) > (0, 0, 0)
)
"""The 13 directions (k, j, i) to the 26 neighbours of a voxel."""

_SHORTEST: Final = 3  # voxels of a line


def short_everywhere(image: Float32, voxels: int) -> Float32:
    """Return by how much each voxel lies above all openings by lines of about so many voxels: 0 and more.

    image: (k, j, i), of about cubic voxels. Diagonal lines have fewer voxels, so that all are about as long.
    """
    longest = np.full_like(image, -np.inf)
    for way in DIRECTIONS:
        count = max(_SHORTEST, round(voxels / float(np.linalg.norm(way))) | 1)
        back = (-way[0], -way[1], -way[2])
        eroded = _along(image, way, count, np.minimum, np.inf)
        np.maximum(longest, _along(eroded, back, count, np.maximum, -np.inf), out=longest)
    left: Float32 = np.maximum(image - longest, np.float32(0.0))
    return left


def _along(image: Float32, way: Step, count: int, of: Callable[..., Any], beyond: float) -> Float32:
    """Take the least or the largest of each voxel and the `count` - 1 next ones along a direction.

    Twice as many with each step; what lies beyond the array says nothing.
    """
    have, taken = 1, image
    while have < count:
        step = min(have, count - have)
        taken = of(taken, _moved(taken, way, step, beyond))
        have += step
    return taken


def _moved(image: Float32, way: Step, by: int, beyond: float) -> Float32:
    """Return the array whose voxel x is that of x + by · way."""
    moved = np.full_like(image, beyond)
    if any(abs(by * part) >= size for part, size in zip(way, image.shape, strict=True)):
        return moved
    from_, to = [], []
    for part, size in zip(way, image.shape, strict=True):
        shift = by * part
        from_.append(slice(max(shift, 0), size + min(shift, 0)))
        to.append(slice(max(-shift, 0), size + min(-shift, 0)))
    moved[tuple(to)] = image[tuple(from_)]
    return moved
