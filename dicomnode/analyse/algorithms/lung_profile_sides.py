"""Two lungs of one mask: right and left, and thirds of their height."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Box, Float32, box_of

Third = Literal["lower", "middle", "upper"]
THIRDS: Final[tuple[Third, ...]] = ("lower", "middle", "upper")

_BLUR: Final = 1.0  # voxels: SD of a blur against noise
_LEAST_SHARE: Final = 0.02  # of both lungs: less on a side is none
_BETWEEN_MM: Final = 15.0  # from the middle of two lungs, that the narrowest place between them is looked for
_NARROW: Final = 0.5  # of the largest sagittal section: two lungs have less there, one by itself has more


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """The lungs in a crop of the images, axes to head, back and left, isotropic with `mm`.

    hu: float32 (k, j, i) of the whole image, box: where the crop lies in it. near, soft: of the crop, soft is
    blurred. right, left: bool, of the crop. middle_i: of the lungs from side to side, in the crop. mm: of a
    voxel.
    """

    hu: Float32
    box: Box
    near: Float32
    soft: Float32
    right: Bool
    left: Bool
    middle_i: float
    mm: float

    @property
    def both(self) -> Bool:
        """Right and left."""
        return self.right | self.left

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return self.mm**3 / 1000.0

    def thirds(self) -> dict[Third, slice]:
        """Slices of each third of the height of both lungs."""
        height = np.flatnonzero(self.both.any(axis=(1, 2)))
        cuts = np.linspace(height[0], height[-1] + 1, len(THIRDS) + 1).round().astype(int).tolist()
        return {name: slice(cuts[n], cuts[n + 1]) for n, name in enumerate(THIRDS)}


def sides_of_mask(hu: Float32, lungs: Bool, mm: float) -> Sides | None:
    """Tell right from left by the middle of the lungs' outer borders; None where there is one lung alone."""
    box = box_of(lungs, margin=2)
    if box is None:
        return None
    near, mask = hu[box], lungs[box]
    across = np.flatnonzero(mask.any(axis=(0, 1)))
    middle = float(across[0] + across[-1]) / 2.0
    if _is_one(mask, middle, mm):
        return None
    column = np.arange(mask.shape[2])
    right: Bool = mask & (column < middle)
    left: Bool = mask & (column >= middle)
    if min(right.sum(), left.sum()) < _LEAST_SHARE * mask.sum():
        return None
    soft: Float32 = ndimage.gaussian_filter(near, _BLUR, truncate=3.0)
    return Sides(hu=hu, box=box, near=near, soft=soft, right=right, left=left, middle_i=middle, mm=mm)


def _is_one(lungs: Bool, middle_i: float, mm: float) -> bool:
    """Tell whether it is one lung: it would be cut through its own middle."""
    sections = np.count_nonzero(lungs, axis=(0, 1))
    reach = int(_BETWEEN_MM / mm)
    near = sections[max(round(middle_i) - reach, 0) : round(middle_i) + reach + 1]
    return bool(near.min() > _NARROW * sections.max())
