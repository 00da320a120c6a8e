"""A head in a CT: which slices show one, and what its skull encloses.

A skull encloses a large part of its slice, which no other bone does. The face hangs below it, where bone
parts nothing: there body composition has no rule that holds, and gives no muscle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.composition_body import Body
from dicomnode.analyse.algorithms.composition_outlines import closed_in_slice
from dicomnode.analyse.algorithms.composition_slabs import Slabs
from dicomnode.analyse.grids import Bool
from dicomnode.analyse.parallel import each

_BONE_HU: Final = 200
_SUTURE_MM: Final = 4.0
_SKULL_CM2: Final = 25.0  # a space that bone encloses; a vertebral canal has 3
_SKULL_SHARE: Final = 0.3  # of the body in a slice; what ribs and a shoulder blade enclose has less
_FACE_MM: Final = 120.0  # from the lowest slice with a whole skull to below the chin


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """On the coarse grid: the slices of a head, bool (k,), and what its skull encloses, bool (k, j, i)."""

    slices: NDArray[np.bool_]
    within: Bool


def head_in(slabs: Slabs, body: Body, lungs: Bool) -> Head:
    """Find the head: the slices with a whole skull, all above them, and the face below.

    Nothing beside or below a lung is a head.
    """
    hu, mm = slabs.coarse_hu, slabs.coarse_kji_mm
    within = np.zeros(hu.shape, dtype=bool)
    slices = np.zeros(len(hu), dtype=bool)
    lowest = int(np.flatnonzero(lungs.any(axis=(1, 2)))[-1]) + 1 if lungs.any() else 0

    def plane(k: int) -> None:
        space = _enclosed(hu[k] > _BONE_HU, body.mask[k], mm[1:])
        if float(space.sum()) > _SKULL_SHARE * float(body.main[k].sum()):
            within[k] = space

    for _ in each(plane, range(lowest, len(hu))):
        pass
    found = np.flatnonzero(within.any(axis=(1, 2)))
    if found.size:
        slices[max(lowest, int(found[0]) - round(_FACE_MM / mm[0])) :] = True
    return Head(slices, within)


def _enclosed(bone: Bool, body: Bool, mm: tuple[float, float]) -> Bool:
    """Return what bone encloses in a slice (j, i), where that is much."""
    holes: Bool = ndimage.binary_fill_holes(closed_in_slice(bone, _SUTURE_MM, mm)) & ~bone & body
    labels, count = ndimage.label(holes)
    if not count:
        return holes
    large = np.bincount(labels.ravel()) * mm[0] * mm[1] / 100.0 > _SKULL_CM2
    large[0] = False
    found: Bool = large[labels]
    return found
