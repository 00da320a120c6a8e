"""The figures of readers: kappa and alpha of labels, limits and ICC of numbers, overlap of outlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.agreement import (
    Weights,
    fleiss_of_counts,
    intraclass_correlation,
    kappa_of_counts,
    krippendorff_alpha,
)
from dicomnode.evaluate.cases import NO_CASES, Rows
from dicomnode.evaluate.evaluation import FEW_PATIENTS, DataFacts
from dicomnode.evaluate.figures import Figure, counted, share
from dicomnode.evaluate.intervals import FigureOf, Interval, Resampling, bootstrap_interval
from dicomnode.evaluate.readers.readings import (
    AnyReadings,
    OutlinedPair,
    ReadClasses,
    Readings,
    ReadNumbers,
    ReadOutlines,
)
from dicomnode.evaluate.readers.results import PairOfReaders, ReadersReport, ReadersResult
from dicomnode.evaluate.regression import MeasuredCases, bias, limits_of_agreement
from dicomnode.faults import READERS_NONE, NodeError
from dicomnode.values import Progress, no_progress

POOR: Final = 0.4
"""Kappa, alpha or ICC below this are told: fair at best (Landis and Koch, Biometrics 33, 1977)."""

MOSTLY: Final = 0.8
"""Readers who say the same this often, and have a poor kappa, are told why: one label is rare."""

_RARE: Final = (
    "They do say the same in {same:.3f} of all pairs of readings: where one label is rare, kappa and alpha "
    "are low all the same (Feinstein and Cicchetti, Journal of Clinical Epidemiology 43, 1990)."
)
_MISSING: Final = -1  # of an index: not read
_SAME: Final = "both call every case the same"
_NO_PAIR: Final = "no case has outlines of both"
_EMPTY: Final = "no case has anything to outline"


def readers_report(
    readings: Sequence[Readings], data: DataFacts, resampling: Resampling, progress: Progress = no_progress
) -> ReadersReport:
    """Compute all figures. Progress: "drawing patients".

    Raises NodeError(READERS_NONE) where no two readers have read the same case.
    """
    results: list[ReadersResult] = []
    left: list[str] = []
    for done, one in enumerate(readings):
        progress("drawing patients", done, len(readings))
        made = _OF_KIND[type(one)](one, resampling)
        if made is None:
            left.append(f"{one.title}: no case has two readers.")
            continue
        if 1 < made.patients < FEW_PATIENTS <= data.patients:  # else it is said once, of all
            few = f"Only {counted(made.patients, 'patient')}: the figures may be far off."
            made = replace(made, warnings=(*made.warnings, few))
        results.append(made)
    progress("drawing patients", len(readings), len(readings))
    if not results:
        problem = left[0].rstrip(".") if left else "nothing in the data is of two people on the same images"
        raise NodeError(READERS_NONE, studies=data.studies, problem=problem)
    return ReadersReport(data=data, results=tuple(results), remarks=tuple(left), resampling=resampling)


def _finished(
    readings: AnyReadings,
    counts: tuple[int, int, int],
    patients: Sequence[str],
    together: Sequence[Interval],
    pairs: Sequence[PairOfReaders],
) -> ReadersResult:
    """Put a result together.

    counts: cases that are compared, that are not, and that all together are compared on; patients: of the
    compared.
    """
    compared, alone, by_all = counts
    lead, many, warnings = together[0].figure, len(set(patients)), []
    if lead.value is not None and lead.value < POOR and not isinstance(readings, ReadOutlines):
        warnings.append(f"Readers agree little ({lead.value:.3f}): what one of them says is one opinion.")
        if isinstance(readings, ReadClasses) and (same := _said_the_same(readings)) >= MOSTLY:
            warnings.append(_RARE.format(same=same))
    if many == 1:
        warnings.append("All cases are of one patient: nothing says how far the figures may be off.")
    told = [f"{counted(alone, 'case')} with one reader alone: in no figure."] if alone else []
    if by_all < compared:
        told.append(f"All together: of the {counted(by_all, 'case')} that each of them has read.")
    return ReadersResult(
        readings=readings,
        compared=compared,
        alone=alone,
        patients=many,
        by_all=by_all,
        together=tuple(together),
        pairs=tuple(pairs),
        warnings=tuple(warnings),
        remarks=(*told, *readings.remarks),
    )


# ── labels ──


def _said_the_same(of: ReadClasses) -> float:
    """Return the share of pairs of readings of one case that are the same; there is such a pair."""
    rows = ([one for one in row if one is not None] for row in of.given)
    same = [a == b for row in rows for a, b in combinations(row, 2)]
    return sum(same) / len(same)


def _classes(of: ReadClasses, how: Resampling) -> ReadersResult | None:
    index = {label: n for n, label in enumerate(of.labels)} | {None: _MISSING}
    given = np.array([[index[one] for one in row] for row in of.given]).reshape(-1, len(of.readers))
    read = (given != _MISSING).sum(axis=1) > 1
    if not read.any():
        return None
    patients = [one for one, kept in zip(of.patients, read, strict=True) if kept]
    table = given[read]
    pairs = [
        pair
        for first, second in combinations(range(len(of.readers)), 2)
        if (pair := _two_of_labels(of, (first, second), (table, patients), how)) is not None
    ]
    together = pairs[0].intervals if len(pairs) == 1 else _all_labels(of, table, patients, how)
    counts = (len(table), int((~read).sum()), len(table))
    return _finished(of, counts, patients, together, pairs)


def _all_labels(
    of: ReadClasses, table: NDArray[np.intp], patients: Sequence[str], how: Resampling
) -> tuple[Interval, ...]:
    """All readers together: Fleiss' kappa where each has read each case, alpha in any case."""
    there = np.flatnonzero((table != _MISSING).any(axis=0))  # a reader of other things is none of these
    counts = np.stack([(table == n).sum(axis=1) for n in range(len(of.labels))], axis=1)
    figures: list[FigureOf] = []
    if (table[:, there] != _MISSING).all():
        figures.append(lambda rows: fleiss_of_counts(counts[rows], len(there)))
    figures.append(lambda rows: krippendorff_alpha(counts[rows]))
    if of.ordered and len(of.labels) > 2:
        # Fleiss' kappa does not know that degrees lie near one another: alpha of degrees leads
        figures.insert(0, lambda rows: krippendorff_alpha(counts[rows], ordered=True))
    return tuple(bootstrap_interval(patients, one, how) for one in figures)


