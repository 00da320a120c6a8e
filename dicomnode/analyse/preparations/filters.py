"""Steps that look at a voxel's surroundings: noise, bias field, contrast. On the CPU.

SimpleITK and scikit-image come with the extra `imaging`; they are loaded when a step first needs them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.resample import Prepared
from dicomnode.engine.manifest.preparation_values import (
    BiasField,
    Clahe,
    CurvatureFlow,
    Gaussian,
    Median,
    NonlocalMeans,
)
from dicomnode.faults import PREPARATION_FAILED, NodeError
from dicomnode.values import Progress

# The median of |x| of a normal distribution of standard deviation 1
_MEDIAN_OF_NORMAL: Final = 0.6744897501960817
_TILES: Final = 8  # along each axis, unless their size is given
_MOST_VALUES: Final = 4_000_000  # of the finest details, evenly taken, that the noise is measured on


def gaussian(image: Prepared, how: Gaussian, _progress: Progress) -> Prepared:
    """Smooth with a Gaussian of `sigma_mm` along every axis; edges held. Returns float32."""
    sigmas = [how.sigma_mm / mm for mm in image.grid.spacing_kji_mm]
    voxels = np.asarray(image.voxels, dtype=np.float32)
    return Prepared(ndimage.gaussian_filter(voxels, sigmas, mode="nearest", truncate=4.0), image.grid)


def median(image: Prepared, how: Median, _progress: Progress) -> Prepared:
    """Take the median of a box of 2 · radius + 1 voxels; edges mirrored. Keeps the type."""
    size = tuple(2 * radius + 1 for radius in how.radius_kji)
    return Prepared(ndimage.median_filter(image.voxels, size=size, mode="reflect"), image.grid)


def nonlocal_means(image: Prepared, how: NonlocalMeans, _progress: Progress) -> Prepared:
    """Average what looks alike; unchanged where no noise is found. Returns float32."""
    from skimage.restoration import denoise_nl_means  # noqa: PLC0415  scikit-image is an extra

    voxels = np.ascontiguousarray(image.voxels, dtype=np.float32)
    sigma = noise_of(voxels) if how.noise_sd is None else how.noise_sd
    if sigma == 0.0:
        return Prepared(voxels, image.grid)
    flat = voxels.shape[0] == 1  # a single plane has no neighbours along k
    done = denoise_nl_means(
        voxels[0] if flat else voxels,
        patch_size=how.patch_voxels,
        patch_distance=how.distance_voxels,
        h=how.strength * sigma,
        sigma=sigma,
        fast_mode=True,
        preserve_range=True,
    )
    return Prepared(np.asarray(done, dtype=np.float32).reshape(voxels.shape), image.grid)


def noise_of(voxels: NDArray[np.generic]) -> float:
    """Return the standard deviation of white noise: of the diagonal Haar details in the planes.

    Where the volume is 0 (air set to nothing) it tells nothing and is left out. 0 where planes are too small.
    """
    _, rows, columns = voxels.shape
    even = voxels[:, : rows // 2 * 2, : columns // 2 * 2].astype(np.float64)
    a, b, c, d = (even[:, j::2, i::2] for j in (0, 1) for i in (0, 1))
    details = np.abs(a - b - c + d)[(a != 0) & (b != 0) & (c != 0) & (d != 0)] / 2.0
    if not details.size:
        return 0.0
    return float(np.median(details[:: -(-details.size // _MOST_VALUES)])) / _MEDIAN_OF_NORMAL


def curvature_flow(image: Prepared, how: CurvatureFlow, _progress: Progress) -> Prepared:
    """Let surfaces of one value flow by their curvature; lengths in units of the smallest spacing."""
    sitk = _simpleitk()
    flow = sitk.CurvatureFlowImageFilter()
    flow.SetNumberOfIterations(how.iterations)
    flow.SetTimeStep(how.time_step)
    flow.SetNumberOfThreads(1)
    try:
        done = flow.Execute(_to_itk(sitk, image))
    except RuntimeError as error:
        raise _failed("curvature_flow", error) from error
    return Prepared(np.asarray(sitk.GetArrayFromImage(done), dtype=np.float32), image.grid)


def bias_field(image: Prepared, how: BiasField, _progress: Progress) -> Prepared:
    """Divide the field that N4 finds on a coarse grid out of the whole volume. Returns float32."""
    sitk = _simpleitk()
    volume = _to_itk(sitk, image)
    shrink = [min(how.shrink, size) for size in volume.GetSize()]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(how.iterations)
    # Sums over threads depend on how many there are
    n4.SetNumberOfThreads(1)
    try:
        mask = sitk.OtsuThreshold(volume, 0, 1, 200)
        n4.Execute(sitk.Shrink(volume, shrink), sitk.Shrink(mask, shrink))
        field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(volume))
    except RuntimeError as error:
        raise _failed("bias_field", error) from error
    voxels = np.asarray(image.voxels, dtype=np.float32)
    return Prepared(voxels / np.exp(field, dtype=np.float32), image.grid)


def clahe(image: Prepared, how: Clahe, _progress: Progress) -> Prepared:
    """Even contrast out tile by tile; values become 0 … 1. A volume of one value becomes 0."""
    from skimage.exposure import equalize_adapthist  # noqa: PLC0415  scikit-image is an extra

    voxels = np.asarray(image.voxels, dtype=np.float64)
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        return Prepared(np.zeros(voxels.shape, dtype=np.float32), image.grid)
    sizes = how.kernel_kji or tuple(max(size // _TILES, 1) for size in voxels.shape)
    kernel = tuple(min(side, size) for side, size in zip(sizes, voxels.shape, strict=True))
    flat = voxels.shape[0] == 1
    scaled = (voxels - low) / (high - low)
    done = equalize_adapthist(
        scaled[0] if flat else scaled,
        kernel_size=kernel[1:] if flat else kernel,
        clip_limit=how.clip_limit,
        nbins=how.bins,
    )
    return Prepared(np.asarray(done, dtype=np.float32).reshape(voxels.shape), image.grid)


def _simpleitk() -> Any:
    import SimpleITK  # noqa: PLC0415  an extra

    return SimpleITK


def _to_itk(sitk: Any, image: Prepared) -> Any:
    """Return the voxels as an ITK image whose smallest spacing is 1; directions play no part here."""
    volume = sitk.GetImageFromArray(np.ascontiguousarray(image.voxels, dtype=np.float32))
    spacing = image.grid.spacing_kji_mm[::-1]
    volume.SetSpacing([mm / min(spacing) for mm in spacing])
    return volume


def _failed(name: str, error: RuntimeError) -> NodeError:
    last = str(error).strip().splitlines()[-1].strip()
    return NodeError(PREPARATION_FAILED, reason=f"{name}: {last}")
