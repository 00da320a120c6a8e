"""The search for the map between two images, by SimpleITK: where to begin, then coarse to fine.

SimpleITK comes with the extra `imaging`; it is loaded when something is registered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

import numpy as np

from dicomnode.analyse.register_images import WorkingImage
from dicomnode.values.geometry import Float64

SEED: Final = 20_011  # of the places that are looked at
BINS: Final = 40  # of the joint histogram
_COARSE: Final = 4  # times the spacing of the working images, for the beginnings
_LEVELS: Final = (4, 2, 1)
_PLACES: Final = (1.0, 0.25, 0.08)  # part of the body that is looked at, by level
_STEPS: Final = (120, 80, 60)
_FIRST_STEP_MM: Final = (4.0, 1.0, 0.4)
_LAST_STEP_MM: Final = (2e-2, 5e-3, 2e-3)
_ALONG_MM: Final = tuple(range(-150, 151, 25))  # beginnings along the body: fields of view differ most there
_SHARED: Final = 0.4  # of the shorter field of view, that a beginning leaves on each other along each axis
_FOLLOWED: Final = 3  # of the beginnings, the best


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """matrix: float64 (4, 4), LPS mm of the fixed image → of the moving one. information: mutual, in nats."""

    matrix: Float64
    information: float

    def inverse(self) -> Turn:
        """Return the way back."""
        return Turn(inverse(self.matrix), self.information)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let ITK work on one thread meanwhile: what its metric sums up on several is never twice the same."""
    import SimpleITK  # noqa: PLC0415  an extra

    every: Any = SimpleITK.ProcessObject
    before = every.GetGlobalDefaultNumberOfThreads()
    every.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        every.SetGlobalDefaultNumberOfThreads(before)


