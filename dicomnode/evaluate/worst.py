"""Which cases an engine did worst on, and in what way: what a person looks at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassificationResult,
    ClassifiedCase,
    DetectedCase,
    DetectionResult,
    RegressedCase,
    RegressionResult,
    Result,
    SegmentationResult,
    SegmentedCase,
)
from dicomnode.values import reaches

MOST: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCase:
    """A case, and in a few words what is wrong. badness: higher is worse, of this output only."""

    case: CaseName
    said: str
    badness: float


def worst_cases(result: Result, most: int = MOST) -> tuple[WorstCase, ...]:
    """The worst cases of an output, the worst first; none of them is without fault.

    Outlines: by Dice. Findings: by what was missed, then by false alarms, at the threshold. Classes: what was
    called wrongly, the surest first. Numbers: by the error. Equal ones stand in the order of their UIDs.
    """
    if isinstance(result, SegmentationResult):
        found = [_outlined(one) for one in result.cases]
    elif isinstance(result, DetectionResult):
        found = [_detected(one, result.threshold) for one in result.cases]
    elif isinstance(result, ClassificationResult):
        found = [_called(one, result) for one in result.cases]
    else:
        found = [_regressed(one, result) for one in result.cases]
    faulty = [one for one in found if one.badness > 0.0]
    return tuple(sorted(faulty, key=_order)[:most])


def _order(one: WorstCase) -> tuple[float, str, str, str]:
    return -one.badness, one.case.study_instance_uid, one.case.series_instance_uid, one.case.place


def _outlined(one: SegmentedCase) -> WorstCase:
    volumes = f"found {one.found_ml:.2f} ml, true {one.true_ml:.2f} ml"
    if one.hd95_mm is not None:
        return WorstCase(
            case=one.case,
            said=f"Dice {one.dice:.3f}, HD95 {one.hd95_mm:.1f} mm; {volumes}",
            badness=1.0 - one.dice,
        )
    empty = "nothing was outlined of" if one.true_ml > 0 else "nothing is there; outlined were"
    volume = one.true_ml if one.true_ml > 0 else one.found_ml
    return WorstCase(case=one.case, said=f"{empty} {volume:.2f} ml", badness=1.0 - one.dice)


def _detected(one: DetectedCase, threshold: float) -> WorstCase:
    missed = [
        lesion
        for lesion in one.outcome.lesions
        if lesion.score is None or not reaches(lesion.score, threshold)
    ]
    alarms = sum(reaches(score, threshold) for score in one.outcome.false_alarms)
    sizes = ", ".join(f"{lesion.diameter_mm:.1f} mm" for lesion in missed)
    told = f"missed {len(missed)} of {len(one.outcome.lesions)}{f' ({sizes})' if sizes else ''}"
    if not one.outcome.lesions:
        told = "nothing to find"
    # A finding that is missed weighs more than any number of false alarms
    badness = len(missed) + alarms / (alarms + 1.0)
    return WorstCase(case=one.case, said=f"{told}; {alarms} false alarms", badness=badness)


def _called(one: ClassifiedCase, result: ClassificationResult) -> WorstCase:
    score = one.scores[result.labels.index(one.called)] if one.scores else 1.0
    wrong = one.called != one.truth
    said = f"is {one.truth}, was called {one.called} with {score:.3f}"
    # Wrong is always worse than right, however unsure: missing what is looked for worst of all
    missed = wrong and one.truth == result.positive
    return WorstCase(case=one.case, said=said, badness=(1.0 + missed + score) if wrong else 0.0)


def _regressed(one: RegressedCase, result: RegressionResult) -> WorstCase:
    unit = result.unit.meaning
    said = f"found {one.found:.3f}, true {one.true:.3f} {unit}"
    return WorstCase(case=one.case, said=said, badness=abs(one.found - one.true))
