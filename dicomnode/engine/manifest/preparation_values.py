"""Entries of `prepare` that change values and leave the grid: windows, scales, filters.

What is measured on the volume (mean, quantiles) is computed in float64 in a fixed order; the values
themselves are float32.
"""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from dicomnode.engine.manifest.preparation_geometry import Contradiction, Declaration
from dicomnode.settings.keys import POSITIVE, Rule, key, needed

Over = Literal["all", "nonzero", "nonzero_filled"]

_OVER_DOC: Final = (
    "Voxels that are measured and changed; the others keep their value. nonzero_filled: with the holes that "
    "lie within (nnU-Net)."
)
_PERCENT: Final = Rule("0 to 100", lambda n: 0 <= n <= 100)
_PERCENTS: Final = Rule(
    "two or more numbers from 0 to 100, each above the one before",
    lambda numbers: len(numbers) > 1 and all(0 <= n <= 100 for n in numbers) and _ascending(numbers),
)
_ASCENDING: Final = Rule(
    "two or more numbers, each above the one before",
    lambda numbers: len(numbers) > 1 and _ascending(numbers),
)
_RADII: Final = Rule("whole numbers from 0 to 7", lambda radii: all(0 <= n <= 7 for n in radii))
_ITERATIONS: Final = Rule(
    "one to six whole numbers from 1 to 500",
    lambda counts: 1 <= len(counts) <= 6 and all(1 <= n <= 500 for n in counts),
)


def _ascending(numbers: tuple[float, ...]) -> bool:
    return all(a < b for a, b in pairwise(numbers))


