"""Numbers of a field as the 16-bit integers of an image, and the window that it is shown in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.report.drawing.display_window import SOFT_TISSUE
from dicomnode.report.fields.planes import numbers
from dicomnode.values import Code
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT, PERCENT, unit_word
from dicomnode.values.numbers import Float32

_LOWEST: Final = int(np.iinfo(np.int16).min)
_HIGHEST: Final = int(np.iinfo(np.int16).max)
_LEAST_STEPS: Final = 1024  # a source's own step is kept where so many of it reach the largest value
_HU_INTERCEPTS: Final = (0, -1024)
_PERCENTILES: Final = (1.0, 99.5)
_EVERY: Final = 4  # of rows and columns are enough for percentiles
_PLANES: Final = 32  # so are so many planes


@dataclass(frozen=True, slots=True)
class Scale:
    """value = slope * stored + intercept, both as they are written (DS)."""

    slope: str
    intercept: str

    @property
    def step(self) -> float:
        """How far neighbouring stored values lie apart: half of it is the largest error."""
        return float(self.slope)

    def stored(self, values: Float32) -> NDArray[np.int16]:
        """Return the nearest stored values, same shape; what is beyond becomes the lowest or highest one."""
        exact = (values.astype(np.float64) - float(self.intercept)) / self.step
        return np.clip(np.rint(exact), _LOWEST, _HIGHEST).astype(np.int16)

    def beyond(self, values: Float32) -> int:
        """Count the values that lie beyond the lowest and highest stored ones."""
        low, high = (float(self.intercept) + self.step * end for end in (_LOWEST - 0.5, _HIGHEST + 0.5))
        return int(np.count_nonzero((values < low) | (values > high)))

    def reach(self, unit: Code) -> str:
        """From where to where stored values reach, in words."""
        low, high = (float(self.intercept) + self.step * end for end in (_LOWEST, _HIGHEST))
        return f"{low:g} to {high:g} {unit_word(unit)}"


def scale_of(values: Float32, unit: Code, source_step: float) -> Scale:
    """Choose how values are stored: their error is below half a step of the source where 16 bits allow it.

    Hounsfield units keep steps of 1; the rare value beyond 16 bits is not worth coarser ones. Others keep the
    source's step (of its values in `unit`) where that uses ten bits at least, and else use all sixteen.
    """
    if unit == HOUNSFIELD:
        low, high = float(values.min()), float(values.max())
        fits = (one for one in _HU_INTERCEPTS if one + _LOWEST <= low and high <= one + _HIGHEST)
        return Scale("1", str(next(fits, _HU_INTERCEPTS[0])))
    largest = max(abs(float(values.min())), abs(float(values.max())))
    if largest == 0.0 or _LEAST_STEPS * source_step <= largest <= _HIGHEST * source_step:
        return Scale(numbers(source_step)[0], "0")
    return Scale(numbers(largest / _HIGHEST)[0], "0")


def window_of(values: Float32, unit: Code) -> tuple[float, float]:
    """Return the lowest and highest value shown, which differ.

    Parts of 1 and of 100 from nothing to all of it, Hounsfield units as soft tissue; others between
    percentiles, or from end to end where nearly all are one value.
    """
    low, high = float(values.min()), float(values.max())
    for one, whole in ((NO_UNIT, 1.0), (PERCENT, 100.0)):
        if unit == one and low >= 0.0 and high <= whole:
            return 0.0, whole
    if unit == HOUNSFIELD:
        return SOFT_TISSUE.low, SOFT_TISSUE.high
    some = values[:: max(1, values.shape[0] // _PLANES), ::_EVERY, ::_EVERY]
    shown = tuple(float(end) for end in np.percentile(some, _PERCENTILES))
    if shown[0] < shown[1]:
        return shown[0], shown[1]
    return (low, high) if low < high else (low, low + 1.0)


def window_text(low: float, high: float) -> tuple[str, str]:
    """Return Window Center and Window Width (DS) of what is shown from `low` to `high`."""
    return f"{(low + high) / 2:.6g}", f"{high - low:.6g}"
