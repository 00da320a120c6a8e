"""The border of a lesion where the image falls to half: between what is dense of it and what lies around.

So volumetry puts it (adaptive thresholds: Reeves et al. 2006, IEEE TMI 25:435). Kernel and thick slices blur
both sides of an edge alike and leave its half where it was; a network's mask has learned how far that is on
the average only. It holds for what is of one density: where part of a lesion is ground glass, half the height
is the border of its core.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32, box_of
from dicomnode.values import Float64

AROUND_MM: Final = 6.0
"""As far from a lesion it is looked what lies around it."""

_BESIDE_MM: Final = 2.0  # nearer a border is blurred
_LUNG_PERCENT: Final = 25.0  # where a wall or vessels take up to half of what is around, this is the rest


def half_height(piece: Bool, image: Float32, steps_mm: Float64, part: float) -> float | None:
    """Return the value at half height of a lesion; None where that is not its border.

    piece: bool (k, j, i), its voxels, some. image: float32, as large, in any unit, higher where denser.
    steps_mm: from voxel to voxel along k, j, i. part: 0 … 1; a lesion of which less is above half has several
    densities. There is none either where nothing lies around it, or what does is as dense.
    """
    box = box_of(piece, margin=int(np.ceil(AROUND_MM / steps_mm.min())) + 1)
    if box is None:
        raise ValueError("the piece is empty")
    own, values = piece[box], image[box]
    away = ndimage.distance_transform_edt(~own, sampling=steps_mm)
    beside = values[(away > _BESIDE_MM) & (away <= AROUND_MM)]
    if not beside.size:
        return None
    inside = values[own]
    denser = np.sort(inside)[inside.size // 2 :]  # of a cavity its wall
    core, around = float(denser.mean()), float(np.percentile(beside, _LUNG_PERCENT))
    half = (core + around) / 2.0
    return half if core > around and float((inside > half).mean()) >= part else None
