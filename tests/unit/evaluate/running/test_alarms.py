"""A sensitivity says nothing without its false alarms: they lead with it, and too many are a warning."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dicomnode.evaluate.detection import KnownLesion, StudyOutcome
from dicomnode.evaluate.evaluation import DataFacts, EngineFacts, Evaluation
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import CaseName, DetectedCase, DetectionResult
from dicomnode.evaluate.page import report_html
from dicomnode.evaluate.running.places import MANY_FALSE_ALARMS, PlaceCollector
from tests.unit.evaluate.page.reading import section, shown
from tests.unit.evaluate.truth.values import lesion

FOUND = KnownLesion(diameter_mm=9.0, score=0.9)


def judged(*studies: tuple[int, int]) -> DetectionResult:
    """Each study: lesions, all of them found, and false alarms."""
    collector = PlaceCollector(lesion())
    for n, (lesions, alarms) in enumerate(studies):
        outcome = StudyOutcome(lesions=(FOUND,) * lesions, false_alarms=(0.8,) * alarms)
        name = CaseName(patient=f"patient-{n:04d}", study_instance_uid=f"1.2.{n}")
        collector.cases.append(DetectedCase(case=name, outcome=outcome))
        collector.patients.append(name.patient)
        collector._down_to.append(None)
    return collector.result(Resampling(resamples=100))


def page(result: DetectionResult) -> Evaluation:
    facts = EngineFacts(name="e", version="1", title="t", use="u", digest="0" * 64)
    return Evaluation(engine=facts, data=DataFacts(studies=1, patients=1), runs=(), detections=(result,))


def test_one_study_with_32_false_alarms_is_red_however_much_was_found() -> None:
    result = judged((1, 32))
    assert result.headline.lead.value == 1.0
    assert result.headline.text == "1.000 (1 of 1) at 32.000 false positives per study"
    assert result.headline.warnings[0] == (
        "32.0 false alarms a study, more than 4: 1 finding found, and 32 marks on nothing."
    )
    first = section(report_html(page(result)), "first")
    (card,) = first.iter("article")
    assert card.get("class") == "card warned"
    (at,) = [one for one in card.iter("p") if one.get("class") == "lead-at"]
    assert shown(at) == "at 32.000 false alarms a study"
    document = json.loads(json.dumps(page(result).to_document()))
    assert document["headline"][0]["at"]["value"] == 32.0


@pytest.mark.parametrize(("alarms", "warned"), [(4, False), (5, True)])
def test_more_than_four_a_study_are_a_warning(alarms: int, warned: bool) -> None:
    assert MANY_FALSE_ALARMS == 4.0
    told = judged(*[(1, alarms)] * 6).headline.warnings
    assert any("false alarms a study" in one for one in told) is warned


def test_of_sick_people_alone_nothing_is_known_of_the_false_alarms_of_the_healthy() -> None:
    sick, healthy = judged((1, 2), (2, 0)), judged((1, 2), (0, 3))
    assert any("nothing to find is not known" in one for one in sick.remarks)
    assert not any("nothing to find is not known" in one for one in healthy.remarks)


def test_without_a_finding_the_false_alarms_are_still_a_warning() -> None:
    result = judged((0, 9), (0, 9))
    assert result.headline.lead.value is None
    assert "9.0 false alarms a study, more than 4: 0 findings found, and 18 marks on nothing." in (
        result.headline.warnings
    )
    assert replace(result.headline, at=None).text == "undefined: there is no finding that counts"
