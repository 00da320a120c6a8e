"""A CT as body composition is measured on: thin slices taken together, a little smoothed, whole voxels.

The field measures tissues by their HU on slices of 3 to 5 mm. On thinner ones noise alone would make muscle
of fat; so slices are averaged until they are that thick. A slab holds whole slices and a pixel whole pixels:
what is found on the slabs is put down in the source without interpolation, and volumes stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool
from dicomnode.analyse.parallel import each
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid

Int16 = NDArray[np.int16]
Steps = tuple[int, int, int]

COARSE_MM: Final = 2.8  # on such pixels outlines are drawn; tissues are told on the fine ones
_LEAST_HU, _MOST_HU = -1024, 3071
_SAMPLED: Final = 12  # slabs that noise is measured in
_SOFT_HU: Final = 200
_OF_MEDIAN: Final = 1.4826  # standard deviation of a normal distribution by the median of its deviations
_QUIET_HU: Final = 15.0  # that the blur shall leave of the noise, were it white
_BLUR_AT_MOST_MM: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Slabs:
    """Smoothed HU, int16 (k, j, i), on slabs; k to the head, j to the back, i to the left.

    steps: how many fine pixels one of the coarse grid takes along k (always 1), j and i.
    """

    hu: Int16
    grid: Grid
    steps: Steps

    @property
    def coarse_hu(self) -> Int16:
        """Every so-manieth pixel: (k, j, i) of the coarse grid."""
        return self.hu[:, :: self.steps[1], :: self.steps[2]]

    def share_above(self, hu: int) -> NDArray[np.float32]:
        """Return the part of each coarse pixel that is denser than `hu`: 0 to 1, (k, j, i)."""
        share = np.empty(self.coarse_hu.shape, dtype=np.float32)

        def plane(k: int) -> None:
            share[k] = _by_blocks((self.hu[k] > hu).astype(np.float32), *self.steps[1:])

        for _ in each(plane, range(len(share))):
            pass
        return share

    @property
    def coarse_kji_mm(self) -> tuple[float, float, float]:
        """Spacing of the coarse grid."""
        k, j, i = self.grid.spacing_kji_mm
        return k, j * self.steps[1], i * self.steps[2]

    @property
    def ml(self) -> float:
        """Volume of a fine voxel in ml."""
        return self.grid.voxel_mm3 / 1000.0

    def fine(self, coarse: Bool) -> Bool:
        """Bring one coarse slice (j, i) to the fine pixels."""
        rows, columns = self.hu.shape[1:]
        wide = np.repeat(np.repeat(coarse, self.steps[1], axis=0), self.steps[2], axis=1)
        return wide[:rows, :columns]


def slabs_of(image: Prepared, slab_mm: float, pixel_mm: float, blur_mm: float) -> Slabs:
    """Average `image` (HU, axes to left, back, head) to slabs of about `slab_mm`, and blur each in its plane.

    slab_mm: slices are taken together until no further one fits; thicker ones stay alone. pixel_mm: the same
    of pixels. blur_mm: standard deviation of the blur, which is wider where the images are noisy. A last slab
    or pixel that would be cut is averaged over what there is of it.
    """
    spacing = image.grid.spacing_kji_mm
    wanted = (slab_mm, pixel_mm, pixel_mm)
    k, j, i = (max(1, int(want / have + 0.05)) for want, have in zip(wanted, spacing, strict=True))
    grid = _coarser(image.grid, (k, j, i))
    hu = np.empty(grid.shape_kji, dtype=np.int16)

    def averaged(number: int) -> None:
        slices = image.voxels[number * k : (number + 1) * k]
        mean = np.clip(slices, _LEAST_HU, _MOST_HU).mean(axis=0, dtype=np.float32)
        hu[number] = np.rint(_by_blocks(mean, j, i))

    for _ in each(averaged, range(len(hu))):
        pass
    enough = noise_of(hu[:: max(1, len(hu) // _SAMPLED)]) / (_QUIET_HU * 2.0 * np.sqrt(np.pi))
    sigma = [min(max(blur_mm / mm, enough), _BLUR_AT_MOST_MM / mm) for mm in grid.spacing_kji_mm[1:]]

    def blurred(number: int) -> None:
        plane = hu[number].astype(np.float32)
        hu[number] = np.rint(ndimage.gaussian_filter(plane, sigma, mode="nearest"))

    for _ in each(blurred, range(len(hu))):
        pass
    coarse = [max(1, round(COARSE_MM / mm)) for mm in grid.spacing_kji_mm[1:]]
    return Slabs(hu, grid, (1, coarse[0], coarse[1]))


def noise_of(hu: Int16) -> float:
    """Return the standard deviation of the noise in soft tissue, by the differences of neighbours in rows."""
    one, other = hu[:, :, :-1], hu[:, :, 1:]
    soft = (np.abs(one) < _SOFT_HU) & (np.abs(other) < _SOFT_HU)
    if not soft.any():
        return 0.0
    return _OF_MEDIAN * float(np.median(np.abs(one[soft] - other[soft]))) / float(np.sqrt(2.0))


def _by_blocks(plane: NDArray[np.float32], j: int, i: int) -> NDArray[np.float32]:
    for axis, step in ((0, j), (1, i)):
        if step > 1:
            starts = np.arange(0, plane.shape[axis], step)
            counts = np.diff(np.append(starts, plane.shape[axis]))
            sums = np.add.reduceat(plane, starts, axis=axis)
            plane = (sums / (counts[:, None] if axis == 0 else counts)).astype(np.float32)
    return plane


def _coarser(grid: Grid, steps: Steps) -> Grid:
    """Return the grid whose voxels are blocks of `steps` voxels: it begins at the same outer face."""
    affine = grid.affine_lps.copy()
    for axis, step in zip((2, 1, 0), steps, strict=True):  # columns of the affine: i, j, k
        affine[:3, 3] += grid.affine_lps[:3, axis] * (step - 1) / 2.0
        affine[:3, axis] *= step
    k, j, i = (-(-size // step) for size, step in zip(grid.shape_kji, steps, strict=True))
    return Grid((k, j, i), affine, grid.frame_of_reference_uid)
