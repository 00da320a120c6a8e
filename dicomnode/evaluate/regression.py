"""How far numbers lie from the true ones, and whether two ways to measure agree.

Limits of agreement: Bland and Altman, Lancet 327 (1986). Concordance: Lin, Biometrics 45 (1989). A high
correlation alone says nothing: twice the true number correlates perfectly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from dicomnode.evaluate.cases import NO_CASES, Rows
from dicomnode.evaluate.figures import Figure
from dicomnode.values.geometry import Float64, read_only

NORMAL_975: Final = 1.959963984540054
"""Of normally distributed differences 95 % lie within so many standard deviations."""

_TOO_NEAR: Final = "the numbers differ by less than can be computed with"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredCases:
    """Found and true numbers, float64 (n,) each, in one unit. ValueError on different lengths and NaN."""

    found: Float64
    true: Float64

    def __post_init__(self) -> None:
        for name in ("found", "true"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or not np.isfinite(values).all():
                raise ValueError(f"MeasuredCases.{name} must be finite numbers (n,)")
            object.__setattr__(self, name, read_only(values))
        if self.found.shape != self.true.shape:
            raise ValueError(f"a found and a true number a case: got {self.found.shape}, {self.true.shape}")

    @classmethod
    def of(cls, found: ArrayLike, true: ArrayLike) -> MeasuredCases:
        """Make it of any two lists of numbers."""
        return cls(found=np.asarray(found, dtype=np.float64), true=np.asarray(true, dtype=np.float64))

    @property
    def differences(self) -> Float64:
        """Found minus true."""
        return self.found - self.true

    def take(self, rows: Rows) -> MeasuredCases:
        """The cases at `rows`, repeated ones repeated: a resample."""
        return MeasuredCases(found=self.found[rows], true=self.true[rows])


def mean_absolute_error(cases: MeasuredCases) -> Figure:
    """Mean of |found - true|, in the unit of the cases; None without a case."""
    return _mean("mean_absolute_error", np.abs(cases.differences))


def root_mean_square_error(cases: MeasuredCases) -> Figure:
    """Root of the mean of (found - true)²: large errors count more; None without a case."""
    squared = _mean("root_mean_square_error", cases.differences**2)
    return (
        squared if squared.value is None else Figure(name=squared.name, value=float(np.sqrt(squared.value)))
    )


def bias(cases: MeasuredCases) -> Figure:
    """Mean of found - true; None without a case."""
    return _mean("bias", cases.differences)


def limits_of_agreement(cases: MeasuredCases) -> tuple[Figure, Figure]:
    """Bias ∓ 1.96 standard deviations (n - 1) of the differences; None with fewer than two cases."""
    names = ("limit_low", "limit_high")
    if cases.found.size < 2:
        low, high = (Figure(name=name, value=None, reason="it takes two cases and more") for name in names)
        return low, high
    differences = cases.differences
    middle, reach = float(differences.mean()), NORMAL_975 * float(differences.std(ddof=1))
    return Figure(name=names[0], value=middle - reach), Figure(name=names[1], value=middle + reach)


def concordance(cases: MeasuredCases) -> Figure:
    """2·s_xy / (s_x² + s_y² + (x̄ - ȳ)²), moments over n, -1 to 1; 1 only where all numbers are equal."""
    why = _all_the_same(cases, both=False)
    if why:
        return Figure(name="concordance", value=None, reason=why)
    x, y = cases.found, cases.true
    together = float(((x - x.mean()) * (y - y.mean())).mean())
    apart = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    if apart == 0.0:
        return Figure(name="concordance", value=None, reason=_TOO_NEAR)
    return Figure(name="concordance", value=2.0 * together / apart)


def pearson(cases: MeasuredCases) -> Figure:
    """Correlation, -1 to 1; None where the found or the true numbers are all the same."""
    why = _all_the_same(cases, both=True)
    if why:
        return Figure(name="pearson_r", value=None, reason=why)
    x, y = cases.found - cases.found.mean(), cases.true - cases.true.mean()
    apart = float(np.sqrt((x @ x) * (y @ y)))
    if apart == 0.0:
        return Figure(name="pearson_r", value=None, reason=_TOO_NEAR)
    value = float(x @ y) / apart
    return Figure(name="pearson_r", value=min(max(value, -1.0), 1.0))


def _mean(name: str, values: Float64) -> Figure:
    if not values.size:
        return Figure(name=name, value=None, reason=NO_CASES)
    return Figure(name=name, value=float(values.mean()))


def _all_the_same(cases: MeasuredCases, *, both: bool) -> str:
    """Why nothing can be told: no spread. both: of each of found and true, else of all together."""
    if not cases.found.size:
        return NO_CASES
    if both:
        for values, what in ((cases.found, "found"), (cases.true, "true")):
            if values.min() == values.max():
                return f"all {what} numbers are the same"
        return ""
    every = np.concatenate([cases.found, cases.true])
    return "all numbers are the same" if every.min() == every.max() else ""
