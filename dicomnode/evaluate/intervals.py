"""How far a figure may be off: the bootstrap, with whole patients drawn.

Studies, images and findings of one patient resemble one another; drawing them one by one would take them
for more than they are, and the interval would come out too narrow. So patients are drawn with replacement,
each with all its cases (Efron and Tibshirani, An Introduction to the Bootstrap, 1993; clusters: Field and
Welsh, Journal of the Royal Statistical Society B 69, 2007).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Final

import numpy as np

from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.figures import Figure
from dicomnode.values.geometry import Float64

FigureOf = Callable[[Rows], Figure]
"""A figure of the cases at some rows, of which some may stand there several times, others not at all."""

FEW_PATIENTS: Final = 30
"""With fewer, intervals of percentiles are about six percent too narrow and more: sqrt((n - 1) / n) for the
spread, and normal in place of Student's quantiles (Hesterberg, The American Statistician 69, 2015)."""

UNDEFINED_SHARE: Final = 0.05
"""When more of the resamples than this have no such figure, it is told."""


class Method(StrEnum):
    """How an interval is read from the resamples."""

    PERCENTILE = "percentile"
    EXACT = "exact"  # Clopper and Pearson, Biometrika 26 (1934): of shares of which all is found, or nothing
    BCA = "bca"  # bias-corrected and accelerated: Efron, JASA 82 (1987)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How to draw. level: part of the resamples within the interval, 0.95. Equal seeds draw equal patients.

    Raises ValueError on fewer than 100 resamples, and on a level outside 0 to 1.
    """

    method: Method = Method.PERCENTILE
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise ValueError(f"an interval needs 100 resamples and more, got {self.resamples}")
        if not 0.0 < self.level < 1.0:
            raise ValueError(f"Resampling.level must be between 0 and 1, got {self.level!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its interval, low to high, None where there is none: `remarks` say why.

    method: the one that was used; asked: the one that was wished for. resamples: drawn; undefined: those of
    them that do not have this figure (no sick patient was drawn …), left out. standard_error: their spread.
    remarks: sentences that belong beside the interval.
    """

    figure: Figure
    low: float | None
    high: float | None
    standard_error: float | None
    level: float
    method: Method
    asked: Method
    resamples: int
    undefined: int
    patients: int
    seed: int
    remarks: tuple[str, ...]

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends or none")
        if self.low is None and not self.remarks:
            raise ValueError("an interval that is missing says why")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError(f"no interval from {self.low!r} to {self.high!r}")

    @property
    def text(self) -> str:
        """The figure with its interval on one line."""
        if self.low is None or self.high is None:
            return f"{self.figure.text} (no interval: {self.remarks[0]})"
        return f"{self.figure.text} [{self.low:.3f} to {self.high:.3f}]"


def bootstrap_interval(
    patients: Sequence[str], figure_of: FigureOf, resampling: Resampling | None = None
) -> Interval:
    """Make the interval of any figure. patients: of each case, whose it is (a key; it is told nowhere).

    The order of the cases does not matter to what is drawn. An interval of BCa that cannot be had (the figure
    is undefined without one of the patients, or hardly varies) becomes one of percentiles, and says so. Of a
    share that is 0 or 1 no resample differs, and 1.000 to 1.000 would say that it is certain: its interval is
    the exact one, of as many trials as patients have a part in it. What one patient alone has, has none.
    """
    how = resampling or Resampling()
    groups = _cases_of_patients(patients)
    figure = figure_of(np.arange(len(patients)))
    if figure.value is None:
        return _no_interval(figure, how, len(groups), f"the figure itself is undefined: {figure.reason}")
    if len(groups) < 2:
        return _no_interval(figure, how, len(groups), "patients are drawn, and there is one only")

    def value_of(chosen: Rows) -> float:
        found = figure_of(np.concatenate([groups[n] for n in chosen])).value
        return math.nan if found is None else found

    drawn = _draw(value_of, len(groups), how)
    defined = drawn[~np.isnan(drawn)]
    if defined.size < 2:
        return _no_interval(figure, how, len(groups), "hardly any resample has this figure")
    if defined.min() == defined.max():
        bearing = sum(figure_of(rows).value is not None for rows in groups)
        if bearing == 1:
            return _no_interval(figure, how, len(groups), "one patient alone has this figure")
        if figure.part is not None and figure.part in {0, figure.whole}:
            return _exact(figure, how, len(groups), (bearing, defined.size))
    return _drawn(figure, how, defined, (value_of, len(groups)))


