"""What a lung encloses in a slice: vessels and lesions belong to it, the dome of the diaphragm does not."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.shapes import chosen, components, filled_slices
from dicomnode.analyse.grids import Bool

_LUNG_BELOW: Final = 0.5  # of a hole's voxels: a vessel or a lesion has lung below it, a dome has liver
_DOME_ML: Final = 1.0


def filled_but_domes(lung: Bool, mm: float) -> Bool:
    """Fill what each slice of `lung` (bool, k j i, k to the head) encloses, but no dome of the diaphragm."""
    filled = filled_slices(lung)
    holes = filled & ~lung
    labels, counts = components(holes)
    if not counts.any():
        return filled
    below = np.logical_or.accumulate(lung, axis=0)
    covered = np.bincount(labels[holes & below], minlength=len(counts))
    domes = (covered < _LUNG_BELOW * counts) & (counts * mm**3 / 1000.0 > _DOME_ML)
    result: Bool = filled & ~chosen(labels, domes)
    return result
