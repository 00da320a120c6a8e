"""An engine on labelled studies: every figure recomputed by plain numpy from the files themselves."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from scipy import ndimage

from dicomnode.evaluate.data import LabelledData, read_labelled
from dicomnode.evaluate.evaluation import Evaluation, RunState
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.running import Answer, Evaluated, Judging, judge, worst_pictures
from dicomnode.evaluate.truth import said_counterparts
from dicomnode.faults import LABELS_BY_MACHINES, NOTHING_JUDGED, NodeError
from dicomnode.serve import Answering, AnsweringPlan, Occasion
from dicomnode.values import AnnotatedSegment, MadeBy, SetAside
from tests.unit.evaluate.running.engines import LESION_HU, LIVER_HU, VOXEL_ML, liver_engine

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK = Resampling(resamples=100)
PLAN = AnsweringPlan(threads=1, occasion=Occasion(study_version=1, made_at=WHEN, salt=b"s" * 32))
TOUCHING = ndimage.generate_binary_structure(3, 3)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return liver_engine(tmp_path_factory.mktemp("engines") / "liver")


@pytest.fixture(scope="module")
def data(volumes) -> LabelledData:
    folder, _ = volumes
    return read_labelled([folder], folder / "labels.csv")


@pytest.fixture(scope="module")
def how(package) -> Judging:
    said = said_counterparts(["any-lesion=lesion"], package.manifest)
    return Judging(said=said, resampling=QUICK, node_version="9.9", made_at=WHEN)


@pytest.fixture(scope="module")
def evaluated(package, data, how) -> Evaluated:
    with Answering(package, PLAN) as answering:
        return judge(data, answering, how)


@pytest.fixture(scope="module")
def evaluation(evaluated) -> Evaluation:
    return evaluated.evaluation


def _hu(folder: Path) -> np.ndarray:
    """Voxels of a case (k, j, i), read without any of our code."""
    files = sorted(
        (dcmread(path) for path in (folder / "images").glob("*.dcm")),
        key=lambda one: float(one.ImagePositionPatient[2]),
    )
    return np.stack(
        [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in files]
    )


def _true(folder: Path, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Segments of a case by label (k, j, i), read by pydicom alone."""
    seg = dcmread(folder / "truth" / "segments.dcm")
    labels = {int(one.SegmentNumber): str(one.SegmentLabel) for one in seg.SegmentSequence}
    masks = {label: np.zeros(shape, dtype=bool) for label in labels.values()}
    positions = sorted(
        float(dcmread(path).ImagePositionPatient[2]) for path in (folder / "images").glob("*.dcm")
    )
    frames = seg.pixel_array.reshape(-1, *shape[1:])
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        z = float(groups.PlanePositionSequence[0].ImagePositionPatient[2])
        k = int(np.argmin(np.abs(np.array(positions) - z)))
        masks[labels[number]][k] |= frame.astype(bool)
    return masks


def _between(hu: np.ndarray, low_high: tuple[float, float]) -> np.ndarray:
    low, high = (np.float32(one) for one in low_high)
    return (hu > low) & (hu < high)


def _liver(hu: np.ndarray) -> np.ndarray:
    """What the engine calls liver: the largest part."""
    parts, _ = ndimage.label(_between(hu, LIVER_HU), structure=TOUCHING)
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


@pytest.fixture(scope="module")
def cases(volumes) -> dict[str, tuple[np.ndarray, dict[str, np.ndarray], dict[str, str]]]:
    """HU, true masks and row of the table of each case, by Study Instance UID."""
    folder, _ = volumes
    with (folder / "labels.csv").open(newline="") as file:
        rows = {row["StudyInstanceUID"]: row for row in csv.DictReader(file)}
    found = {}
    for case in sorted(folder.glob("case-*")):
        uid = str(dcmread(next((case / "images").glob("*.dcm"))).StudyInstanceUID)
        hu = _hu(case)
        found[uid] = (hu, _true(case, hu.shape), rows[uid])
    return found


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_every_study_was_analysed_and_is_named(evaluation, cases):
    assert {run.case.study_instance_uid for run in evaluation.runs} == set(cases)
    assert {run.state for run in evaluation.runs} == {RunState.ANALYSED}
    assert evaluation.data.synthetic == evaluation.data.studies == 8
    assert evaluation.engine.runtime.startswith("onnxruntime")


