"""Radiographs of patients of nobody before any film: what each ray of a cone of X-rays goes through.

A cone beam is taken as sheets across its middle ray: each sheet of the patient is enlarged as its distance
from the detector has it (shear-warp, Lacroute and Levoy, SIGGRAPH 1994). What lies above and below the
phantom goes on as its last sheet does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.lattice import Float32
from dicomnode.phantom.patients import BareChest

PROJECTION_VERSION: Final = "1"
"""Goes up when a number of a shadow changes."""

PIXEL_MM: Final = 1.6  # on the detector
SIDE: Final = 256  # pixels
MARGIN_MM: Final = 48.0  # what a chest is drawn with around its lungs, so that its walls are whole

_BONE_HU: Final = 120.0  # what lies above is counted as bone, the rest as water
_SHEETS: Final = 4  # voxels that share an enlargement
_LUNG_MM: Final = 12.0  # of lung on a ray: the thin recess beyond is not seen on a radiograph
_BACK_MM: Final = 3.0  # behind the skin: the couch of the CT
_COUCH_PART: Final = 0.10  # of a row of voxels: the couch is a thin shell, the back is broad

Detector = Literal["front", "back", "left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How a patient stands before the detector. detector: the side of the patient that it touches.

    front: a postero-anterior radiograph, back: antero-posterior, left or right: lateral. turned_deg: by how
    much he is turned about his long axis. focus_mm: from the focus to the detector.
    """

    detector: Detector
    turned_deg: float = 0.0
    focus_mm: float = 1800.0

    @property
    def is_lateral(self) -> bool:
        """Whether rays go from side to side."""
        return self.detector in {"left", "right"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shadow:
    """What the rays went through, as one looks at it: head up, the patient's right, or his front, left.

    soft_mm, bone_mm: float32 (SIDE, SIDE), mm of water and of what is denser than water by 1000 HU. lungs:
    bool, where lung is on the way of the ray.
    """

    soft_mm: Float32
    bone_mm: Float32
    lungs: NDArray[np.bool_]


def shadow_of(chest: BareChest, pose: Pose) -> Shadow:
    """Send rays through a chest that was drawn with MARGIN_MM around its lungs."""
    hu = np.where(_behind(chest), np.float32(-1000.0), chest.hu)
    lungs = (chest.lungs > 0).astype(np.float32)
    if pose.is_lateral:
        hu, lungs = hu.transpose(0, 2, 1), lungs.transpose(0, 2, 1)
    if pose.turned_deg:
        hu = _turned(hu, pose.turned_deg, -1000.0)
        lungs = _turned(lungs, pose.turned_deg, 0.0)
    spacing = chest.grid.spacing_kji_mm[0]  # of a bare chest it is the same in all axes
    bone: Float32 = (np.clip(hu - _BONE_HU, 0.0, None) / 1000.0).astype(np.float32)
    soft: Float32 = np.clip(np.minimum(hu, _BONE_HU) / 1000.0 + 1.0, 0.0, None).astype(np.float32)
    return Shadow(
        soft_mm=_summed(soft, spacing, pose),
        bone_mm=_summed(bone, spacing, pose),
        lungs=_summed(lungs, spacing, pose) > _LUNG_MM,
    )


def _behind(chest: BareChest) -> NDArray[np.bool_]:
    """Tell what lies behind the lungs and is no patient: rows from where nothing but the couch is left."""
    tissue = (chest.hu > -300.0).mean(axis=(0, 2))  # of each row of the stack
    back = int(np.flatnonzero((chest.lungs > 0).any(axis=(0, 2))).max())
    thin = np.flatnonzero(tissue[back:] < _COUCH_PART)
    first = back + int(thin[0]) if len(thin) else len(tissue)
    rows = np.arange(len(tissue)) >= first + _BACK_MM / chest.grid.spacing_kji_mm[1]
    return np.broadcast_to(rows[None, :, None], chest.hu.shape)


def _turned(voxels: Float32, degrees: float, outside: float) -> Float32:
    turned: Float32 = ndimage.rotate(
        voxels, degrees, axes=(1, 2), reshape=False, order=1, mode="constant", cval=outside
    )
    return turned


def _summed(values: Float32, spacing_mm: float, pose: Pose) -> Float32:
    """Add up along rays. values: (k, depth, across), a number for each mm of way."""
    planes, depth, across = values.shape
    at_end = pose.detector in {"back", "left"}  # y runs to the back, x to the left
    out = np.zeros((SIDE, SIDE), dtype=np.float32)
    middle = (SIDE - 1) / 2.0
    for start in range(0, depth, _SHEETS):
        sheet = values[:, start : start + _SHEETS].sum(axis=1) * np.float32(spacing_mm)
        sheet = np.pad(sheet, ((0, 0), (1, 1)))  # beside the patient is nothing
        centre = (start + min(start + _SHEETS, depth) - 1) / 2.0
        away = ((depth - 1 - centre) if at_end else centre) * spacing_mm
        step = PIXEL_MM * (1.0 - away / pose.focus_mm) / spacing_mm
        offset = ((planes - 1) / 2.0 + middle * step, (across + 1) / 2.0 - middle * step)
        out += ndimage.affine_transform(
            sheet,
            (-step, step),  # rows of a picture run down, planes up
            offset=offset,
            output_shape=(SIDE, SIDE),
            order=1,
            mode="nearest",
        )
    return out
