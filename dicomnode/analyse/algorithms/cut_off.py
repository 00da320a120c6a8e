"""Where the images end within a lung: at a side, at the top, at the bottom."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.algorithms.airways import SPOT_MM2
from dicomnode.analyse.algorithms.contract import Side
from dicomnode.analyse.algorithms.shapes import components
from dicomnode.analyse.grids import Bool, Float32

_ROOM_HU: Final = -950.0  # the air of the room is darker than lung
_NOISE: Final = 5  # voxels whose mean is taken
_OPEN_MM2: Final = 300.0  # folds of skin and clothes between an arm and the chest have less
_TRACHEA_HU: Final = -930.0  # its mean, blurred by its wall; the top of a lung is denser


def open_sides(hu: Float32, body: Bool, mm: float) -> tuple[Side, ...]:
    """Tell at which sides of the images lung lies at their edge, or so near that no wall is left.

    hu: (k, j, i), i to the patient's left. body: as `body_of` has it. There the slices are open: between
    tissue in front and behind lies what is neither body nor the air of the room.
    """
    sides: dict[Side, int] = {"right": 0, "left": -1}
    return tuple(side for side, edge in sides.items() if _open_mm2(hu, body, edge, mm) > _OPEN_MM2)


def _open_mm2(hu: Float32, body: Bool, edge: int, mm: float) -> float:
    tissue = body[:, :, edge]
    between = np.logical_or.accumulate(tissue, axis=1)
    between &= np.logical_or.accumulate(tissue[:, ::-1], axis=1)[:, ::-1]
    no_room = ndimage.uniform_filter(hu[:, :, edge], _NOISE) > _ROOM_HU
    return float(np.count_nonzero(between & ~tissue & no_room)) * mm * mm


def goes_on_above(lung: Bool, hu: Float32, mm: float, *, airways_known: bool) -> bool:
    """Tell whether a lung that touches the last slice (j, i) of the images goes on beyond it.

    airways_known: they were found, and taken off. Else the trachea may hang on a lung, and goes on above it.
    """
    if not lung.any():
        return False
    if airways_known:
        return True
    labels, counts = components(lung)
    means = np.bincount(labels.ravel(), weights=hu.ravel()) / np.maximum(counts, 1)
    is_trachea = (counts * mm * mm <= SPOT_MM2[1]) & (means < _TRACHEA_HU)
    return not is_trachea[1:].all()