def inverse(matrix: Float64) -> Float64:
    """Return the map back."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


class Search:
    """Finds where `moving` lies, from the places of `fixed` that show the body."""

    def __init__(self, fixed: WorkingImage, moving: WorkingImage, kind: Literal["rigid", "affine"]) -> None:
        import SimpleITK  # noqa: PLC0415  an extra

        self._sitk: Any = SimpleITK
        self._fixed, self._moving, self._kind = fixed, moving, kind
        self._fixed_image = itk_image(SimpleITK, fixed)
        self._moving_image = itk_image(SimpleITK, moving)
        self._mask = itk_mask(SimpleITK, fixed)
        self._centre = _middle(fixed)

    def run(self) -> Turn:
        """Follow the best beginnings through the coarsest level, and the best of them to the finest.

        Raises RuntimeError where nothing overlaps.
        """
        levels = range(len(_LEVELS))
        begun = [self._optimised(self._rigid(shift), [levels[0]]) for shift in self._beginnings()[:_FOLLOWED]]
        if not begun:
            raise RuntimeError("no place was found where they lie on each other")
        best = max(begun, key=lambda pair: pair[1])
        found = self._optimised(best[0], levels[1:])
        if self._kind == "affine":
            found = self._optimised(self._affine(found[0]), levels[1:])
        return Turn(_matrix(found[0]), found[1])

    def refine(self, near: Turn) -> Turn:
        """Find the map near one that is known. Raises RuntimeError where nothing overlaps."""
        centre = np.array(self._centre)
        moved = near.matrix[:3, :3] @ centre + near.matrix[:3, 3]
        transform = self._rigid(moved - centre)
        if self._kind == "affine":
            transform = self._affine(transform)
        transform.SetMatrix(near.matrix[:3, :3].ravel().tolist())
        found, information = self._optimised(transform, range(1, len(_LEVELS)))
        return Turn(_matrix(found), information)

    def _beginnings(self) -> list[Float64]:
        """Return the shifts to begin with, the best first: middles on each other, the same mm, along z."""
        middles = np.array(_middle(self._moving)) - np.array(self._centre)
        centres = _box_middle(self._moving) - _box_middle(self._fixed)
        shifts: list[Float64] = [
            base + np.array((0.0, 0.0, along))
            for base, along in product((middles, centres, np.zeros(3)), _ALONG_MM)
        ]
        method = self._method([0], [1.0])
        fixed, moving = self._shrunken()
        valued = []
        for shift in filter(self._share, shifts):
            method.SetInitialTransform(self._rigid(shift), inPlace=False)
            valued.append((float(method.MetricEvaluate(fixed, moving)), tuple(shift)))
        return [np.array(shift) for _, shift in sorted(valued)]

    def _share(self, shift: Float64) -> bool:
        """Tell whether enough of the two fields of view lies on each other."""
        (low, high), (low_moving, high_moving) = (_faces(self._fixed), _faces(self._moving))
        shared = np.minimum(high, high_moving - shift) - np.maximum(low, low_moving - shift)
        return bool((shared >= _SHARED * np.minimum(high - low, high_moving - low_moving)).all())

    def _shrunken(self) -> tuple[Any, Any]:
        shrink = [_COARSE] * 3
        smooth = [
            self._sitk.SmoothingRecursiveGaussian(one, _COARSE * 0.5 * one.GetSpacing()[0])
            for one in (self._fixed_image, self._moving_image)
        ]
        return self._sitk.Shrink(smooth[0], shrink), self._sitk.Shrink(smooth[1], shrink)

    def _method(self, levels: Any, places: list[float]) -> Any:
        method = self._sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(BINS)
        method.SetMetricFixedMask(self._mask)
        method.SetInterpolator(self._sitk.sitkLinear)
        if min(places) < 1.0:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentagePerLevel(places, SEED)
        method.SetShrinkFactorsPerLevel([_LEVELS[level] for level in levels])
        method.SetSmoothingSigmasPerLevel(
            [0.5 * _LEVELS[level] if _LEVELS[level] > 1 else 0.0 for level in levels]
        )
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        return method

    def _optimised(self, transform: Any, levels: Any) -> tuple[Any, float]:
        """Follow the metric from `transform` through some levels; return where it ends, and its value."""
        information = 0.0
        for level in levels:
            method = self._method([level], [_PLACES[level]])
            method.SetOptimizerAsRegularStepGradientDescent(
                learningRate=_FIRST_STEP_MM[level],
                minStep=_LAST_STEP_MM[level],
                numberOfIterations=_STEPS[level],
                relaxationFactor=0.5,
                gradientMagnitudeTolerance=1e-8,
            )
            method.SetOptimizerScalesFromPhysicalShift()
            method.SetInitialTransform(transform, inPlace=False)
            transform = method.Execute(self._fixed_image, self._moving_image)
            transform = self._own(transform)
            information = -float(method.GetMetricValue())
        return transform, information

    def _own(self, transform: Any) -> Any:
        """Return what came out as the kind that went in: it comes as a composite of one."""
        plain = transform.GetNthTransform(0) if hasattr(transform, "GetNthTransform") else transform
        return plain.Downcast() if hasattr(plain, "Downcast") else plain

    def _rigid(self, shift: Float64) -> Any:
        return self._sitk.Euler3DTransform(self._centre, 0.0, 0.0, 0.0, tuple(map(float, shift)))

    def _affine(self, rigid: Any) -> Any:
        affine = self._sitk.AffineTransform(3)
        affine.SetCenter(self._centre)
        affine.SetMatrix(rigid.GetMatrix())
        affine.SetTranslation(rigid.GetTranslation())
        return affine


def itk_image(sitk: Any, image: WorkingImage) -> Any:
    """Return the voxels as ITK has them."""
    return _placed(sitk.GetImageFromArray(np.ascontiguousarray(image.voxels)), image)


def itk_mask(sitk: Any, image: WorkingImage) -> Any:
    """Return where the body is as ITK has it."""
    return _placed(sitk.GetImageFromArray(image.mask.astype(np.uint8)), image)


def _placed(made: Any, image: WorkingImage) -> Any:
    """Say where it lies: the axes of a working image are those of the patient, and ITK's mm are LPS too."""
    made.SetSpacing([float(mm) for mm in image.grid.spacing_kji_mm[::-1]])
    made.SetOrigin(image.grid.affine_lps[:3, 3].tolist())
    return made


def _middle(image: WorkingImage) -> tuple[float, float, float]:
    """Return the middle of the body, LPS mm."""
    x, y, z = image.grid.to_lps_mm([axis.mean() for axis in np.nonzero(image.mask)])
    return float(x), float(y), float(z)


def _box_middle(image: WorkingImage) -> Float64:
    low, high = _faces(image)
    middle: Float64 = (low + high) / 2.0
    return middle


def _faces(image: WorkingImage) -> tuple[Float64, Float64]:
    return image.grid.to_lps_mm((-0.5,) * 3), image.grid.to_lps_mm(np.array(image.grid.shape_kji) - 0.5)


def _matrix(transform: Any) -> Float64:
    """Return a transform about a centre as a (4, 4) matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    centre = np.array(transform.GetCenter())
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return matrix