def test_dice_and_volumes_of_the_liver_are_those_of_numpy(evaluation, cases):
    (liver,) = [one for one in evaluation.segmentations if one.output.label == "liver"]
    assert liver.output.by == "code"
    expected = {uid: (_liver(hu), true["liver"]) for uid, (hu, true, _) in cases.items()}
    for one in liver.cases:
        found, true = expected[one.case.study_instance_uid]
        assert one.dice == pytest.approx(_dice(found, true))
        assert one.found_ml == pytest.approx(np.count_nonzero(found) * VOXEL_ML)
        assert one.true_ml == pytest.approx(np.count_nonzero(true) * VOXEL_ML)
    dices = [_dice(found, true) for found, true in expected.values()]
    assert liver.figure("mean_dice").figure.value == pytest.approx(np.mean(dices))
    assert liver.figure("median_dice").figure.value == pytest.approx(np.median(dices))
    errors = [(np.count_nonzero(a) / np.count_nonzero(b) - 1) * 100 for a, b in expected.values()]
    figure = liver.figure("mean_absolute_volume_error_percent").figure
    assert figure.value == pytest.approx(np.abs(errors).mean())
    assert liver.headline.lead.name == "mean_dice"


def test_lesions_are_outlined_together_and_healthy_studies_are_no_dice_of_one(evaluation, cases):
    (result,) = [one for one in evaluation.segmentations if one.output.label == "lesion"]
    sick, clean = [], []
    for hu, masks, _ in cases.values():
        true = np.any([mask for label, mask in masks.items() if label.startswith("lesion")], axis=0)
        found = _between(hu, LESION_HU)
        if true.any():
            sick.append(_dice(found, true))
        else:
            clean.append(not found.any())
    assert len(result.cases) == 8
    assert result.figure("mean_dice").figure.value == pytest.approx(np.mean(sick))
    assert result.figure("clean_share").figure.text == f"{np.mean(clean):.3f} ({sum(clean)} of {len(clean)})"


def test_findings_and_false_alarms_are_counted_by_hand(evaluation, cases):
    (result,) = evaluation.detections
    hits = alarms = lesions = 0
    for hu, masks, _ in cases.values():
        found, many = ndimage.label(_between(hu, LESION_HU), structure=TOUCHING)
        centres = np.array(ndimage.center_of_mass(found > 0, found, range(1, many + 1))).reshape(-1, 3) * 5.0
        near = np.zeros(many, dtype=bool)
        for label, mask in masks.items():
            parts, count = ndimage.label(mask & label.startswith("lesion"), structure=TOUCHING)
            for n in range(1, count + 1):
                radius = (6 * np.count_nonzero(parts == n) * 125 / np.pi) ** (1 / 3) / 2
                middle = np.array(ndimage.center_of_mass(parts == n)) * 5.0
                on_it = np.linalg.norm(centres - middle, axis=1) <= max(radius, 3.0)
                lesions, hits, near = lesions + 1, hits + bool(on_it.any()), near | on_it
        alarms += int(np.count_nonzero(~near))
    assert result.figure("sensitivity").figure.part == hits
    assert result.figure("sensitivity").figure.whole == lesions
    assert result.figure("false_positives_per_study").figure.value == pytest.approx(alarms / 8)


def test_calls_are_those_of_the_threshold_and_the_recall_leads(evaluation, cases):
    (result,) = evaluation.classifications
    assert (result.output.by, result.output.truth) == ("said", "column lesion")
    matrix = np.zeros((2, 2), dtype=int)
    for hu, _, row in cases.values():
        called = np.count_nonzero(_between(hu, LESION_HU)) >= 40
        matrix[int(row["lesion"]), int(called)] += 1
    assert result.report.matrix.counts.tolist() == matrix.tolist()
    assert result.headline.lead.title == "recall of any-lesion"
    assert result.figure("recall").figure.value == pytest.approx(matrix[1, 1] / matrix[1].sum())
    scores = {one.case.study_instance_uid: one.scores[1] for one in result.cases}
    yes = [scores[uid] for uid, (_, _, row) in cases.items() if row["lesion"] == "1"]
    no = [scores[uid] for uid, (_, _, row) in cases.items() if row["lesion"] == "0"]
    area = np.mean([(a > b) + 0.5 * (a == b) for a in yes for b in no])
    assert result.figure("roc_auc").figure.value == pytest.approx(area)


def test_numbers_are_those_of_the_table(evaluation, cases):
    (result,) = evaluation.regressions
    apart = np.array(
        [
            np.count_nonzero(_between(hu, LIVER_HU)) * VOXEL_ML - float(row["liver_volume_ml"])
            for hu, _, row in cases.values()
        ]
    )
    assert result.figure("bias").figure.value == pytest.approx(apart.mean())
    assert result.figure("mean_absolute_error").figure.value == pytest.approx(np.abs(apart).mean())
    assert result.figure("limit_high").figure.value == pytest.approx(
        apart.mean() + 1.96 * apart.std(ddof=1), abs=0.01
    )
    assert result.unit.value == "ml"


