"""Two engines on the same studies: the same cases, the same draws of patients, one difference a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.comparison import compare_figures, mcnemar_test
from dicomnode.evaluate.evaluation import Compared, ComparedCalls, Comparison, Evaluation, task_of
from dicomnode.evaluate.intervals import FigureOf, Resampling
from dicomnode.evaluate.outcomes import (
    ClassificationResult,
    ClassifiedCase,
    DetectedCase,
    DetectionResult,
    RegressedCase,
    RegressionResult,
    SegmentationResult,
    SegmentedCase,
)
from dicomnode.evaluate.running import measured, outlines, places
from dicomnode.evaluate.running.classes import Calls, bound, figures_of_calls
from dicomnode.evaluate.running.pairing import Pair, counterpart, of_one_truth, paired, truth_of

_LOWER_IS_BETTER: Final = frozenset(
    {
        "mean_hd95_mm",
        "mean_absolute_volume_error_percent",
        "false_positives_per_study",
        "mean_absolute_error",
        "root_mean_square_error",
        "brier",
        "ece",
    }
)
_OF_ALL_KINDS: Final = frozenset({"roc_auc", "average_precision", "balanced_accuracy", "macro_f1"})
_OF_SCORES: Final = frozenset({"roc_auc", "average_precision"})
_OUTLINES: Final = ("mean_dice", "mean_hd95_mm", "mean_absolute_volume_error_percent", "clean_share")
_PLACES: Final = ("sensitivity", "false_positives_per_study", "cpm")
_NUMBERS: Final = ("mean_absolute_error", "root_mean_square_error")


def compare(mine: Evaluation, other: Evaluation, resampling: Resampling) -> Evaluation:
    """Return `mine` with what it is against `other`, on the cases that both answered.

    Both must be of the same data (ValueError). Outputs are paired by task and label, else by code. Of the
    draws: equal seeds draw equal patients. A case that one of both gave no answer to, or for which they have
    different truths, is in neither; how many there are is said.
    """
    if mine.data.digest != other.data.digest:
        raise ValueError("two engines are compared on the same studies")
    differences: list[Compared] = []
    calls: list[ComparedCalls] = []
    remarks: list[str] = []
    for result in mine.results:
        against = counterpart(result, mine, other)
        if against is None:
            remarks.append(f"{result.output.label}: the other engine gives nothing like it.")
            continue
        pair, told = of_one_truth(paired(result, against))
        remarks += [f"{result.output.label}: {text}" for text in told]
        if not pair.rows:
            continue
        differences += _differences(pair, resampling)
        calls += _mcnemar(pair)
    remarks += [
        f"{one.output.label}: of the other engine only: not compared."
        for one in other.results
        if not any(counterpart(result, mine, other) is one for result in mine.results)
    ]
    if differences:
        count = len(differences)
        remarks.append(f"{count} figures are compared: of as many, one in twenty tells by chance alone.")
    comparison = Comparison(
        other=other, differences=tuple(differences), calls=tuple(calls), remarks=tuple(remarks)
    )
    return replace(mine, comparison=comparison)


def _differences(pair: Pair, resampling: Resampling) -> Iterator[Compared]:
    for name, first, second in _figures(pair):
        found = compare_figures(pair.patients, first, second, resampling)
        if found.first.value is None and found.second.value is None:
            continue
        yield Compared(
            task=task_of(pair.mine),
            output=pair.mine.output.label,
            difference=found,
            higher_is_better=name not in _LOWER_IS_BETTER,
            bearing=_bearing(pair, name, second),
            differing=_differing(pair, name, (first, second)),
            left_out=pair.only_other,
        )


def _bearing(pair: Pair, name: str, figure: FigureOf) -> int:
    """Return how many patients a figure hangs on: a recall on the sick alone, however many healthy there are.

    Of a figure that needs each kind of case, the patients of the rarest kind.
    """
    if name in _OF_ALL_KINDS:
        kinds: dict[object, set[str]] = {}
        for patient, (row, _) in zip(pair.patients, pair.rows, strict=True):
            kinds.setdefault(truth_of(pair.mine, row), set()).add(patient)
        return min(len(patients) for patients in kinds.values())
    return sum(figure(rows).value is not None for rows in _rows_of_patients(pair))


def _differing(pair: Pair, name: str, figures: tuple[FigureOf, FigureOf]) -> int | None:
    """Return of how many patients both engines do not say the same; None of areas, which hang on all scores.

    Of whom they say the same nothing follows on which is better, however many they are.
    """
    if name not in _OF_ALL_KINDS:
        own = _rows_of_patients(pair)
        return sum(len({figure(rows).value for figure in figures}) > 1 for rows in own)
    if name in _OF_SCORES or not isinstance(pair.mine, ClassificationResult):
        return None
    mine, other = ([one.called for one in pair.cases(n)] for n in range(2))
    return len({who for who, a, b in zip(pair.patients, mine, other, strict=True) if a != b})


def _rows_of_patients(pair: Pair) -> list[Rows]:
    rows_of: dict[str, list[int]] = {}
    for row, patient in enumerate(pair.patients):
        rows_of.setdefault(patient, []).append(row)
    return [np.array(rows, dtype=np.intp) for rows in rows_of.values()]


def _figures(pair: Pair) -> Iterator[tuple[str, FigureOf, FigureOf]]:
    """Give each figure that is compared: its name, of the other engine, of the one judged."""
    mine, other = pair.mine, pair.other
    if isinstance(mine, SegmentationResult):
        first, second = _with_both_distances(pair.cases(1), pair.cases(0))
        for name in _OUTLINES:
            yield name, _of_outlines(name, first), _of_outlines(name, second)
    elif isinstance(mine, DetectionResult):
        for name in _PLACES:
            yield name, _of_places(name, pair.cases(1)), _of_places(name, pair.cases(0))
    elif isinstance(mine, RegressionResult):
        for name in _NUMBERS:
            yield name, _of_numbers(name, pair.cases(1)), _of_numbers(name, pair.cases(0))
    elif isinstance(other, ClassificationResult):
        yield from _figures_of_calls(pair, mine, other)


def _with_both_distances(
    first: Sequence[SegmentedCase], second: Sequence[SegmentedCase]
) -> tuple[list[SegmentedCase], list[SegmentedCase]]:
    """Take the distance from cases that only one engine has one in: who outlines nothing has none."""
    both = [a.hd95_mm is not None and b.hd95_mm is not None for a, b in zip(first, second, strict=True)]
    kept = [
        [one if there else replace(one, hd95_mm=None) for one, there in zip(cases, both, strict=True)]
        for cases in (first, second)
    ]
    return kept[0], kept[1]


def _of_outlines(name: str, cases: Sequence[SegmentedCase]) -> FigureOf:
    return partial(outlines.of_rows, outlines.FIGURES[name], cases)


def _of_places(name: str, cases: Sequence[DetectedCase]) -> FigureOf:
    return partial(places.of_rows, places.FIGURES[name], cases)


def _of_numbers(name: str, cases: Sequence[RegressedCase]) -> FigureOf:
    return measured.bound(measured.FIGURES[name], measured.cases_of(cases))


def _figures_of_calls(
    pair: Pair, mine: ClassificationResult, other: ClassificationResult
) -> Iterator[tuple[str, FigureOf, FigureOf]]:
    first, second = _calls(pair, mine, other)
    makers = zip(
        figures_of_calls(first.labels, first.positive),
        figures_of_calls(mine.labels, mine.positive),
        strict=True,
    )
    for of_other, of_mine in makers:
        figure = of_mine(second)
        yield figure.name, bound(of_other, first), bound(of_mine, second)


def _calls(pair: Pair, mine: ClassificationResult, other: ClassificationResult) -> tuple[Calls, Calls]:
    """Return the calls of the other engine and of this one; of several classes in the order of this one's."""
    cases: list[ClassifiedCase] = pair.cases(1)
    labels = other.labels
    if mine.positive is None:
        labels = mine.labels
        order = [other.labels.index(label) for label in labels]
        cases = [replace(one, scores=tuple(one.scores[n] for n in order)) for one in cases]
    return Calls.of(cases, labels, other.positive), Calls.of(pair.cases(0), mine.labels, mine.positive)


def _mcnemar(pair: Pair) -> list[ComparedCalls]:
    mine, other = pair.mine, pair.other
    if not (isinstance(mine, ClassificationResult) and isinstance(other, ClassificationResult)):
        return []
    first, second = _calls(pair, mine, other)
    test = mcnemar_test(first.right, second.right, pair.patients)
    return [ComparedCalls(output=mine.output.label, test=test)]