def _drawn(
    figure: Figure, how: Resampling, defined: Float64, of: tuple[Callable[[Rows], float], int]
) -> Interval:
    """Make the interval of what was drawn. of: the value of a draw, and how many patients there are."""
    value_of, patients = of
    (low, high), method = _ends(defined, value_of, patients, how)
    remarks = _remarks(patients, defined, how)
    if method is not how.method:
        remarks.append("BCa cannot be had for this figure of these patients: percentiles instead.")
    return Interval(
        figure=figure,
        low=low,
        high=high,
        standard_error=float(defined.std(ddof=1)),
        level=how.level,
        method=method,
        asked=how.method,
        resamples=how.resamples,
        undefined=how.resamples - defined.size,
        patients=patients,
        seed=how.seed,
        remarks=tuple(remarks),
    )


def _cases_of_patients(patients: Sequence[str]) -> list[Rows]:
    """Rows of each patient, patients in the order of their keys."""
    _, whose = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    order = np.argsort(whose, kind="stable")
    starts = np.flatnonzero(np.diff(whose[order], prepend=-1))
    return [np.asarray(rows, dtype=np.intp) for rows in np.split(order, starts[1:])] if len(order) else []


def _draw(value_of: Callable[[Rows], float], patients: int, how: Resampling) -> Float64:
    """Values of the figure (resamples,), NaN where a resample does not have it."""
    generator = np.random.default_rng(how.seed)
    draws = (generator.integers(0, patients, size=patients) for _ in range(how.resamples))
    return np.fromiter((value_of(chosen) for chosen in draws), dtype=np.float64, count=how.resamples)


def _ends(
    defined: Float64, value_of: Callable[[Rows], float], patients: int, how: Resampling
) -> tuple[tuple[float, float], Method]:
    """Both ends, and the method that gave them."""
    if how.method is Method.BCA and defined.min() < defined.max():
        low, high = _scipy_ends(defined, value_of, patients, how)
        if math.isfinite(low) and math.isfinite(high):
            return (low, high), Method.BCA
    tail = (1.0 - how.level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return (float(low), float(high)), Method.PERCENTILE


def _scipy_ends(
    defined: Float64, value_of: Callable[[Rows], float], patients: int, how: Resampling
) -> tuple[float, float]:
    """SciPy's BCa of what was drawn, its jackknife over patients; NaN where it cannot be had."""
    from scipy import stats  # noqa: PLC0415 (slow to load, of use only here)

    def statistic(chosen: Rows) -> float:
        return value_of(np.asarray(chosen, dtype=np.intp))

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # the caller looks for NaN
        result = stats.bootstrap(
            (np.arange(patients),),
            statistic,
            n_resamples=0,
            batch=64,  # patients left out at a time: all at once would be patients² numbers
            vectorized=False,
            method="BCa",
            confidence_level=how.level,
            bootstrap_result=SimpleNamespace(bootstrap_distribution=defined),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _exact(figure: Figure, how: Resampling, patients: int, counts: tuple[int, int]) -> Interval:
    """Of a share that is 0 or 1: patients are the trials, since what one has may be all alike.

    counts: patients that bear on it, and resamples that have it.
    """
    bearing, defined = counts
    reach = ((1.0 - how.level) / 2.0) ** (1.0 / max(bearing, 1))
    low, high = (reach, 1.0) if figure.part else (0.0, 1.0 - reach)
    told = _undefined(how.resamples - defined, how)
    told.append(f"No resample differs: the interval is the exact one of {bearing} patients that bear on it.")
    return Interval(
        figure=figure,
        low=low,
        high=high,
        standard_error=None,
        level=how.level,
        method=Method.EXACT,
        asked=how.method,
        resamples=how.resamples,
        undefined=how.resamples - defined,
        patients=patients,
        seed=how.seed,
        remarks=tuple(told),
    )


def _undefined(count: int, how: Resampling) -> list[str]:
    if count <= UNDEFINED_SHARE * how.resamples:
        return []
    return [f"{count} of {how.resamples} resamples do not have this figure and were left out."]


def _remarks(patients: int, defined: Float64, how: Resampling) -> list[str]:
    told = []
    if patients < FEW_PATIENTS:
        told.append(f"Only {patients} patients: the interval is likely too narrow.")
    told += _undefined(how.resamples - defined.size, how)
    if defined.min() == defined.max():
        told.append("No resample differs: the interval does not say how far the figure may be off.")
    return told


def _no_interval(figure: Figure, how: Resampling, patients: int, why: str) -> Interval:
    return Interval(
        figure=figure,
        low=None,
        high=None,
        standard_error=None,
        level=how.level,
        method=how.method,
        asked=how.method,
        resamples=0,
        undefined=0,
        patients=patients,
        seed=how.seed,
        remarks=(why,),
    )