def test_the_document_is_json_without_anything_of_a_patient(evaluation, volumes):
    document = json.loads(json.dumps(evaluation.to_document(), allow_nan=False))
    assert document["schema"] == 1
    assert [one["task"] for one in document["results"]] == [
        "classification",
        "detection",
        "segmentation",
        "segmentation",
        "regression",
    ]
    text = json.dumps(document)
    header = dcmread(next(volumes[0].rglob("IM*.dcm")))
    assert str(header.PatientID) not in text
    assert str(header.PatientName) not in text


def test_doing_it_again_gives_the_same_figures(package, data, how, evaluation):
    with Answering(package, PLAN) as answering:
        again = judge(data, answering, how).evaluation.to_document()
    first = evaluation.to_document()
    for document in (first, again):
        for run in document["runs"]:
            run["seconds"] = None
    assert again == first


def test_worst_cases_are_drawn(evaluated):
    pictures = list(worst_pictures(evaluated, most=1))
    assert {one.output for one in pictures} >= {"liver", "lesion"}
    assert all(one.png.startswith(b"\x89PNG") for one in pictures)


class _Half:
    """An answerer that answers the first studies only."""

    def __init__(self, answering: Answering, count: int, state: RunState) -> None:
        self.package, self._answering, self._left, self._state = answering.package, answering, count, state

    def __call__(self, study, progress):
        self._left -= 1
        if self._left >= 0:
            return self._answering(study, progress)
        stacks = [stack for series in study.series for stack in series.stacks]
        stack = None if self._state is RunState.NOT_WANTED else stacks[0]
        return [Answer(stack=stack, findings=None, state=self._state, code="DN-9", reason="a test")]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.REFUSED, RunState.NOT_WANTED])
def test_what_was_not_answered_is_counted_named_and_warned_of(package, data, how, cases, state):
    with Answering(package, PLAN) as answering:
        evaluation = judge(data, _Half(answering, 5, state), how).evaluation
    assert evaluation.count(state) == 3
    words = {RunState.FAILED: "failed", RunState.REFUSED: "refused", RunState.NOT_WANTED: "not wanted"}
    assert f"Of 8 cases, these have no answer: 3 {words[state]}." in evaluation.warnings
    names = {run.case.study_instance_uid for run in evaluation.runs if run.state is state}
    for result in evaluation.results:
        assert {one.study_instance_uid for one in result.unanswered} == names, result.output.label
        assert any("Of 8 cases with a truth, 3 have no answer." in one for one in result.headline.warnings)
    (liver,) = [one for one in evaluation.segmentations if one.output.label == "liver"]
    mean = sum(one.dice for one in liver.cases) / 8
    assert f"With 0 for cases without an answer, the mean Dice is {mean:.3f}." in liver.headline.warnings
    (found,) = evaluation.classifications
    missed = sum(cases[uid][2]["lesion"] == "1" for uid in names)
    hits = found.figure("recall").figure
    if missed:
        rate = hits.part / (hits.whole + missed)
        told = f"with these as missed, the recall is {rate:.3f}."
        assert any(told in one for one in found.headline.warnings)


def test_studies_without_a_label_are_no_negatives(package, data, how):
    bare = replace(
        data,
        studies=tuple(replace(one, row={}, annotations=()) for one in data.studies[:4]) + data.studies[4:],
    )
    with Answering(package, PLAN) as answering:
        evaluation = judge(bare, answering, how).evaluation
    for result in evaluation.results:
        assert len(result.cases) == 4
        assert result.untold == 4


def test_data_without_any_counterpart_say_what_there_is(package, data, how):
    bare = replace(data, studies=tuple(replace(one, row={}, annotations=()) for one in data.studies[:2]))
    with Answering(package, PLAN) as answering, pytest.raises(NodeError) as caught:
        judge(bare, answering, how)
    assert caught.value.fault is NOTHING_JUDGED
    assert "it gives liver, lesion, any-lesion, liver_volume_ml" in str(caught.value)


def _by_machine(data: LabelledData, count: int) -> LabelledData:
    """The data as if of patients, with segments that nobody verified."""

    def made(one: AnnotatedSegment) -> AnnotatedSegment:
        return replace(one, made_by=MadeBy.MACHINE)

    studies = [
        replace(
            study,
            synthetic=False,
            row={},
            annotations=tuple(
                replace(one, made_by=MadeBy.MACHINE, segments=tuple(made(s) for s in one.segments))
                for one in study.annotations
            ),
        )
        for study in data.studies[:count]
    ]
    return replace(data, studies=tuple(studies))


