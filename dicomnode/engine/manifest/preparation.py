"""What engine.toml can say about making an input ready: one entry of `prepare`."""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from dicomnode.engine.manifest.preparation_geometry import (
    ORIENTATION,
    CropCentre,
    CropForeground,
    Declaration,
    Letterbox,
    Pad,
    Resample,
    Resize,
)
from dicomnode.engine.manifest.preparation_values import (
    BiasField,
    Clahe,
    CurvatureFlow,
    Gaussian,
    Invert,
    Landmarks,
    Median,
    NonlocalMeans,
    Percentile,
    Rescale,
    ScaleMinmax,
    ScaleRange,
    WindowLevel,
    ZScore,
)
from dicomnode.engine.manifest.vocabulary import POSITIVES, RANGE
from dicomnode.settings import Problem
from dicomnode.settings.keys import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """One thing done to the volume before the steps, in the order of the list; exactly one is set.

    The same entries are done in training. A tensor's axes are k, j, i in this order: a network that was
    trained on arrays with the axes R, A, S (first to last) wants orient = "SAR".
    """

    orient: str | None = key(
        None,
        "Turns and flips the axes so that i, j, k run where the letters say; no value changes.",
        ORIENTATION,
    )
    resample_mm: tuple[float, float, float] | None = key(
        None,
        "Gives the volume this spacing along k, j, i: linear from the outer face on, blurred before coarser.",
        POSITIVES,
    )
    resample: Resample | None = key(None, "Gives the volume a new spacing, with choices.")
    resize: Resize | None = key(None, "Gives the volume a fixed number of voxels; its spacing follows.")
    letterbox: Letterbox | None = key(
        None, "Scales slices into a box of rows and columns without stretching, and pads the rest."
    )
    crop_foreground: CropForeground | None = key(None, "Cuts the volume down to the box of what it shows.")
    crop_centre: CropCentre | None = key(None, "Cuts the volume down to its middle.")
    pad: Pad | None = key(None, "Adds voxels at the ends of the axes.")
    clip: tuple[float, float] | None = key(
        None,
        "Limits values to the smallest and the largest given, in the volume's unit.",
        RANGE,
    )
    window: WindowLevel | None = key(None, "Scales values by a window's centre and width, clipped.")
    scale_range: ScaleRange | None = key(None, "Scales values from one given range to another.")
    scale_minmax: ScaleMinmax | None = key(None, "Scales values from the volume's own range to a given one.")
    percentile: Percentile | None = key(None, "Scales values from two percentiles to a given range.")
    z_score: ZScore | None = key(None, "Takes the mean off and divides by the standard deviation.")
    rescale: Rescale | None = key(None, "Multiplies values by a slope and adds an intercept.")
    invert: Invert | None = key(None, "Turns bright into dark.")
    landmarks: Landmarks | None = key(
        None, "Matches the histogram to a learned scale, linear piece by piece."
    )
    gaussian: Gaussian | None = key(None, "Smooths values with a Gaussian of so many mm.")
    median: Median | None = key(None, "Takes single outliers away by the median of a box.")
    nonlocal_means: NonlocalMeans | None = key(None, "Takes noise away, by averaging what looks alike.")
    curvature_flow: CurvatureFlow | None = key(None, "Takes noise away and keeps edges sharp.")
    bias_field: BiasField | None = key(None, "Divides the smooth shading of an MR coil out (N4).")
    clahe: Clahe | None = key(None, "Evens contrast out, place by place; values become 0 … 1.")

    @property
    def given(self) -> tuple[str, ...]:
        """Names of what is set; exactly one, once `check_preparation` has found nothing."""
        return tuple(name for name in PREPARATION_NAMES if getattr(self, name) is not None)

    @property
    def name(self) -> str:
        """Name of the one that is set; ValueError when there is none, or more."""
        if len(self.given) != 1:
            raise ValueError(f"a Preparation sets exactly one of its keys, got {list(self.given)}")
        return self.given[0]

    @property
    def declared(self) -> object:
        """What is set: a `Declaration`, or the plain value of `orient`, `resample_mm` and `clip`."""
        return getattr(self, self.name)

    @property
    def keeps_grid(self) -> bool:
        """Whether it changes values only."""
        return self.name not in _NEW_GRIDS


# Whatever else they do, these give another grid; all others change values only
_NEW_GRIDS: Final = frozenset(
    {
        "orient",
        "resample_mm",
        "resample",
        "resize",
        "letterbox",
        "crop_foreground",
        "crop_centre",
        "pad",
    }
)

PREPARATION_NAMES: Final[tuple[str, ...]] = tuple(entry.name for entry in fields(Preparation))


def check_preparation(where: str, entry: Preparation) -> Iterator[Problem]:
    """Find what no key of an entry alone can tell; `where` is its path in engine.toml."""
    if len(entry.given) != 1:
        expected = f"exactly one of {', '.join(PREPARATION_NAMES)}"
        yield Problem(key=where, value=list(entry.given) or None, expected=expected)
    for name in entry.given:
        declared = getattr(entry, name)
        wrong = declared.contradiction() if isinstance(declared, Declaration) else None
        if wrong is not None:
            value = getattr(declared, wrong.key)
            value = list(value) if isinstance(value, tuple) else value
            yield Problem(
                key=f"{where}.{name}.{wrong.key}", value=value, expected=wrong.expected, hint=wrong.hint
            )
