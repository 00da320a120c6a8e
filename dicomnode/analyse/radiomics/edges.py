"""How sharply a region ends: what lies on both sides of its outline. Ours; the IBSI has none."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.radiomics.sampled import Sampled
from dicomnode.values import Float64

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "edge_gradient_mean": "{unit}/mm",
        "edge_gradient_deviation": "{unit}/mm",
        "edge_gradient_p90": "{unit}/mm",
        "edge_contrast": "{unit}",
    }
)
_TOUCHING: Final = ndimage.generate_binary_structure(3, 1)  # by their faces


def edges(region: Sampled) -> dict[str, float]:
    """Measure the outline: the gradient at the voxels on it, and the step across it.

    gradient: its length, central differences in patient space, at the voxels of the region that touch its
    outside. contrast: mean of these voxels minus mean of those outside that touch the region; 0 where the
    region fills the image. At the edge of an image the gradient is that of the voxels that there are.
    """
    inner = region.mask & ~ndimage.binary_erosion(region.mask, _TOUCHING, border_value=0)
    outer = ndimage.binary_dilation(region.mask, _TOUCHING) & ~region.mask
    steep = _gradient_per_mm(region)[inner]
    contrast = float(region.voxels[inner].mean() - region.voxels[outer].mean()) if outer.any() else 0.0
    return {
        "edge_gradient_mean": float(steep.mean()),
        "edge_gradient_deviation": float(steep.std()),
        "edge_gradient_p90": float(np.percentile(steep, 90, method="inverted_cdf")),
        "edge_contrast": contrast,
    }


def _gradient_per_mm(region: Sampled) -> Float64:
    """The length of the gradient in patient space, float64 (k, j, i); an axis of one voxel has none."""
    along = [
        np.gradient(region.voxels, axis=axis) if length > 1 else np.zeros(region.voxels.shape)
        for axis, length in enumerate(region.voxels.shape)
    ]
    # By index (i, j, k); what is so many per index is the inverse transpose so many per mm
    per_index = np.stack(along[::-1], axis=-1)
    per_mm: Float64 = per_index @ np.linalg.inv(region.grid.affine_lps[:3, :3])
    length: Float64 = np.linalg.norm(per_mm, axis=-1)
    return length
