"""What is said of lesions that a later step scores: nothing untrue of what is selected, and no silence."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from types import MappingProxyType

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse import Analysis, Analyst, algorithm_step, checks
from dicomnode.analyse.algorithms import Blob, LesionAlgorithm
from dicomnode.faults import UNDECIDED
from dicomnode.values import Findings, Outcome, RegionKind, RemarkKind
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse import lesion_engines as made
from tests.unit.analyse.forms import CT, LESION, engine, node, onnx_bytes, run, step

SCORED = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED
DOTS = '[[step]]\nname = "net"\nalgorithm = "dots"\ninterpret = "lesions"\n'
THICK = CT + "prepare = [ { resample_mm = [1.0, 1.0, 1.0] } ]\n"
FLAT = Blob(  # between two slices of 4 mm: no voxel of them has its middle in it
    centre_kji=(7.5, 6.0, 7.0),
    diameter_mm=3.0,
    response=1.0,
    start_kji=(7, 5, 6),
    mask=np.ones((2, 3, 3), dtype=bool),
)


@pytest.fixture
def dots(monkeypatch) -> None:
    algorithm = LesionAlgorithm(
        name="dots", version=1, unit=HOUNSFIELD, parameters=MappingProxyType({}), run=lambda *_: (FLAT,)
    )
    for module in (algorithm_step, checks):
        monkeypatch.setattr(module, "LESION_ALGORITHMS", {"dots": algorithm})


def texts(findings: Findings) -> list[str]:
    return [one.text for one in findings.remarks]


def test_what_a_step_cut_off_is_not_said_to_be_reported_where_a_later_step_selects(tmp_path, make_volume):
    body = SCORED.replace("at_most = 50", "at_most = 2", 1)
    said = texts(run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels())))
    cut = "3 candidates reach the score of 0.01; the 2 with the highest score were looked at further."
    assert cut in said
    assert not any("are reported" in one for one in said)


def test_where_nothing_is_selected_later_the_cut_is_of_what_is_reported(tmp_path, make_volume):
    body = (made.FOUND + made.SEGMENT).replace("at_most = 50", "at_most = 2", 1)
    said = texts(run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels())))
    assert "3 candidates reach the score of 0.01; the 2 with the highest score are reported." in said


def test_of_candidates_that_nothing_could_score_nobody_reads_that_none_is_there(tmp_path, make_volume):
    image = np.zeros(made.SHAPE, np.float32)
    image[4, 6, 7] = 6000.0  # one voxel: too little for a row, and without a row there is no score
    findings = run(made.spots_engine(tmp_path / "e", SCORED), make_volume(image))
    assert findings.outcome is Outcome.NOT_ANALYSED
    (why,) = (one for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED)
    assert why.text == "Lesion: not determined, as the only candidate has no score."
    assert why.code == UNDECIDED.code
    assert not any(one.kind is RemarkKind.NO_FINDING for one in findings.remarks)
    assert not any("are not reported" in one for one in texts(findings)), "it is said once"


def test_a_candidate_between_the_slices_is_measured_and_scored_by_its_own_voxels(tmp_path, make_volume, dots):
    volume = make_volume(np.full((6, 24, 32), 80.0, np.float32), spacing=(4.0, 1.0, 1.0))
    body = DOTS + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED + made.TEXTURE
    findings = run(made.spots_engine(tmp_path / "e", body, THICK), volume)
    (point,) = findings.regions
    assert point.kind is RegionKind.POINT
    assert point.score == pytest.approx(made.bright(80.0))
    assert point.features[0].values.tolist() == [80.0, 80.0]
    assert "1 candidate has no outline and is reported as a point." in texts(findings)


def test_a_point_that_is_not_selected_is_not_said_to_be_reported(tmp_path, make_volume, dots):
    volume = make_volume(np.full((6, 24, 32), 20.0, np.float32), spacing=(4.0, 1.0, 1.0))
    body = DOTS + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED
    findings = run(made.spots_engine(tmp_path / "e", body, THICK), volume)
    assert findings.outcome is Outcome.NO_FINDINGS
    assert texts(findings) == [
        "Lesion: none reaches the score of 0.3; 1 candidate below it was not reported, the highest 0.04."
    ]


def constant(shape, given_as="x", **outputs) -> bytes:
    """A network that says the same of whatever it is given."""
    given = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    nodes = [node("ReduceMean", [given_as], ["one"], keepdims=0), node("Mul", ["one", "zero"], ["none"])]
    nodes += [node("Add", ["none", f"{name}_is"], [name]) for name in given]
    return onnx_bytes(
        nodes,
        [(given_as, shape)],
        [(name, list(value.shape), TensorProto.FLOAT) for name, value in given.items()],
        {"zero": np.array(0.0, np.float32), **{f"{name}_is": value for name, value in given.items()}},
    )


@pytest.mark.parametrize(("scored", "down_to"), [(("spot",), 0.9), (("spot", "other"), 0.0)])
def test_candidates_are_known_as_far_down_as_the_class_that_no_step_scores(
    tmp_path, make_volume, monkeypatch, scored, down_to
):
    # `boxes` of the room's face is the function
    monkeypatch.setattr(import_module("dicomnode.analyse.interpret.boxes"), "MOST_BELOW", 1)
    corners = [[[k - 2, j - 2, i - 2, k + 3, j + 3, i + 3] for (k, j, i), _ in made.SPOTS]]
    scores = [[[0.9, 0.1], [0.8, 0.2], [0.7, 0.6]]]
    box = [1, 1, "k", "j", "i"]
    networks = {
        "boxer.onnx": constant(box, boxes=corners, scores=scores),
        "grade.onnx": constant(box, out=[[0.5]]),
    }
    grade = 'each = "boxer"\ncrop = { of = "boxer" }\ninterpret = "classes"\n'
    body = step("boxer.onnx", 'interpret = "boxes"\n[step.boxes]\n')
    body += step("grade.onnx", grade + '[step.classes]\nactivation = "none"\n')
    for channel, name in enumerate(("spot", "other")):
        body += f'[[output]]\nregion = "{name}"\nstep = "boxer"\nchannel = {channel}\ntype = {LESION}\n'
        body += f'tracking = "{name} {{number}}"\n'
        if name in scored:
            body += 'score = { of = "grade", channel = 0, threshold = 0.4 }\n'
    analyst = Analyst(engine(tmp_path / "e", body, networks), threads=1, node_version="9.9")
    analyst.keeps_unreported = True
    try:
        volumes = {"ct": make_volume(made.voxels())}
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        analyst.analyse(Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=when))
        assert analyst.unreported.down_to == pytest.approx({"spot": down_to, "other": down_to})
    finally:
        analyst.close()


@pytest.mark.parametrize("threshold", [0.1, 0.45, 0.7])
def test_a_lesion_whose_class_is_the_threshold_is_reported_and_has_it(tmp_path, make_volume, threshold):
    flat = made.TYPE.replace('"sigmoid"', '"none"')
    body = made.FOUND + made.ROWS + flat + made.SEGMENT + made.SELECTED.replace("0.3", f"{threshold}")
    body += made.BRIGHT.replace("0.6", f"{threshold}")
    network = constant([1, 2], "row", out=[[threshold, 1.0 - threshold]])
    findings = run(made.spots_engine(tmp_path / "e", body, type=network), make_volume(made.voxels()))
    assert len(findings.segments) == len(made.SPOTS)
    assert all(one.classes[0].present for one in findings.segments)


def test_what_could_not_be_told_of_a_lesion_is_named_in_the_words_of_the_report(tmp_path, make_volume):
    image = made.voxels()
    image[2, 20, 28] = image[14, 2, 4] = 900.0  # too little for a row
    attribute = 'attribute = { scheme = "99TEST", code = "LIGHT", meaning = "Brightness" }\n'
    body = SCORED + made.BRIGHT.replace("threshold", attribute + "threshold")
    said = texts(run(made.spots_engine(tmp_path / "e", body), make_volume(image)))
    (why,) = [one for one in said if "of 5 candidates" in one]
    assert why.startswith("Lesion: 2 of 5 candidates have no brightness or score (the region has no")
    steps = ("rows", "type", "net")
    assert not [one for one in said if one.partition(":")[0] in steps], "a reader knows of no steps"