def _two_of_labels(
    of: ReadClasses,
    two: tuple[int, int],
    given: tuple[NDArray[np.intp], Sequence[str]],
    how: Resampling,
) -> PairOfReaders | None:
    table, patients = given
    both = np.flatnonzero((table[:, two] != _MISSING).all(axis=1))
    if not both.size:
        return None
    first, second = (table[both, n] for n in two)
    many = len(of.labels)

    def counts(rows: Rows) -> NDArray[np.intp]:
        return np.bincount(first[rows] * many + second[rows], minlength=many * many).reshape(many, many)

    def kappa(weights: Weights) -> FigureOf:
        name = "cohen_kappa" if weights is Weights.NONE else f"cohen_kappa_{weights}"

        def figure(rows: Rows) -> Figure:
            value = kappa_of_counts(counts(rows), weights)
            return Figure(name=name, value=value, reason=_SAME if value is None else "")

        return figure

    def agreed(rows: Rows) -> Figure:
        return share("observed_agreement", int(np.trace(counts(rows))), len(rows), NO_CASES)

    weighted = of.ordered and many > 2
    asked = (Weights.QUADRATIC, Weights.LINEAR, Weights.NONE) if weighted else (Weights.NONE,)
    whose = [patients[int(n)] for n in both]
    figures = [*(kappa(one) for one in asked), agreed]
    return PairOfReaders(
        first=of.readers[two[0]],
        second=of.readers[two[1]],
        cases=len(both),
        intervals=tuple(bootstrap_interval(whose, one, how) for one in figures),
        counts=tuple(tuple(int(n) for n in row) for row in counts(np.arange(len(both)))),
    )


# ── numbers ──


