"""Which tissue each voxel is: by its HU, by what lies beside it, and by where it lies in the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.composition_body import TISSUE_ABOVE_HU, Body
from dicomnode.analyse.algorithms.composition_bone import BONE_ABOVE_HU
from dicomnode.analyse.algorithms.composition_slabs import Slabs
from dicomnode.analyse.algorithms.composition_wall import Wall
from dicomnode.analyse.algorithms.shapes import dilated
from dicomnode.analyse.grids import Bool, box_of
from dicomnode.analyse.parallel import each

# Fat and muscle by their HU: Mitsiopoulos and others, J Appl Physiol 85 (1998) 115; the ranges of the Alberta
# protocol, by which most body composition on CT is published (there visceral fat is -150 to -50)
FAT_HU: Final = (-190, -30)
MUSCLE_HU: Final = (-29, 150)
AIR_BELOW_HU: Final = -400
_PARTIAL_MM: Final = 1.5  # as far an edge between air and soft tissue passes through the HU of fat
_SKIN_MM: Final = 1.5  # thin skin between air and fat has the HU of fat
_CLOSING_MM: Final = 2.0  # pores of cancellous bone
_SPONGY_HU: Final = 130  # cancellous bone that hangs on denser one
_MARROW_CM2: Final = 30.0  # a larger space within bone is the skull
_SOFT_HU: Final = 40
_CANAL_CM2: Final = 6.0
_CANAL_HU: Final = (-20.0, 80.0)

TISSUES: Final = ("body", "fat", "subcutaneous-fat", "visceral-fat", "muscle", "soft-tissue", "bone", "air")
"""What is told apart; fat is all of it, and the two below hold what could be assigned."""


@dataclass(frozen=True, slots=True, eq=False)
class Tissues:
    """Bool (k, j, i) on the slabs by names of `TISSUES`."""

    masks: dict[str, Bool]


def tissues_in(slabs: Slabs, body: Body, wall: Wall, contrast: Bool) -> Tissues:
    """Tell the tissues of every slab."""
    masks = {name: np.zeros(slabs.hu.shape, dtype=bool) for name in TISSUES}
    inner, outer = _within(body.mask), _around(body.mask)

    def plane(k: int) -> None:
        hu = slabs.hu[k]
        whole = slabs.fine(inner[k]) | (slabs.fine(outer[k]) & (hu > TISSUE_ABOVE_HU))
        places = _Places(
            body=whole,
            inside=slabs.fine(wall.inside[k]),
            deep=slabs.fine(~dilated(~wall.inside[k], 1)),
            cavity=slabs.fine(wall.cavity[k]),
            beside=slabs.fine(_around_slice(wall.cavity[k])),
            fatty=slabs.fine(wall.fatty[k]),
            wall=slabs.fine(_around_slice(wall.wall[k])),
            lungs=slabs.fine(wall.lungs[k]),
            contrast=slabs.fine(_around_slice(contrast[k])),
            trunk=bool(wall.trunk[k]),
            head=bool(wall.head[k]),
            closed=bool(wall.closed[k]),
        )
        near = [slabs.hu[n] for n in (k - 1, k + 1) if 0 <= n < len(slabs.hu)]
        for name, mask in _told(hu, near, places, slabs.grid.spacing_kji_mm[1:]).items():
            masks[name][k] = mask

    for _ in each(plane, range(len(slabs.hu))):
        pass
    return Tissues(masks)


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where things lie in a slice, bool (j, i) of fine pixels; of what it is; is its ring shut."""

    body: Bool
    inside: Bool
    deep: Bool
    cavity: Bool
    beside: Bool
    fatty: Bool
    wall: Bool
    lungs: Bool
    contrast: Bool
    trunk: bool
    head: bool
    closed: bool


