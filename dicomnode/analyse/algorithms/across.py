"""Where the body lies from side to side, and whether the images show both sides of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.algorithms.contract import Side
from dicomnode.analyse.algorithms.cut_off import open_sides
from dicomnode.analyse.grids import Bool, Float32

_ROOM_HU: Final = -950.0  # lung is denser, also where the images cut through it
_NOISE: Final = 5  # voxels whose mean is taken: the air of the room is noisy
_GOES_ON: Final = 0.75  # of the largest sagittal section, at an edge: the wall at a lung's side has less
_MORE: Final = 1.25  # times as much as at the other edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """The body along i, which runs to the patient's left: its middle, an index, and its width, in voxels.

    goes_on: the side on which most of it lies beyond the images, as in a field of view around one lung; None
    where both sides are seen, or as little of both. open_sides: where the edge of the images lies in a lung.
    """

    middle_i: float
    width: float
    goes_on: Side | None = None
    open_sides: tuple[Side, ...] = ()


def across_of(hu: Float32, body: Bool, mm: float) -> Across:
    """Tell where `body` (bool, k j i, some of it set) lies in the images `hu`."""
    sections = np.count_nonzero(body, axis=(0, 1))
    columns = np.flatnonzero(sections)
    right, left = (
        np.count_nonzero(ndimage.uniform_filter(hu[:, :, edge], _NOISE) > _ROOM_HU) for edge in (0, -1)
    )
    side: Side = "right" if right > left else "left"
    much = max(right, left) >= max(_GOES_ON * int(sections.max()), _MORE * min(right, left))
    return Across(
        middle_i=float(columns.mean()),
        width=float(len(columns)),
        goes_on=side if much else None,
        open_sides=open_sides(hu, body, mm),
    )
