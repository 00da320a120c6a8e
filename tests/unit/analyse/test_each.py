"""Steps for each lesion: whole engines whose answers are known by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse import Analysis, Analyst, algorithm_step, checks, laying
from dicomnode.analyse.algorithms import Blob, LesionAlgorithm
from dicomnode.analyse.radiomics import row_of_region
from dicomnode.analyse.register import Registration
from dicomnode.analyse.resample import Prepared
from dicomnode.faults import MANIFEST_WRONG, NETWORK_FAILED, NodeError
from dicomnode.values import ChangeKind, Outcome, RegionKind, RemarkKind
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse import lesion_engines as made
from tests.unit.analyse.devices import CountingKernels, analysed, same
from tests.unit.analyse.forms import CT, LESION, ONE, engine, node, onnx_bytes, run, step
from tests.unit.analyse.test_pictures import AXES, blot, detector, one_input, picture_of


def by_brightness(findings):
    """Segments of the spots, the brightest first, with the mean that their row says."""
    return sorted(findings.segments, key=lambda one: -float(one.features[0].values[0]))


def test_each_lesion_has_the_row_and_the_classes_of_its_own_voxels(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.BRIGHT + made.TEXTURE
    volume = make_volume(made.voxels(), spacing=(2.0, 1.0, 1.0))
    findings = run(made.spots_engine(tmp_path / "e", body), volume)
    spots = by_brightness(findings)
    assert [one.features[0].values[0] for one in spots] == [80.0, 50.0, 20.0]
    for spot, mean in zip(spots, (80.0, 50.0, 20.0), strict=True):
        (answer,) = spot.classes
        assert answer.probability == pytest.approx(made.bright(mean), abs=1e-6)
        assert answer.present == (made.bright(mean) >= 0.6)
        assert [one.label for one in answer.probabilities] == ["bright", "dark"]
        assert (answer.label, answer.algorithm) == ("bright", "type 1.0.0")
        image = Prepared(made.voxels(), volume.grid)
        expected = row_of_region(image, spot.mask.to_array(), names=spot.features[0].names)
        assert np.array_equal(spot.features[0].values, expected.astype(np.float32))
        assert spot.features[0].algorithm == "radiomics 1"
    assert not findings.classifications, "the classes are those of lesions, not of the study"
    assert not findings.features
    assert any("features of each lesion texture" in one.text for one in findings.remarks)


def test_the_class_of_a_step_may_select_and_order_the_lesions(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED + made.TEXTURE
    findings = run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert [one.label for one in findings.segments] == ["spot-1", "spot-2"]
    assert [one.score for one in findings.segments] == pytest.approx([made.bright(80.0), made.bright(50.0)])
    assert [one.features[0].values[0] for one in findings.segments] == [80.0, 50.0]


def test_more_lesions_than_are_reported_are_counted(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED.replace("10 }", "1 }")
    findings = run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert [one.score for one in findings.segments] == pytest.approx([made.bright(80.0)])
    assert any("2 candidates reach the score of 0.3; the 1 with" in one.text for one in findings.remarks)


def test_where_none_is_sure_enough_it_is_said_how_many_there_were(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED + made.TEXTURE
    image = made.voxels((((4, 6, 7), 20.0), ((8, 16, 10), 30.0)))
    findings = run(made.spots_engine(tmp_path / "e", body), make_volume(image))
    assert findings.outcome == Outcome.NO_FINDINGS
    assert not findings.segments
    assert not any("features of each lesion" in one.text for one in findings.remarks), "there are none"
    (said,) = (one.text for one in findings.remarks if one.kind is RemarkKind.NO_FINDING)
    assert said == (
        "Lesion: none reaches the score of 0.3; 2 candidates below it were not reported, the highest 0.11."
    )


def test_a_lesion_that_has_no_answer_is_counted_and_is_not_lost_without_a_word(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.TEXTURE
    image = made.voxels()
    image[2, 20, 28] = 900.0  # one voxel: too little for a row
    without = run(made.spots_engine(tmp_path / "e", body), make_volume(image))
    assert len(without.segments) == 4
    assert sum(not one.features for one in without.segments) == 1
    said = [one.text for one in without.remarks]
    (why,) = [one for one in said if "of 4 candidates" in one]  # once: the class follows from the row
    assert why.startswith("Lesion: 1 of 4 candidates has no features (the region has no")
    scored = run(
        made.spots_engine(tmp_path / "f", body.replace(made.TEXTURE, made.SELECTED)), make_volume(image)
    )
    assert len(scored.segments) == 2
    assert any("1 candidate has no score, and is not reported" in one.text for one in scored.remarks)


def mean_of_patch() -> bytes:
    return onnx_bytes(
        [node("ReduceMax", ["x", "axes"], ["top"], keepdims=0), node("Identity", ["top"], ["out"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("out", [1, 1], TensorProto.FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )


PATCH = step("patch.onnx", 'each = "net"\ncrop = { of = "net", margin_mm = 1.0 }\ninterpret = "regression"\n')
PEAK = f"""
[[output]]
measurement = "peak"
step = "patch"
type = {LESION}
unit = {ONE}
plausible = [0.0, 60.0]
"""


def test_a_network_may_see_the_box_around_each_lesion(tmp_path, make_volume):
    body = made.FOUND + PATCH + made.SEGMENT + PEAK
    package = made.spots_engine(tmp_path / "e", body, patch=mean_of_patch())
    findings = run(package, make_volume(made.voxels()))
    peaks = [one.measurements[-1].value for one in findings.segments]
    assert sorted(peaks) == [20.0, 50.0, 80.0]
    assert not findings.measurements
    (doubt,) = (one.text for one in findings.remarks if "plausible" in one.text)
    bright = next(one for one in findings.segments if one.measurements[-1].value == 80.0)
    assert doubt.startswith(f"{bright.tracking_id}: "), "a doubt names the lesion that it is about"


def test_boxes_have_classes_and_are_selected_as_lesions_with_an_outline_are(tmp_path, make_volume):
    corners = np.array([[[k - 2, j - 2, i - 2, k + 3, j + 3, i + 3] for (k, j, i), _ in made.SPOTS]])
    boxes = onnx_bytes(
        [
            node("ReduceMean", ["x"], ["one"], keepdims=0),
            node("Mul", ["one", "zero"], ["none"]),
            node("Add", ["none", "corners"], ["boxes"]),
            node("Add", ["none", "all"], ["scores"]),
        ],
        [("x", [1, 1, "k", "j", "i"])],
        [("boxes", [1, 3, 6], TensorProto.FLOAT), ("scores", [1, 3], TensorProto.FLOAT)],
        {
            "zero": np.array(0.0, np.float32),
            "corners": corners.astype(np.float32),
            "all": np.array([[0.9, 0.8, 0.7]], np.float32),
        },
    )
    graded = onnx_bytes(
        [
            node("ReduceMax", ["x", "axes"], ["top"], keepdims=0),
            node("Div", ["top", "hundred"], ["out"]),
        ],
        [("x", [1, 1, "k", "j", "i"])],
        [("out", [1, 1], TensorProto.FLOAT)],
        {"axes": np.array([2, 3, 4]), "hundred": np.array(100.0, np.float32)},
    )
    of_box = 'each = "boxer"\ncrop = { of = "boxer" }\ninterpret = "classes"\n'
    grade = step("grade.onnx", of_box + '[step.classes]\nactivation = "none"\n')
    body = step("boxer.onnx", 'interpret = "boxes"\n[step.boxes]\n') + grade
    body += f'[[output]]\nregion = "spot"\nstep = "boxer"\ntype = {LESION}\ntracking = "Spot {{number}}"\n'
    body += 'score = { of = "grade", channel = 0, threshold = 0.4 }\n'
    body += made.BRIGHT.replace('"type"', '"grade"')
    package = made.spots_engine(tmp_path / "e", body, boxer=boxes, grade=graded)
    findings = run(package, make_volume(made.voxels()))
    assert [(one.label, one.kind) for one in findings.regions] == [
        ("spot-1", RegionKind.BOX),
        ("spot-2", RegionKind.BOX),
    ]
    assert [one.score for one in findings.regions] == pytest.approx([0.8, 0.5])
    assert [one.classes[0].present for one in findings.regions] == [True, False]


def test_candidates_below_the_score_are_known_to_who_judges_the_engine(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED
    analyst = Analyst(made.spots_engine(tmp_path / "e", body), threads=1, node_version="9.9")
    analyst.keeps_unreported = True
    try:
        volumes = {"ct": make_volume(made.voxels())}
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        findings = analyst.analyse(Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=when))
        left = analyst.unreported
    finally:
        analyst.close()
    assert len(findings.segments) == 2
    ((centre, score),) = left.of("spot")
    assert score == pytest.approx(made.bright(20.0))
    assert centre == pytest.approx((24.0, 8.0, 10.0))
    assert left.down_to == {"spot": 0.0}


def test_a_class_that_the_network_does_not_have_is_named(tmp_path, make_volume):
    names = 'names = ["bright", "dark"]\n'
    body = made.FOUND + made.ROWS + made.TYPE.replace(names, "") + made.SEGMENT
    body += made.SELECTED.replace("channel = 0", "channel = 7")
    with pytest.raises(NodeError, match="class 7, the network has 2") as caught:
        run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert caught.value.fault is NETWORK_FAILED


def test_an_algorithm_without_a_row_cannot_be_a_step_for_each_lesion(tmp_path, make_volume):
    body = made.FOUND + made.ROWS.replace('"radiomics"', '"blobs"') + made.SEGMENT
    with pytest.raises(NodeError) as caught:
        run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert caught.value.fault is MANIFEST_WRONG
    assert 'interpret = "lesions"' in str(caught.value)


def test_on_a_device_the_same_is_said_of_each_lesion_and_where_it_was_done(tmp_path, make_volume):
    body = made.FOUND + made.ROWS + made.TYPE + PATCH + made.SEGMENT + made.SELECTED + made.BRIGHT + PEAK
    package = made.spots_engine(tmp_path / "e", body, patch=mean_of_patch())
    volumes = {"ct": make_volume(made.voxels())}
    there, here = analysed(package, volumes, CountingKernels()), analysed(package, volumes)
    assert same(there, here)
    assert len(there.segments) == 2
    for name in ("rows", "type", "patch"):
        assert f"{name} (it runs for each lesion)" in there.provenance.details["on the host"]


def test_lesions_of_slices_under_a_tilted_gantry_keep_what_was_said_of_them(tmp_path, make_volume):
    affine = np.eye(4)
    affine[1, 2] = 0.25  # each slice lies a quarter of a pixel further to the back
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED + made.TEXTURE + made.BRIGHT
    findings = run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels(), affine=affine))
    first, second = findings.segments
    assert (first.score or 0) > (second.score or 0) > 0.3
    for one in (first, second):
        assert one.score == one.classes[0].probability
        mean = float(made.voxels()[one.mask.to_array()].mean())
        assert mean == pytest.approx(float(one.features[0].values[0]), rel=0.1)


def test_lesions_of_the_prior_are_those_that_the_same_steps_select(tmp_path, make_volume, monkeypatch):
    still = Registration(kind="rigid", moved_lps=np.eye(4), error_mm=0.1, overlap=0.9, information=1.5)
    monkeypatch.setattr(laying, "register", lambda *_: still)
    prior = """
