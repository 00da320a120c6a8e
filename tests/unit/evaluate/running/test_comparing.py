"""Two engines on the same studies: paired by case, and a verdict that knows which way is good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.evaluate import classification_report, froc, headline
from dicomnode.evaluate.detection import KnownLesion, StudyOutcome
from dicomnode.evaluate.evaluation import DataFacts, EngineFacts, Evaluation, Verdict
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassificationResult,
    ClassifiedCase,
    DetectedCase,
    DetectionResult,
    OutputName,
    RegressedCase,
    RegressionResult,
    SegmentationResult,
    SegmentedCase,
)
from dicomnode.evaluate.running import compare
from dicomnode.evaluate.running.classes import Calls
from dicomnode.values import Code
from dicomnode.values.codes import MILLILITRE, MILLIMETRE

QUICK = Resampling(resamples=200)
LUNG = Code("39607008", "SCT", "Lung")
NOTHING = Headline(lead=Figure(name="x", value=1.0), warnings=(), contradictions=(), then=())


def _name(n: int, series: str = "") -> CaseName:
    return CaseName(patient=f"p{n}", study_instance_uid=f"1.2.{n}", series_instance_uid=series)


def _output(label: str, type_: Code | None = None) -> dict[str, object]:
    return {
        "output": OutputName(label=label, type=type_, truth="t", by="code"),
        "headline": NOTHING,
        "intervals": (),
    }


def _segmentation(
    dices: dict[int, float], label: str = "lung", type_: Code | None = LUNG, series: str = ""
) -> SegmentationResult:
    cases = [
        SegmentedCase(case=_name(n, series), dice=dice, hd95_mm=10 * (1 - dice), found_ml=9.0, true_ml=10.0)
        for n, dice in dices.items()
    ]
    return SegmentationResult(**_output(label, type_), cases=tuple(cases))


def _evaluation(digest: str = "d", **results: tuple[object, ...]) -> Evaluation:
    return Evaluation(
        engine=EngineFacts(name="e", version="1", title="t", use="u", digest="0" * 64),
        data=DataFacts(studies=10, patients=10, digest=digest),
        runs=(),
        **results,
    )


def _of(evaluation: Evaluation, figure: str):
    (found,) = [one for one in evaluation.comparison.differences if one.difference.second.name == figure]
    return found


BETTER = {n: 0.9 + 0.001 * n for n in range(10)}
WORSE = {n: 0.7 + 0.002 * n for n in range(10)}


def test_the_difference_is_this_engine_minus_the_other_on_the_same_cases():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    other = _evaluation(segmentations=(_segmentation(WORSE),))
    found = _of(compare(mine, other, QUICK), "mean_dice")
    expected = np.mean([BETTER[n] - WORSE[n] for n in range(10)])
    assert found.difference.interval.figure.value == pytest.approx(expected)
    assert found.difference.second.value == pytest.approx(np.mean(list(BETTER.values())))
    assert found.verdict is Verdict.BETTER
    assert _of(compare(other, mine, QUICK), "mean_dice").verdict is Verdict.WORSE


def test_of_distances_the_lower_is_the_better():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    other = _evaluation(segmentations=(_segmentation(WORSE),))
    found = _of(compare(mine, other, QUICK), "mean_hd95_mm")
    assert found.difference.interval.figure.value < 0
    assert not found.higher_is_better
    assert found.verdict is Verdict.BETTER


def test_equal_engines_differ_by_chance_and_few_patients_tell_nothing():
    same = _evaluation(segmentations=(_segmentation(BETTER),))
    assert _of(compare(same, same, QUICK), "mean_dice").verdict is Verdict.CHANCE
    mine = _evaluation(segmentations=(_segmentation({n: BETTER[n] for n in range(5)}),))
    other = _evaluation(segmentations=(_segmentation({n: WORSE[n] for n in range(5)}),))
    assert _of(compare(mine, other, QUICK), "mean_dice").verdict is Verdict.UNKNOWN


def test_cases_of_one_engine_only_are_left_out_and_told():
    mine = _evaluation(segmentations=(_segmentation({n: BETTER[n] for n in range(8)}),))
    other = _evaluation(segmentations=(_segmentation({n: WORSE[n] for n in range(1, 10)}),))
    compared = compare(mine, other, QUICK)
    expected = np.mean([BETTER[n] - WORSE[n] for n in range(1, 8)])
    assert _of(compared, "mean_dice").difference.interval.figure.value == pytest.approx(expected)
    assert "lung: 3 cases of one engine only: not compared." in compared.comparison.remarks


def test_engines_that_take_another_series_of_a_study_are_compared_by_the_study():
    mine = _evaluation(segmentations=(_segmentation(BETTER, series="1.1"),))
    other = _evaluation(segmentations=(_segmentation(WORSE, series="1.2"),))
    assert _of(compare(mine, other, QUICK), "mean_dice").difference.interval.patients == 10


def test_outputs_of_another_label_are_paired_by_their_code_where_it_is_one():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    other = _evaluation(segmentations=(_segmentation(WORSE, "lungs"),))
    assert compare(mine, other, QUICK).comparison.differences
    two = _evaluation(segmentations=(_segmentation(WORSE, "a"), _segmentation(WORSE, "b")))
    compared = compare(mine, two, QUICK).comparison
    assert compared.differences == ()
    assert compared.remarks[0] == "lung: the other engine gives nothing like it."
    assert compared.remarks[1:] == tuple(f"{one}: of the other engine only: not compared." for one in "ab")


def test_how_many_figures_were_compared_is_said():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    remarks = compare(mine, mine, QUICK).comparison.remarks
    assert remarks[-1] == "3 figures are compared: of as many, one in twenty tells by chance alone."


def test_engines_on_other_studies_are_not_compared():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    with pytest.raises(ValueError, match="the same studies"):
        compare(mine, _evaluation("other", segmentations=(_segmentation(WORSE),)), QUICK)


def test_findings_are_compared_by_sensitivity_and_false_alarms():
    def result(found: bool, alarms: int) -> DetectionResult:
        lesion = KnownLesion(diameter_mm=8.0, score=0.9 if found else None)
        outcome = StudyOutcome(lesions=(lesion,), false_alarms=(0.8,) * alarms)
        cases = tuple(DetectedCase(case=_name(n), outcome=outcome) for n in range(10))
        return DetectionResult(**_output("nodule"), cases=cases, curve=froc([outcome] * 10))

    compared = compare(
        _evaluation(detections=(result(True, 3),)), _evaluation(detections=(result(False, 1),)), QUICK
    )
    assert _of(compared, "sensitivity").verdict is Verdict.BETTER
    assert _of(compared, "false_positives_per_study").verdict is Verdict.WORSE
    assert _of(compared, "false_positives_per_study").difference.interval.figure.value == 2.0


def test_numbers_are_compared_in_the_same_unit_only():
    def result(error: float, unit: Code = MILLILITRE) -> RegressionResult:
        cases = tuple(
            RegressedCase(case=_name(n), found=10.0 * n + error * (1 + n / 10), true=10.0 * n)
            for n in range(10)
        )
        return RegressionResult(**_output("volume"), unit=unit, cases=cases)

    mine = _evaluation(regressions=(result(1.0),))
    compared = compare(mine, _evaluation(regressions=(result(2.0),)), QUICK)
    assert _of(compared, "mean_absolute_error").verdict is Verdict.BETTER
    assert not compare(
        mine, _evaluation(regressions=(result(2.0, MILLIMETRE),)), QUICK
    ).comparison.differences


def _classification(right: list[bool]) -> ClassificationResult:
    labels = ("no sick", "sick")
    cases = []
    for n, one in enumerate(right):
        truth = labels[n % 2]
        called = truth if one else labels[1 - n % 2]
        score = 0.9 if called == "sick" else 0.1
        cases.append(ClassifiedCase(case=_name(n), truth=truth, called=called, scores=(1 - score, score)))
    calls = Calls.of(cases, labels, "sick")
    return ClassificationResult(
        **{**_output("sick"), "headline": headline(calls.report())},
        labels=labels,
        positive="sick",
        threshold=0.5,
        cases=tuple(cases),
        report=classification_report(calls.matrix()),
    )


def test_calls_are_compared_by_figure_and_by_mcnemar():
    mine = _classification([True] * 9 + [False])
    other = _classification([False] * 4 + [True] * 5 + [False])
    compared = compare(_evaluation(classifications=(mine,)), _evaluation(classifications=(other,)), QUICK)
    assert _of(compared, "recall").difference.second.value == pytest.approx(4 / 5)
    assert _of(compared, "recall").difference.first.value == pytest.approx(2 / 5)
    (calls,) = compared.comparison.calls
    assert (calls.test.only_second, calls.test.only_first) == (4, 0)
    assert (calls.test.both, calls.test.neither) == (5, 1)
    assert calls.test.p_value.value == pytest.approx(2 * 0.5**4)


@pytest.mark.parametrize(("wrong", "verdict"), [(5, Verdict.CHANCE), (6, Verdict.BETTER)])
def test_that_five_patients_speak_for_an_engine_may_be_chance_however_many_others_there_are(wrong, verdict):
    """Exactly: 2 / 2⁵ of five; the interval of percentiles leaves out 0 from four on."""
    mine = _evaluation(classifications=(_classification([True] * 100),))
    right = [False] * wrong + [True] * (100 - wrong)
    other = _evaluation(classifications=(_classification(right),))
    compared = compare(mine, other, Resampling(resamples=150))
    found = _of(compared, "balanced_accuracy")
    assert found.difference.interval.low > 0.0
    assert (found.differing, found.verdict) == (wrong, verdict)
    assert _of(compare(other, mine, QUICK), "balanced_accuracy").verdict is Verdict.WORSE


def test_the_document_tells_which_way_is_good_and_the_verdict():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    compared = compare(mine, _evaluation(segmentations=(_segmentation(WORSE),)), QUICK)
    told = {one["figure"]: one for one in compared.to_document()["comparison"]["differences"]}
    assert told["mean_dice"]["verdict"] == "better"
    assert told["mean_dice"]["engine"] > told["mean_dice"]["other"]
    assert told["mean_hd95_mm"]["higher_is_better"] is False


def test_an_evaluation_that_is_compared_is_otherwise_unchanged():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    compared = compare(mine, mine, QUICK)
    assert replace(compared, comparison=None).to_document() == mine.to_document()


def _distances(away: dict[int, float | None]) -> SegmentationResult:
    cases = [
        SegmentedCase(
            case=_name(n),
            dice=0.9 if mm is not None else 0.0,
            hd95_mm=mm,
            found_ml=9.0 if mm is not None else 0.0,
            true_ml=10.0,
        )
        for n, mm in away.items()
    ]
    return SegmentationResult(**_output("lung", LUNG), cases=tuple(cases))


def test_who_outlines_nothing_in_hard_cases_has_no_better_distance():
    # Both are 2 mm off in easy cases; the other one dares the hard ones and is 30 mm off there
    mine = _distances({n: 2.0 if n < 7 else None for n in range(10)})
    other = _distances({n: 2.0 if n < 7 else 30.0 for n in range(10)})
    compared = compare(_evaluation(segmentations=(mine,)), _evaluation(segmentations=(other,)), QUICK)
    found = _of(compared, "mean_hd95_mm")
    assert found.difference.first.value == found.difference.second.value == 2.0
    assert found.verdict is Verdict.CHANCE


def test_who_leaves_out_cases_that_the_other_answers_is_not_better():
    mine = _evaluation(segmentations=(_segmentation({n: BETTER[n] for n in range(8)}),))
    other = _evaluation(segmentations=(_segmentation(WORSE),))
    compared = compare(mine, other, QUICK)
    found = _of(compared, "mean_dice")
    assert found.left_out == 2
    assert found.verdict is Verdict.UNKNOWN
    assert any(
        "2 cases that the other engine answers have no answer here" in one
        for one in compared.comparison.remarks
    )
    assert _of(compare(other, mine, QUICK), "mean_dice").verdict is Verdict.WORSE


def test_an_output_that_only_the_other_engine_answers_is_said():
    mine = _evaluation(segmentations=(_segmentation(BETTER),))
    other = _evaluation(segmentations=(_segmentation(WORSE), _segmentation(WORSE, "heart", None)))
    remarks = compare(mine, other, QUICK).comparison.remarks
    assert "heart: of the other engine only: not compared." in remarks


def test_a_figure_that_hangs_on_few_patients_tells_nothing_however_many_others_there_are():
    def result(dice: float) -> SegmentationResult:
        cases = [
            SegmentedCase(
                case=_name(n), dice=dice + n / 1000, hd95_mm=None, found_ml=1.0, true_ml=float(n < 3)
            )
            for n in range(40)
        ]
        return SegmentationResult(**_output("lesion"), cases=tuple(cases))

    mine, other = (_evaluation(segmentations=(result(dice),)) for dice in (0.9, 0.5))
    found = _of(compare(mine, other, QUICK), "mean_dice")
    assert (found.difference.interval.patients, found.bearing) == (40, 3)
    assert found.verdict is Verdict.UNKNOWN


def _several(labels: tuple[str, ...], truths: list[str], called: list[str]) -> ClassificationResult:
    cases = []
    for n, (truth, one) in enumerate(zip(truths, called, strict=True)):
        scores = tuple(0.8 if label == one else 0.1 for label in labels)
        cases.append(ClassifiedCase(case=_name(n), truth=truth, called=one, scores=scores))
    calls = Calls.of(cases, labels, None)
    return ClassificationResult(
        **{**_output("kind"), "headline": headline(calls.report())},
        labels=labels,
        cases=tuple(cases),
        report=classification_report(calls.matrix()),
    )


KINDS = ("a", "b", "c")
TRUTHS = ["a"] * 8 + ["b"] * 8 + ["c"] * 8
QUICKEST = Resampling(resamples=100)


def test_classes_in_another_order_are_compared_class_by_class():
    called = ["a"] * 8 + ["c"] * 8 + ["c"] * 8  # b is never found
    mine = _evaluation(classifications=(_several(KINDS, TRUTHS, called),))
    other = _evaluation(classifications=(_several(("b", "c", "a"), TRUTHS, called),))
    for one in compare(mine, other, QUICKEST).comparison.differences:
        assert one.difference.first == one.difference.second
        assert one.verdict in {Verdict.CHANCE, Verdict.UNKNOWN}


def test_other_classes_are_another_question():
    mine = _evaluation(classifications=(_several(KINDS, TRUTHS, TRUTHS),))
    other = [one.replace("c", "d") for one in TRUTHS]
    against = _evaluation(classifications=(_several(("a", "b", "d"), other, other),))
    assert not compare(mine, against, QUICKEST).comparison.differences


def test_cases_with_another_truth_for_the_other_engine_are_not_compared():
    mine = _evaluation(classifications=(_several(KINDS, TRUTHS, TRUTHS),))
    against = _evaluation(classifications=(_several(KINDS, ["b", *TRUTHS[1:]], TRUTHS),))
    compared = compare(mine, against, QUICKEST).comparison
    assert "kind: 1 case with another truth for the other engine: not compared." in compared.remarks
    assert compared.calls[0].test.both == len(TRUTHS) - 1
