"""What is looked at when volumes are laid over each other: coarse isotropic images, and where the body is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.algorithms.body import body_of
from dicomnode.analyse.algorithms.shapes import dilated, filled_slices, largest
from dicomnode.analyse.grids import Bool, Float32, box_of
from dicomnode.analyse.onto import onto
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid, Volume, no_progress
from dicomnode.values.codes import HOUNSFIELD
from dicomnode.values.geometry import Float64

_FINEST_MM: Final = 2.0  # a body is laid over another one to a fraction of a voxel
_MOST_VOXELS: Final = 8_000_000  # of a working image: a larger field of view is looked at more coarsely
_AROUND_MM: Final = 6.0  # of the body: its skin is its clearest border
_SHOWN_HU: Final = (-1000.0, 700.0)  # beyond: metal, and what lies outside of the reconstructed circle
_TAIL_PERCENT: Final = 0.5  # of other values, cut off at each end
_BINS: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class WorkingImage:
    """voxels: float32 (k, j, i), 0 to 1, axes to head, back and left; mask: the body and its border."""

    voxels: Float32
    mask: Bool
    grid: Grid


def working_image(volume: Volume) -> WorkingImage:
    """Resample to an isotropic grid along the axes of the patient, and find the body."""
    grid = _upright(volume.grid)
    mm = grid.spacing_kji_mm[0]
    in_hu = volume.unit == HOUNSFIELD
    low, high = _SHOWN_HU if in_hu else _shown(volume.voxels)
    shown: NDArray[Any] = volume.voxels.clip(low, high)
    image = Prepared(shown, volume.grid)
    voxels, inside = onto(image, grid, low, no_progress)
    body = body_of(voxels, mm) if in_hu else filled_slices(largest(voxels > _otsu(voxels[inside])))
    voxels -= np.float32(low)
    voxels /= np.float32(max(high - low, float(np.finfo(np.float32).tiny)))
    return WorkingImage(voxels, dilated(body, round(_AROUND_MM / mm)) & inside, grid)


def corners_lps_mm(image: WorkingImage) -> Float64:
    """Return the eight corners of the box around the body, (8, 3) LPS mm; ValueError where there is none."""
    box = box_of(image.mask)
    if box is None:
        raise ValueError("there is no body")
    ends = [(part.start, part.stop - 1) for part in box]
    return image.grid.to_lps_mm([[k, j, i] for k in ends[0] for j in ends[1] for i in ends[2]])


def _upright(grid: Grid) -> Grid:
    """Return the isotropic grid along the axes of the patient that holds all voxels."""
    faces = [(-0.5, n - 0.5) for n in grid.shape_kji]
    points = grid.to_lps_mm([[k, j, i] for k in faces[0] for j in faces[1] for i in faces[2]])
    low, high = points.min(axis=0), points.max(axis=0)
    finest = max(_FINEST_MM, min(grid.spacing_kji_mm))
    mm = max(finest, float(np.prod(high - low) / _MOST_VOXELS) ** (1.0 / 3.0))
    i, j, k = (max(1, int(np.ceil(extent / mm - 1e-6))) for extent in high - low)
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = low + mm / 2.0
    return Grid((k, j, i), affine, grid.frame_of_reference_uid)


def _shown(voxels: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(voxels[:, ::4, ::4], (_TAIL_PERCENT, 100.0 - _TAIL_PERCENT))
    return float(low), float(high)


def _otsu(values: Float32) -> float:
    """Return the value that parts dark from bright best (Otsu, IEEE Trans SMC 9 (1979) 62)."""
    counts, edges = np.histogram(values, bins=_BINS)
    centres = (edges[:-1] + edges[1:]) / 2.0
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    parted = (below > 0) & (above > 0)
    apart = np.zeros_like(below)
    mean_below = sums[:-1][parted] / below[parted]
    mean_above = (sums[-1] - sums[:-1][parted]) / above[parted]
    apart[parted] = below[parted] * above[parted] * (mean_below - mean_above) ** 2
    return float(edges[1 + int(apart.argmax())])