[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
register = "rigid"
[input.prior]
compare = true
"""
    body = made.FOUND + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED
    package = made.spots_engine(tmp_path / "e", body, CT + prior)
    (first, _), *others = made.SPOTS
    then = replace(make_volume(made.voxels(((first, 20.0), *others))), frame_of_reference_uid="1.2.3.8")
    findings = run(package, make_volume(made.voxels()), then, names=("ct", "before"))
    changes = {one.label: one.kind for one in findings.changes}
    assert changes == {"spot-1": ChangeKind.MEASURED, "spot-2": ChangeKind.NEW}, "then it was too dark"


def test_a_box_on_a_picture_has_a_class_of_what_is_in_it(tmp_path):
    top = onnx_bytes(
        [node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0), node("Div", ["mean", "most"], ["out"])],
        [("x", [1, 1, "j", "i"])],
        [("out", [1, 1], TensorProto.FLOAT)],
        {"axes": np.array([2, 3]), "most": np.array(255.0, np.float32)},
    )
    body = step(
        "top.onnx",
        'each = "net"\ncrop = { of = "net" }\n'
        + AXES
        + 'interpret = "classes"\n[step.classes]\nactivation = "none"\n',
        "shape = [1, 1, 8, 8]",
    )
    boxes = detector(tmp_path / "boxes", 4)
    text = (boxes.folder / "engine.toml").read_text()
    head, _, rest = text.partition("[[output]]")
    said = made.BRIGHT.replace('"type"', '"top"')
    body = head[head.index("[[step]]") :] + body + "[[output]]" + rest + said
    networks = {"net.onnx": (boxes.folder / "net.onnx").read_bytes(), "top.onnx": top}
    package = engine(tmp_path / "e", body, networks, one_input())
    (region,) = run(package, picture_of(blot()), names=("photo",)).regions
    (answer,) = region.classes
    assert answer.probability == pytest.approx(210 / 255), "the blot alone lies in the box"
    assert answer.present


def test_a_point_that_an_algorithm_gives_is_scored_by_a_network_that_sees_its_place(
    tmp_path, make_volume, monkeypatch
):
    tiny = Blob(
        centre_kji=(9.0, 6.0, 7.0),
        diameter_mm=2.0,
        response=1.0,
        start_kji=(9, 6, 7),
        mask=np.ones((1, 1, 1), dtype=bool),
    )
    dots = LesionAlgorithm(
        name="dots", version=1, unit=HOUNSFIELD, parameters=MappingProxyType({}), run=lambda *_: (tiny,)
    )
    for module in (algorithm_step, checks):
        monkeypatch.setattr(module, "LESION_ALGORITHMS", {"dots": dots})
    seen = onnx_bytes(
        [node("ReduceMax", ["x", "axes"], ["top"], keepdims=0), node("Div", ["top", "most"], ["out"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("out", [1, 1], TensorProto.FLOAT)],
        {"axes": np.array([2, 3, 4]), "most": np.array(100.0, np.float32)},
    )
    grade = 'each = "net"\ncrop = { of = "net", margin_mm = 2.0 }\ninterpret = "classes"\n'
    body = '[[step]]\nname = "net"\nalgorithm = "dots"\ninterpret = "lesions"\n'
    body += step("grade.onnx", grade + '[step.classes]\nactivation = "none"\n') + made.SEGMENT
    body += 'score = { of = "grade", channel = 0, threshold = 0.1 }\n'
    inputs = CT + "prepare = [ { resample_mm = [1.0, 1.0, 1.0] } ]\n"
    thick = make_volume(made.voxels()[::4], spacing=(4.0, 1.0, 1.0))
    package = made.spots_engine(tmp_path / "e", body, inputs, grade=seen)
    (point,) = run(package, thick).regions
    assert point.kind is RegionKind.POINT
    assert point.score is not None
    assert point.score > 0.1


def test_lesions_of_one_of_several_heads_are_gone_through_and_selected(tmp_path, make_volume):
    plain, _, how = made.FOUND.partition("[step.centre_heat]")
    gate = "[step.gate]" + how.partition("[step.gate]")[2]
    head = '[[step.head]]\nname = "{}"\ninterpret = "{}"\n'
    of_heat = (
        head.format("spots", "centre_heat") + "[step.head.centre_heat]\n" + how.partition("[step.gate]")[0]
    )
    other = head.format("bright", "sigmoid") + 'output = "mask"\n'
    first = plain.replace('interpret = "centre_heat"\n', "") + of_heat + other + gate
    first = first.replace("[step.head.centre_heat]", '[step.head.centre_heat]\nsize = "logd_out"')
    body = first + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED + made.TEXTURE
    body = body.replace('each = "net"', 'each = "net/spots"')
    body = body.replace('segment = "spot"\nstep = "net"', 'segment = "spot"\nstep = "net"\nhead = "spots"')
    findings = run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert [one.features[0].values[0] for one in findings.segments] == [80.0, 50.0]
    assert [one.score for one in findings.segments] == pytest.approx([made.bright(80.0), made.bright(50.0)])