def _numbers(of: ReadNumbers, how: Resampling) -> ReadersResult | None:
    read = (~np.isnan(of.given)).sum(axis=1) > 1
    if not read.any():
        return None
    patients = [one for one, kept in zip(of.patients, read, strict=True) if kept]
    table = of.given[read]
    pairs = [
        pair
        for first, second in combinations(range(len(of.readers)), 2)
        if (pair := _two_of_numbers(of, (first, second), (table, patients), how)) is not None
    ]
    there = np.flatnonzero((~np.isnan(table)).any(axis=0))
    whole = np.flatnonzero(~np.isnan(table[:, there]).any(axis=1))
    kept = table[np.ix_(whole, there)]
    icc = bootstrap_interval(
        [patients[n] for n in whole], lambda rows: intraclass_correlation(kept[rows]), how
    )
    together = (icc, *pairs[0].intervals[1:]) if len(pairs) == 1 else (icc,)
    counts = (len(table), int((~read).sum()), len(whole))
    return _finished(of, counts, patients, together, pairs)


def _two_of_numbers(
    of: ReadNumbers, two: tuple[int, int], given: tuple[Any, Sequence[str]], how: Resampling
) -> PairOfReaders | None:
    """ICC, and Bland and Altman's bias and limits: the second reader minus the first."""
    table, patients = given
    both = np.flatnonzero(~np.isnan(table[:, two]).any(axis=1))
    if not both.size:
        return None
    numbers = table[both][:, two]
    cases = MeasuredCases.of(numbers[:, 1], numbers[:, 0])
    figures: list[FigureOf] = [
        lambda rows: intraclass_correlation(numbers[rows]),
        lambda rows: bias(cases.take(rows)),
        lambda rows: limits_of_agreement(cases.take(rows))[0],
        lambda rows: limits_of_agreement(cases.take(rows))[1],
    ]
    whose = [patients[int(n)] for n in both]
    return PairOfReaders(
        first=of.readers[two[0]],
        second=of.readers[two[1]],
        cases=len(both),
        intervals=tuple(bootstrap_interval(whose, one, how) for one in figures),
    )


# ── outlines ──


def _outlines(of: ReadOutlines, how: Resampling) -> ReadersResult | None:
    if not of.pairs:
        return None
    patients = of.patients
    each = sorted({(one.first, one.second) for one in of.pairs})
    pairs = []
    for first, second in each:
        own = [one for one in of.pairs if (one.first, one.second) == (first, second)]
        intervals = _of_outlines(own, [patients[one.case] for one in own], how)
        pairs.append(
            PairOfReaders(
                first=of.readers[first], second=of.readers[second], cases=len(own), intervals=intervals
            )
        )
    together = pairs[0].intervals
    if len(pairs) > 1:
        drawn = _of_outlines(of.pairs, [patients[one.case] for one in of.pairs], how)
        # Of several pairs a difference with a sign says nothing
        together = tuple(one for one in drawn if one.figure.name != "mean_volume_difference_ml")
    return _finished(of, (len(of.cases), of.alone, len(of.cases)), patients, together, pairs)


def _of_outlines(
    pairs: Sequence[OutlinedPair], patients: Sequence[str], how: Resampling
) -> tuple[Interval, ...]:
    """Dice and distances where there is something to outline; whether both say that there is nothing."""
    filled = [one for one in pairs if not one.both_empty]
    dices = np.array([np.nan if one.both_empty else one.dice for one in pairs])
    far = np.array([np.nan if one.hd95_mm is None else one.hd95_mm for one in pairs])
    apart = np.array([np.nan if one.both_empty else one.second_ml - one.first_ml for one in pairs])
    one_empty = np.array([one.hd95_mm is None and not one.both_empty for one in pairs])

    def mean(name: str, values: Any, reason: str) -> FigureOf:
        def figure(rows: Rows) -> Figure:
            kept = values[rows][~np.isnan(values[rows])]
            if not kept.size:
                return Figure(name=name, value=None, reason=reason)
            return Figure(name=name, value=float(kept.mean()))

        return figure

    figures = [
        mean("mean_dice", dices, _EMPTY),
        mean("mean_hd95_mm", far, _NO_PAIR),
        mean("mean_volume_difference_ml", apart, _EMPTY),
    ]
    if one_empty.any() or len(filled) < len(pairs):
        figures.append(
            lambda rows: share("one_says_there_is_none", int(one_empty[rows].sum()), len(rows), NO_CASES)
        )
    return tuple(bootstrap_interval(patients, one, how) for one in figures)


_OF_KIND: Final[dict[type[Any], Callable[[Any, Resampling], ReadersResult | None]]] = {
    ReadClasses: _classes,
    ReadNumbers: _numbers,
    ReadOutlines: _outlines,
}