def _told(
    hu: NDArray[np.int16], near: list[NDArray[np.int16]], at: _Places, mm: tuple[float, float]
) -> dict[str, Bool]:
    air = (hu < AIR_BELOW_HU) & at.body
    bone, canals = _bone(hu, at, mm)
    bone &= ~air
    fat = (hu >= FAT_HU[0]) & (hu <= FAT_HU[1]) & at.body & ~bone
    fat &= ~_partial(hu, near, mm) & ~dilated(~at.body, max(1, round(_SKIN_MM / min(mm))))
    # Between the branches of a lung is no fat, but what goes on into that of the mediastinum is
    fat = ndimage.binary_propagation(fat & ~at.lungs, mask=fat)
    lean = (hu >= MUSCLE_HU[0]) & (hu <= MUSCLE_HU[1]) & at.body & ~bone
    muscle = lean & at.wall & ~at.cavity & ~canals
    # An organ's own edge lies a pixel beyond the coarse outline of its cavity
    organs = (hu >= MUSCLE_HU[0]) & (at.beside | canals) & at.inside & ~bone & ~muscle
    # Fat between muscles hangs on none of the cavity: ribs and muscles part the two
    visceral = fat & at.inside & at.fatty
    visceral = ndimage.binary_propagation(visceral & at.cavity, mask=visceral)
    none = np.zeros_like(fat)
    return {
        "body": at.body,
        "fat": fat,
        "subcutaneous-fat": fat & ~at.deep if at.closed else none,
        "visceral-fat": visceral if at.closed and at.trunk else none,
        "muscle": muscle,
        "soft-tissue": organs,
        "bone": bone,
        "air": air,
    }


def _partial(hu: NDArray[np.int16], near: list[NDArray[np.int16]], mm: tuple[float, float]) -> Bool:
    """Return where air and soft tissue lie so near each other that a voxel may hold both: it is no fat."""
    steps = max(1, round(_PARTIAL_MM / min(mm)))
    airy, soft = hu < AIR_BELOW_HU, hu > FAT_HU[1]
    if not airy.any():
        return airy
    airy, soft = dilated(airy, steps), dilated(soft, steps)
    for other in near:
        airy |= other < AIR_BELOW_HU
        soft |= other > FAT_HU[1]
    return airy & soft


def _bone(hu: NDArray[np.int16], at: _Places, mm: tuple[float, float]) -> tuple[Bool, Bool]:
    """Return bone with its marrow, and what it encloses beside that: canals and the inside of the skull."""
    found, canals = np.zeros_like(at.body), np.zeros_like(at.body)
    free = at.body & ~at.contrast
    dense = (hu > BONE_ABOVE_HU) & free
    steps = max(1, round(_CLOSING_MM / min(mm)))
    box = _box(dense, 2 * steps + 1)
    if box is None:
        return found, canals
    spongy = (hu[box] > _SPONGY_HU) & free[box]
    grown = ndimage.binary_propagation(dense[box], mask=spongy)
    shut = ~dilated(~dilated(grown, steps), steps) & free[box]
    holes = ndimage.binary_fill_holes(shut) & ~shut
    marrow = _marrow(hu[box], holes, mm, head=at.head)
    found[box], canals[box] = _trimmed(shut | marrow, hu[box]), holes & ~marrow
    return found, canals


def _trimmed(bone: Bool, hu: NDArray[np.int16]) -> Bool:
    """Take off pixels of the edge that hold more soft tissue than bone: below half of the brightest."""
    brightest = ndimage.maximum_filter(hu, size=3, mode="nearest").astype(np.int32)
    edge = bone & dilated(~bone, 1)
    kept: Bool = bone & ~(edge & (2 * hu.astype(np.int32) < brightest + _SOFT_HU))
    return kept


def _marrow(hu: NDArray[np.int16], holes: Bool, mm: tuple[float, float], *, head: bool) -> Bool:
    """Return the holes that are marrow: denser or fatter than a cord, or larger; but no brain."""
    labels, count = ndimage.label(holes)
    if not count:
        return holes
    mean = np.asarray(ndimage.mean(hu, labels, np.arange(count + 1)))
    cm2 = np.bincount(labels.ravel(), minlength=count + 1) * mm[0] * mm[1] / 100.0
    other = (mean > _CANAL_HU[1]) | (mean < _CANAL_HU[0])
    if not head:  # there what bone encloses in a slice, and is as dense as brain, is brain
        other |= cm2 > _CANAL_CM2
    wanted = (cm2 < _MARROW_CM2) & other
    wanted[0] = False
    found: Bool = wanted[labels]
    return found


def _box(mask: Bool, margin: int) -> tuple[slice, slice] | None:
    box = box_of(mask[None], margin)
    return None if box is None else (box[1], box[2])


def _within(mask: Bool) -> Bool:
    """Take a pixel off the edge of each slice."""
    inner = np.empty_like(mask)
    for k, plane in enumerate(mask):
        inner[k] = ~dilated(~plane, 1)
    return inner


def _around(mask: Bool) -> Bool:
    outer = np.empty_like(mask)
    for k, plane in enumerate(mask):
        outer[k] = dilated(plane, 1)
    return outer


def _around_slice(plane: Bool) -> Bool:
    return dilated(plane, 1)