def _turned(low: str, high: str, pair: tuple[float, float]) -> Contradiction | None:
    if pair[0] < pair[1]:
        return None
    hint = "To turn bright into dark, use invert." if low.startswith("b_") else ""
    return Contradiction(key=high, expected=f"more than {low}, {pair[0]:g}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLevel(Declaration):
    """A display window: centre − width / 2 becomes `low`, centre + width / 2 becomes `high`, clipped.

    The function LINEAR_EXACT of PS3.3 C.11.2.1.3.2.
    """

    centre: float = needed("Window centre, in the volume's unit (HU).")
    width: float = needed("Window width, in the volume's unit.", POSITIVE)
    low: float = key(0.0, "What the lower end of the window becomes.")
    high: float = key(1.0, "What its upper end becomes.")

    def contradiction(self) -> Contradiction | None:
        """The lower end stays the lower one."""
        return _turned("low", "high", (self.low, self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRange(Declaration):
    """a_min becomes b_min, a_max becomes b_max, linearly (MONAI's ScaleIntensityRange)."""

    a_min: float = needed("A value, in the volume's unit …")
    a_max: float = needed("… and a larger one.")
    b_min: float = key(0.0, "What a_min becomes.")
    b_max: float = key(1.0, "What a_max becomes.")
    clip: bool = key(False, "Whether what lies outside becomes b_min or b_max.")

    def contradiction(self) -> Contradiction | None:
        """Both ranges run upwards."""
        return _turned("a_min", "a_max", (self.a_min, self.a_max)) or _turned(
            "b_min", "b_max", (self.b_min, self.b_max)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleMinmax(Declaration):
    """The smallest value becomes b_min, the largest b_max; a volume of one value becomes b_min."""

    b_min: float = key(0.0, "What the smallest value becomes.")
    b_max: float = key(1.0, "What the largest value becomes.")
    over: Over = key("all", _OVER_DOC)

    def contradiction(self) -> Contradiction | None:
        """The range runs upwards."""
        return _turned("b_min", "b_max", (self.b_min, self.b_max))


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile(Declaration):
    """The `lower` percentile becomes b_min, the `upper` one b_max (MONAI's ScaleIntensityRangePercentiles).

    Percentiles are interpolated linearly between the values (numpy's default). Where both are the same value,
    all becomes b_min.
    """

    lower: float = needed("A percentile, 0 to 100 …", _PERCENT)
    upper: float = needed("… and a larger one.", _PERCENT)
    b_min: float = key(0.0, "What the lower percentile becomes.")
    b_max: float = key(1.0, "What the upper percentile becomes.")
    clip: bool = key(False, "Whether what lies outside becomes b_min or b_max.")
    over: Over = key("all", _OVER_DOC)

    def contradiction(self) -> Contradiction | None:
        """Both ranges run upwards."""
        return _turned("lower", "upper", (self.lower, self.upper)) or _turned(
            "b_min", "b_max", (self.b_min, self.b_max)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZScore(Declaration):
    """(value − mean) / standard deviation: of the volume, or those that are given.

    The standard deviation is that of the population; where it is 0, values are only shifted.
    """

    mean: float | None = key(None, "Mean, in the volume's unit; measured unless given.")
    std: float | None = key(None, "Standard deviation; measured unless given.", POSITIVE)
    over: Over = key("all", _OVER_DOC)

    def contradiction(self) -> Contradiction | None:
        """A given mean with a measured spread is neither the one rule nor the other."""
        if (self.mean is None) != (self.std is None):
            missing = "std" if self.std is None else "mean"
            return Contradiction(
                key=missing, expected="mean and std, or neither", hint="To shift values only, use rescale."
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale(Declaration):
    """value · slope + intercept."""

    slope: float = key(1.0, "Factor.", Rule("a number other than 0", lambda n: n != 0))
    intercept: float = key(0.0, "Added afterwards.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks(Declaration):
    """Histogram matching to a scale that was learned: percentiles of the volume become `values`.

    Linear between them; what lies below the first or above the last takes its value. Source: Nyúl, Udupa and
    Zhang, IEEE Trans Med Imaging 19 (2000) 143.
    """

    percentiles: tuple[float, ...] = needed("Percentiles of the volume.", _PERCENTS)
    values: tuple[float, ...] = needed("What each of them becomes.", _ASCENDING)
    over: Over = key("all", _OVER_DOC)

    def contradiction(self) -> Contradiction | None:
        """One value for each percentile."""
        if len(self.percentiles) != len(self.values):
            return Contradiction(
                key="values", expected=f"{len(self.percentiles)} numbers", hint="One for each percentile."
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invert(Declaration):
    """low + high − value: dark becomes bright. Without keys, of the volume's smallest and largest value."""

    low: float | None = key(None, "What becomes `high`.")
    high: float | None = key(None, "What becomes `low`.")

    def contradiction(self) -> Contradiction | None:
        """Both ends, or those of the volume."""
        if (self.low is None) != (self.high is None):
            missing = "high" if self.high is None else "low"
            return Contradiction(key=missing, expected="low and high, or neither", hint="")
        if self.low is not None and self.high is not None:
            return _turned("low", "high", (self.low, self.high))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian(Declaration):
    """A Gaussian filter, the same in mm along all axes; edges held, cut off at 4 standard deviations."""

    sigma_mm: float = needed("Standard deviation of the filter, in mm.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Median(Declaration):
    """The median of a box around each voxel; edges mirrored. int16 stays int16."""

    radius_kji: tuple[int, int, int] = key((1, 1, 1), "Voxels on each side, along k, j, i.", _RADII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NonlocalMeans(Declaration):
    """Non-local means: each voxel becomes the mean of those whose neighbourhoods look alike.

    Source: Buades, Coll and Morel (2005); scikit-image's denoise_nl_means in its fast mode.
    """

    noise_sd: float | None = key(
        None,
        "Standard deviation of the noise, in the volume's unit; unless given, measured in the planes by the "
        "median of the finest diagonal details (Donoho and Johnstone 1994), where the volume is not 0.",
        POSITIVE,
    )
    strength: float = key(0.8, "Cut-off as a part of the noise: more smooths more.", POSITIVE)
    patch_voxels: int = key(3, "Side of a neighbourhood.", Rule("3, 5 or 7", lambda n: n in (3, 5, 7)))
    distance_voxels: int = key(3, "How far it is searched.", Rule("1 to 11", lambda n: 1 <= n <= 11))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvatureFlow(Declaration):
    """Curvature flow: surfaces of one value are smoothed where they are bent; edges stay sharp.

    Lengths are in units of the smallest spacing. Source: Sethian (1996); ITK's CurvatureFlowImageFilter.
    """

    iterations: int = key(5, "Number of steps.", Rule("1 to 100", lambda n: 1 <= n <= 100))
    time_step: float = key(
        0.0625, "Length of a step.", Rule("above 0, to 0.0625 (stable in 3D)", lambda n: 0 < n <= 0.0625)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasField(Declaration):
    """N4: a smooth field, estimated where Otsu's threshold sees an object, is divided out everywhere.

    Source: Tustison and others, IEEE Trans Med Imaging 29 (2010) 1310; SimpleITK's filter on one thread, so
    that the result does not depend on the machine's cores.
    """

    shrink: int = key(
        4,
        "Along each axis, one voxel of so many tells the field.",
        Rule("1 to 8", lambda n: 1 <= n <= 8),
    )
    iterations: tuple[int, ...] = key(
        (50, 50, 50, 50), "Most iterations at each level, coarse to fine.", _ITERATIONS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clahe(Declaration):
    """Contrast-limited adaptive histogram equalisation of the whole volume; the result is 0 … 1.

    Source: Zuiderveld (1994); scikit-image's equalize_adapthist.
    """

    kernel_kji: tuple[int, int, int] | None = key(
        None,
        "Voxels of a tile along k, j, i; an eighth of each axis unless given.",
        Rule("whole numbers above 0", lambda sides: all(n > 0 for n in sides)),
    )
    clip_limit: float = key(
        0.01, "Most contrast: 0 changes least, 1 limits nothing.", Rule("0 to 1", lambda n: 0 <= n <= 1)
    )
    bins: int = key(256, "Grey levels of a histogram.", Rule("16 to 4096", lambda n: 16 <= n <= 4096))
