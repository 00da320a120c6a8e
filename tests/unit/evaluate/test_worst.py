"""The worst cases of an output come first, in an order that does not depend on that of the cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.evaluate import KnownLesion, StudyOutcome
from dicomnode.evaluate.outcomes import ClassifiedCase, DetectedCase, RegressedCase
from dicomnode.evaluate.worst import worst_cases
from tests.unit.evaluate.evaluations import case_name, classification, detection, regression, segmentation


def _places(found) -> list[str]:
    return [one.case.place for one in found]


def test_the_outline_that_missed_everything_is_the_worst() -> None:
    found = worst_cases(segmentation())
    assert _places(found)[:2] == ["site-a/case-009", "site-a/case-004"]
    assert found[0].said.startswith("nothing was outlined of")
    assert "Dice 0.610, HD95 38.5 mm" in found[1].said


def test_a_missed_finding_is_worse_than_any_number_of_false_alarms() -> None:
    lesion = KnownLesion(diameter_mm=7.0, score=0.2)
    outcomes = (
        StudyOutcome(lesions=(replace(lesion, score=0.9),), false_alarms=(0.8,) * 50),
        StudyOutcome(lesions=(lesion,), false_alarms=()),
        StudyOutcome(lesions=(), false_alarms=(0.1,)),
    )
    cases = tuple(DetectedCase(case=case_name(n), outcome=one) for n, one in enumerate(outcomes))
    found = worst_cases(replace(detection(), cases=cases, threshold=0.5))
    assert _places(found) == ["site-a/case-001", "site-a/case-000"]
    assert found[0].said == "missed 1 of 1 (7.0 mm); 0 false alarms"


def test_of_wrong_calls_what_was_looked_for_and_missed_comes_first_then_the_surest() -> None:
    def case(n: int, truth: str, sick: float) -> ClassifiedCase:
        called = "malignant" if sick >= 0.6 else "no malignant"
        return ClassifiedCase(case=case_name(n), truth=truth, called=called, scores=(1.0 - sick, sick))

    cases = (
        case(0, "malignant", 0.9),
        case(1, "no malignant", 0.7),
        case(2, "no malignant", 0.99),
        case(3, "malignant", 0.55),
        case(4, "malignant", 0.01),
    )
    found = worst_cases(replace(classification(), cases=cases))
    assert [int(place[-3:]) for place in _places(found)] == [4, 3, 2, 1]


def test_the_largest_error_of_a_number_is_the_worst() -> None:
    errors = (1.0, -4.0, 0.0, 2.0)
    cases = tuple(
        RegressedCase(case=case_name(n), found=10.0 + error, true=10.0) for n, error in enumerate(errors)
    )
    found = worst_cases(replace(regression(), cases=cases))
    assert [int(place[-3:]) for place in _places(found)] == [1, 3, 0]


@pytest.mark.parametrize("make", [segmentation, detection, classification, regression])
def test_the_order_of_the_cases_changes_nothing(make) -> None:
    result = make()
    turned = replace(result, cases=result.cases[::-1])
    assert worst_cases(result, 5) == worst_cases(turned, 5)
    assert len(worst_cases(result, 5)) == 5
