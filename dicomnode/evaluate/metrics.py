"""How well one mask agrees with another on the same grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.values import Mask

Voxels = NDArray[np.bool_]

_PERCENTILE: Final = 95.0


@dataclass(frozen=True, slots=True)
class VolumeError:
    """Found minus true volume, in ml and in percent of the true one (None where that is empty)."""

    ml: float
    percent: float | None


def dice(found: Mask | Voxels, truth: Mask | Voxels) -> float:
    """Overlap 2·|A ∩ B| / (|A| + |B|), 0 to 1; 1 where both masks are empty: they agree.

    Arrays are bool (k, j, i). Raises ValueError when the grids differ in shape.
    """
    a, b = _pair(found, truth)
    together = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    if together == 0:
        return 1.0
    return 2.0 * int(np.count_nonzero(a & b)) / together


def hausdorff95_mm(
    found: Mask | Voxels, truth: Mask | Voxels, spacing_kji_mm: tuple[float, float, float]
) -> float:
    """The 95th percentile of the distances between both surfaces, in mm; the larger of both directions.

    A voxel is of the surface when one of its six neighbours is outside the mask or the grid. Distances are
    between voxel centres. 0 where both masks are empty, infinite where one is. Percentile: linear
    interpolation. Raises ValueError when the grids differ in shape.
    """
    a, b = _pair(found, truth)
    if not a.any() and not b.any():
        return 0.0
    if not a.any() or not b.any():
        return math.inf
    cut = _box(a | b)
    edges = [_surface(np.pad(mask[cut], 1)) for mask in (a, b)]
    ways = []
    for here, there in (edges, edges[::-1]):
        away = ndimage.distance_transform_edt(~there, sampling=spacing_kji_mm)
        ways.append(float(np.percentile(away[here], _PERCENTILE)))
    return max(ways)


def volume_error(found: Mask | Voxels, truth: Mask | Voxels, voxel_mm3: float) -> VolumeError:
    """Compare the volumes of two masks whose voxels have `voxel_mm3`."""
    a, b = _pair(found, truth)
    true = int(np.count_nonzero(b)) * voxel_mm3
    over = int(np.count_nonzero(a)) * voxel_mm3 - true
    return VolumeError(over / 1000.0, 100.0 * over / true if true else None)


def _pair(found: Mask | Voxels, truth: Mask | Voxels) -> tuple[Voxels, Voxels]:
    a, b = (mask.to_array() if isinstance(mask, Mask) else np.asarray(mask, bool) for mask in (found, truth))
    if a.shape != b.shape:
        raise ValueError(f"masks of different grids: {a.shape} and {b.shape}")
    return a, b


def _box(mask: Voxels) -> tuple[slice, ...]:
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    box: tuple[slice, ...] = found
    return box


def _surface(mask: Voxels) -> Voxels:
    """Voxels of `mask` with a face towards the outside; the mask must not touch the array's border."""
    edge: Voxels = mask & ~ndimage.binary_erosion(mask)
    return edge