def test_what_machines_made_is_no_truth_unless_it_is_asked_for(package, data, how):
    machines = _by_machine(data, 2)
    with Answering(package, PLAN) as answering:
        with pytest.raises(NodeError) as caught:
            judge(machines, answering, how)
        assert caught.value.fault is LABELS_BY_MACHINES
        taken = judge(machines, answering, replace(how, machine_labels=True)).evaluation
    assert len(taken.segmentations[0].cases) == 2
    assert any("machines made count as the truth" in one for one in taken.remarks)


def test_an_output_that_was_never_answered_is_an_alarm_and_not_without_labels(package, data, how):
    class _Mute(_Half):
        def __call__(self, study, progress):
            answers = self._answering(study, progress)
            found = answers[0].findings
            return [replace(answers[0], findings=replace(found, measurements=()))]

    with Answering(package, PLAN) as answering:
        evaluation = judge(data, _Mute(answering, 8, RunState.FAILED), how).evaluation
    assert not evaluation.regressions
    assert not any("liver_volume_ml" in text for text in evaluation.unmatched)
    said = (
        "liver_volume_ml: 8 cases with a truth, and no answer to any: there is no figure of this regression."
    )
    assert said in evaluation.warnings
    assert said in evaluation.to_document()["warnings"]


def test_a_truth_on_a_series_that_the_engine_did_not_take_is_not_lost(package, data, how):
    """The first study gets a second series in another space; its labels speak of that one alone."""
    first = data.studies[0]
    (series,) = [one for one in first.study.series if one.stacks]
    (stack,) = series.stacks
    away = replace(stack, facts=replace(stack.facts, series_instance_uid="1.2.3.99"))
    study = replace(
        first.study,
        series=(*first.study.series, replace(series, series_instance_uid="1.2.3.99", stacks=(away,))),
    )
    moved = tuple(
        replace(
            one,
            of_series="1.2.3.99",
            grid=one.grid and replace(one.grid, frame_of_reference_uid="1.2.3.98"),
        )
        for one in first.annotations
    )
    other = replace(first, study=study, annotations=moved, row={})

    class _First(_Half):
        def __call__(self, study, progress):
            return (
                self._answering(replace(study, series=data.studies[0].study.series), progress)
                if (study.study_instance_uid == first.study.study_instance_uid)
                else self._answering(study, progress)
            )

    with Answering(package, PLAN) as answering:
        changed = replace(data, studies=(other, *data.studies[1:]))
        evaluation = judge(changed, _First(answering, 8, RunState.FAILED), how).evaluation
    assert len(evaluation.runs) == 8
    (liver,) = [one for one in evaluation.segmentations if one.output.label == "liver"]
    assert len(liver.cases) == 7
    assert [one.series_instance_uid for one in liver.unanswered] == ["1.2.3.99"]


@pytest.mark.parametrize(
    ("part", "told"),
    [("", "6 studies of these are"), ("train", "5 studies of these are"), ("test", None)],
)
def test_studies_that_an_engine_may_have_learnt_from_are_an_alarm(package, data, how, part, told):
    parts = (("train", 5), ("validation", 1), ("test", 2))
    with Answering(package, PLAN) as answering:
        evaluation = judge(data, answering, replace(how, part=part, parts=parts)).evaluation
    assert any(told in one for one in evaluation.warnings) if told else not evaluation.alarms


def test_labels_that_could_not_be_placed_are_an_alarm(package, data, how):
    lost = SetAside(sop_instance_uid="1.2", file="seg.dcm", code="DN-7002", text="Another space.")
    with Answering(package, PLAN) as answering:
        evaluation = judge(replace(data, set_aside=(lost,)), answering, how).evaluation
    assert "Labels that could not be read or placed, and are in no figure: 1 DN-7002." in evaluation.warnings


def test_what_is_not_outlined_and_has_no_distance_is_told(package, data, how):
    class _Blind(_Half):
        def __call__(self, study, progress):
            (answer,) = self._answering(study, progress)
            return [replace(answer, findings=replace(answer.findings, segments=()))]

    with Answering(package, PLAN) as answering:
        evaluation = judge(data, _Blind(answering, 8, RunState.FAILED), how).evaluation
    (liver,) = [one for one in evaluation.segmentations if one.output.label == "liver"]
    assert "In 8 of 8 cases nothing was outlined of what is there: no distance." in liver.headline.warnings
