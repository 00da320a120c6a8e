"""The search for how one image is to be bent over another one that it lies over already, by SimpleITK.

Like with like (two CTs): demons, which follow the values (Thirion, Med Image Anal 2 (1998) 243, with
symmetric forces). Otherwise B-splines by mutual information (Rueckert and others, IEEE Trans Med Imaging 18
(1999) 712). SimpleITK comes with the extra `imaging`; it is loaded when something is bent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.register_images import WorkingImage
from dicomnode.analyse.register_search import BINS, SEED, itk_image, itk_mask

_LEVELS: Final = (4, 2, 1)  # times the spacing of the working images, of the demons
_STEPS: Final = (60, 40, 25)
_SMOOTH: Final = 2.5  # voxels, of the field after each step: stiffer fields fold less
_ALIKE: Final = 1e-4  # values from 0 to 1 that differ by less are the same

_CONTROL_MM: Final = 48.0  # between the control points of the B-splines
_SHRUNKEN: Final = (4, 2)
_PLACES: Final = (1.0, 0.5)  # part of the body that is looked at, by level
_ITERATIONS: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """field_lps_mm: float32 (k, j, i, 3) on the grid of the fixed image: what is added to a point there.

    jacobian: float64 (k, j, i), the volume that a volume becomes.
    """

    field_lps_mm: NDArray[np.float32]
    jacobian: NDArray[np.float64]


def search_bend(fixed: WorkingImage, moving: WorkingImage, *, alike: bool) -> Bend:
    """Find it, coarse to fine. alike: equal values are equal tissue. Raises RuntimeError where that fails."""
    import SimpleITK  # noqa: PLC0415  an extra

    sitk: Any = SimpleITK
    images = itk_image(sitk, fixed), itk_image(sitk, moving)
    field = _demons(sitk, *images) if alike else _b_splines(sitk, *images, itk_mask(sitk, fixed))
    jacobian = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    return Bend(sitk.GetArrayFromImage(field).astype(np.float32), jacobian.astype(np.float64))


def _demons(sitk: Any, fixed: Any, moving: Any) -> Any:
    """Return the displacement field."""
    field = None
    spacing_mm = fixed.GetSpacing()[0]
    for level, steps in zip(_LEVELS, _STEPS, strict=True):
        smooth = [
            one if level == 1 else sitk.SmoothingRecursiveGaussian(one, 0.5 * level * spacing_mm)
            for one in (fixed, moving)
        ]
        target = sitk.Shrink(smooth[0], [level] * 3)
        source = sitk.Resample(smooth[1], target, sitk.Transform(), sitk.sitkLinear)
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(steps)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(_SMOOTH)
        demons.SetIntensityDifferenceThreshold(_ALIKE)
        field = (
            demons.Execute(target, source)
            if field is None
            else demons.Execute(target, source, sitk.Resample(field, target))
        )
    return field


def _b_splines(sitk: Any, fixed: Any, moving: Any, mask: Any) -> Any:
    """Return the displacement field."""
    extent_mm = [count * mm for count, mm in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [max(1, round(mm / _CONTROL_MM)) for mm in extent_mm]
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(list(_PLACES), SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(_SHRUNKEN))
    method.SetSmoothingSigmasPerLevel([0.5 * level for level in _SHRUNKEN])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsLBFGS2(
        solutionAccuracy=1e-4, numberOfIterations=_ITERATIONS, deltaConvergenceTolerance=1e-4
    )
    transform = sitk.BSplineTransformInitializer(fixed, mesh, 3)
    method.SetInitialTransformAsBSpline(transform, inPlace=True, scaleFactors=[1] * len(_SHRUNKEN))
    found = method.Execute(fixed, moving)
    return sitk.TransformToDisplacementField(
        found,
        sitk.sitkVectorFloat64,
        fixed.GetSize(),
        fixed.GetOrigin(),
        fixed.GetSpacing(),
        fixed.GetDirection(),
    )
