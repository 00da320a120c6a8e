"""Below the threshold of an engine: an evaluation knows what it does not report, and nobody else does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from onnx import TensorProto
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.engine import EnginePackage
from dicomnode.evaluate.data import read_labelled
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.page import report_html
from dicomnode.evaluate.running import Judging, judge
from dicomnode.learn.generate.drawn import TrueSegment
from dicomnode.learn.generate.segmentation import build_segmentation
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.serve import Answering, AnsweringPlan, Occasion
from dicomnode.values import Code, FindingKind, Grid, derive_uid
from tests.unit.analyse.forms import LESION, TISSUE, engine, node, onnx_bytes, step

SHAPE = (8, 24, 24)
MM = 4.0
FORM = SeriesForm(body_part="LIVER", description="Spots")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THRESHOLD, HEAT_AT_LEAST, AT_MOST = 0.5, 0.1, 2
FLOAT = TensorProto.FLOAT
ORGAN = Code("10200004", "SCT", "Liver")
PLACES = [(2, j, i) for j in (4, 12, 18) for i in (4, 12, 18)]
PLAN = AnsweringPlan(
    threads=1,
    occasion=Occasion(study_version=1, made_at=WHEN, salt=b"s" * 32),
    keeps_unreported=True,
)


def score_of(hu: float) -> float:
    """What the engine thinks of a spot of so many HU."""
    return 1.0 / (1.0 + np.exp(-(hu - 200.0) / 50.0))


# HU of the lesions and of what only looks like one, study by study; each at a place of its own
STUDIES = (
    ((400.0, 150.0), (180.0,)),
    ((260.0,), (300.0, 190.0, 120.0)),
    ((), (170.0, 140.0)),
    ((350.0, 330.0, 310.0, 130.0), ()),  # more than are reported
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> EnginePackage:
    """An engine whose heat is the HU of a cell: logit (HU - 200) / 50; its mask begins at 100 HU."""
    weights = {
        "middle": np.array(200.0, np.float32),
        "edge": np.array(100.0, np.float32),
        "wide": np.array(50.0, np.float32),
        "zero": np.array(0.0, np.float32),
        "log": np.array(np.log(8.0), np.float32),
    }
    nodes = [
        node("Sub", ["x", "middle"], ["over"]),
        node("Div", ["over", "wide"], ["scaled"]),
        node("MaxPool", ["scaled"], ["heat"], kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
        node("Mul", ["heat", "zero"], ["none"]),
        node("Add", ["none", "log"], ["logd"]),
        node("Sub", ["x", "edge"], ["above"]),
        node("Div", ["above", "wide"], ["mask"]),
    ]
    grid = [1, 1, "k", "j", "i"]
    outputs = [(name, [1, 1, None, None, None], FLOAT) for name in ("heat", "logd")]
    network = onnx_bytes(nodes, [("x", grid)], [*outputs, ("mask", grid, FLOAT)], weights)
    keys = (
        'interpret = "centre_heat"\n[step.centre_heat]\n'
        f"threshold = {THRESHOLD}\nheat_at_least = {HEAT_AT_LEAST}\nat_most = {AT_MOST}\n"
    )
    body = step(keys=keys) + (
        f'[[output]]\nsegment = "lesion"\nstep = "net"\nkind = "lesion"\ncategory = {TISSUE}\n'
        f'type = {LESION}\ntracking = "Lesion {{number}}"\n'
    )
    return engine(tmp_path_factory.mktemp("engines") / "spots", body, {"net.onnx": network})


def write_spots(folder: Path, number: int) -> None:
    lesions, others = STUDIES[number]
    affine = np.diag([MM, MM, MM, 1.0])
    grid = Grid(SHAPE, affine, derive_uid(b"spots", str(number)))
    values, truth = np.full(SHAPE, -80.0), np.zeros(SHAPE, dtype=bool)
    for n, hu in enumerate((*lesions, *others)):
        k, j, i = PLACES[n]
        cube = (slice(k, k + 2), slice(j, j + 2), slice(i, i + 2))
        values[cube] = hu
        truth[cube] |= n < len(lesions)
    paths = write_series(values, grid, folder, seed=number, form=FORM)
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    type_ = Code("52988006", "SCT", "Lesion")
    organ = np.zeros(SHAPE, dtype=bool)
    organ[6] = True
    segments = [
        TrueSegment(label="lesion 1", kind=FindingKind.LESION, type=type_, mask=truth, colour_rgb=(9, 2, 3)),
        TrueSegment(label="organ", kind=FindingKind.ANATOMY, type=ORGAN, mask=organ, colour_rgb=(1, 2, 3)),
    ]
    made = build_segmentation(images, segments, lambda part: derive_uid(b"seg", str(number), part))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(folder / "seg.dcm", enforce_file_format=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("spots")
    for number in range(len(STUDIES)):
        write_spots(folder / f"study-{number}", number)
    return read_labelled([folder])


@pytest.fixture(scope="module")
def evaluation(package, data):
    with Answering(package, PLAN) as answering:
        return judge(data, answering, Judging(resampling=Resampling(resamples=100), made_at=WHEN)).evaluation


def expected_at(rate: float) -> float:
    """Sensitivity at a rate of false alarms, from the list of spots by plain numpy."""
    seen = [score_of(HU) for HU in (hu for lesions, _ in STUDIES for hu in lesions)]
    alarms = [score_of(HU) for HU in (hu for _, others in STUDIES for hu in others)]
    hits, wrong = np.array(seen), np.array(alarms)
    best = 0.0
    for threshold in sorted({*seen, *alarms}):
        if threshold >= HEAT_AT_LEAST and np.count_nonzero(wrong >= threshold) / len(STUDIES) <= rate:
            best = max(best, np.count_nonzero(hits >= threshold) / len(hits))
    return best


def test_the_curve_goes_on_below_the_threshold_as_the_list_of_candidates_says(evaluation):
    (result,) = evaluation.detections
    assert result.down_to == HEAT_AT_LEAST
    for rate, found in zip(result.curve.rates, result.curve.at_rates, strict=True):
        assert found.value == pytest.approx(expected_at(rate)), rate
    cpm = np.mean([expected_at(rate) for rate in result.curve.rates])
    assert result.figure("cpm").figure.value == pytest.approx(cpm)
    assert cpm > 4 / 7  # which is what the engine reports, however many false alarms were allowed
    thresholds = result.curve.thresholds
    assert thresholds.min() == pytest.approx(score_of(120.0), abs=1e-6)


def test_what_is_reported_is_judged_as_what_is_reported(evaluation):
    (result,) = evaluation.detections
    reported = result.figure("sensitivity").figure
    # 400; 260; of 350, 330, 310 the first two, as no more than two are reported
    assert (reported.part, reported.whole) == (4, 7)
    assert result.figure("false_positives_per_study").figure.value == pytest.approx(1 / 4)
    assert sorted(len(one.outcome.false_alarms) for one in result.cases) == [0, 0, 0, 1]


def test_the_numbers_of_the_curve_stand_in_the_document_and_on_the_page(evaluation):
    document = json.loads(json.dumps(evaluation.to_document()))
    (result,) = [one for one in document["results"] if one["task"] == "detection"]
    assert result["candidates_down_to"] == HEAT_AT_LEAST
    hits = [score for case in result["cases"] for score in case["candidates"]["lesions"]]
    alarms = [score for case in result["cases"] for score in case["candidates"]["false_alarms"]]
    lesions = [hu for lesions, _ in STUDIES for hu in lesions]
    assert sorted(hits) == pytest.approx(sorted(score_of(hu) for hu in lesions), abs=1e-6)
    assert sorted(alarms) == pytest.approx(
        sorted(score_of(hu) for _, others in STUDIES for hu in others), abs=1e-6
    )
    page = report_html(evaluation, [], None)
    assert "down to a score of 0.1" in page
    assert "the curve ends at 1.50" in page


def test_an_engine_in_service_keeps_nothing_that_it_does_not_report(package, data, evaluation):
    silent = replace(PLAN, keeps_unreported=False)
    for study in data.studies:
        with Answering(package, PLAN) as asked, Answering(package, silent) as served:
            (kept,), (plain,) = (one(study.study, lambda *_: None) for one in (asked, served))
        assert plain.unreported is None
        assert kept.unreported is not None
        assert [(one.label, one.score, one.tracking_uid) for one in kept.findings.segments] == [
            (one.label, one.score, one.tracking_uid) for one in plain.findings.segments
        ]
        assert kept.findings.remarks == plain.findings.remarks
        assert kept.findings.outcome == plain.findings.outcome


def test_without_candidates_the_curve_ends_at_the_threshold_and_says_so(package, data):
    with Answering(package, replace(PLAN, keeps_unreported=False)) as answering:
        evaluation = judge(data, answering, Judging(resampling=Resampling(resamples=100))).evaluation
    (result,) = evaluation.detections
    assert result.down_to is None
    assert result.curve.thresholds.min() >= THRESHOLD
    assert any("the curve ends there" in one for one in result.remarks)
