"""Intervals of the figures of a matrix alone: whose the cases are is not known, so each counts by itself.

Shares: Clopper and Pearson, Biometrika 26 (1934). The others: matrices drawn from the counts (a parametric
bootstrap; Efron and Tibshirani, 1993). With several cases a patient both are too narrow, and say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.evaluate.classification import ClassificationReport, classification_report
from dicomnode.evaluate.confusion import ConfusionMatrix
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Interval, Method, Resampling

_NO_DRAW_DIFFERS: Final = "all matrices that were drawn give the same: how far it may be off is not known"
ALONE: Final = (
    "Each case is taken for another patient, since a matrix does not say whose they are: where patients have "
    "several cases the intervals are too narrow."
)


def counted_intervals(report: ClassificationReport, how: Resampling) -> tuple[Interval, ...]:
    """Make the interval of every figure of a report, in its order; what is not defined has none."""
    figures = [one for one in report.figures() if one.name != "accuracy_without_looking"]
    drawn = _drawn(report.matrix, [one for one in figures if one.whole is None], how)
    return tuple(_share(one, how) if one.whole is not None else drawn[one.name, one.label] for one in figures)


def _share(figure: Figure, how: Resampling) -> Interval:
    """The exact interval of a part of a whole."""
    if figure.value is None or figure.part is None or not figure.whole:
        return _made(figure, how, None, Method.EXACT)
    from scipy.stats import binomtest  # noqa: PLC0415 (slow to load, of use only here)

    ends = binomtest(figure.part, figure.whole).proportion_ci(how.level, method="exact")
    return _made(figure, how, (float(ends.low), float(ends.high)), Method.EXACT)


def _drawn(
    matrix: ConfusionMatrix, figures: Sequence[Figure], how: Resampling
) -> dict[tuple[str, str | None], Interval]:
    """Draw matrices of as many cases, and read the percentiles of figures that are no shares."""
    keys = [(one.name, one.label) for one in figures]
    found: dict[tuple[str, str | None], list[float]] = {key: [] for key in keys}
    generator = np.random.default_rng(how.seed)
    shares = matrix.counts.ravel() / max(matrix.total, 1)
    draws = generator.multinomial(matrix.total, shares, size=how.resamples) if matrix.total else ()
    for counts in draws:
        one = ConfusionMatrix(labels=matrix.labels, counts=counts.reshape(matrix.counts.shape))
        for figure in classification_report(one).figures():
            key = (figure.name, figure.label)
            if key in found and figure.value is not None:
                found[key].append(figure.value)
    tail = 50.0 * (1.0 - how.level)
    made = {}
    for key, figure in zip(keys, figures, strict=True):
        values = found[key]
        ends = None
        if figure.value is not None and values and min(values) < max(values):
            low, high = np.percentile(values, [tail, 100.0 - tail])
            ends = (float(low), float(high))
        made[key] = _made(figure, how, ends, Method.PERCENTILE, len(draws) - len(values))
    return made


def _made(
    figure: Figure, how: Resampling, ends: tuple[float, float] | None, method: Method, undefined: int = 0
) -> Interval:
    low, high = (None, None) if ends is None else ends
    told = [ALONE] if ends is not None else [_NO_DRAW_DIFFERS]
    if figure.value is None:
        told = [f"the figure itself is undefined: {figure.reason}"]
    elif undefined:
        told.append(f"{undefined} of {how.resamples} matrices that were drawn do not have it: left out")
    return Interval(
        figure=figure,
        low=low,
        high=high,
        standard_error=None,
        level=how.level,
        method=method,
        asked=method,
        resamples=how.resamples if method is Method.PERCENTILE else 0,
        undefined=undefined,
        patients=0,
        seed=how.seed,
        remarks=tuple(told),
    )
