"""An engine with two series, from files to objects and JSON: what is found of any kind comes through."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest
from onnx import TensorProto

from dicomnode.cli.documents import study_walk_document
from dicomnode.cli.findings import print_study
from dicomnode.faults import INPUT_MISSING, NEEDS_REGISTRATION
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.report import ReportProfile
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.once.trial import StudyWalk, WalkPlan, walk
from dicomnode.store import Store
from dicomnode.values import Grid, Outcome
from tests.unit.analyse.forms import CT, LESION, ONE, TISSUE, engine, node, onnx_bytes

FLOAT = TensorProto.FLOAT
SHAPE = (6, 16, 20)
GRID = Grid(SHAPE, np.diag([1.5, 1.5, 2.0, 1.0]), "1.2.3.9")
MR = """
[[input]]
name = "mr"
kind = "volume"
require = [ { tag = "Modality", equals = "MR" }, { fact = "spacing_k_mm", at_most = 3.0 } ]
"""
HEADS = """
[[step]]
network = "net.onnx"
sha256 = "SHA(net.onnx)"
window = "whole"
inputs = { x = ["ct", "mr"] }
[[step.head]]
name = "seg"
interpret = "labels"
output = "seg"
[[step.head]]
name = "mean"
interpret = "regression"
output = "mean"
[[step.head]]
name = "sick"
interpret = "classes"
output = "mean"
[[step.head]]
name = "box"
interpret = "boxes"
[step.head.boxes]
[[step.head]]
name = "difference"
interpret = "map"
output = "difference"
[[step.head]]
name = "image"
interpret = "image"
output = "difference"
[[step.head]]
name = "deep"
interpret = "features"
output = "mean"
[step.gate]
shape = [1, 2, 6, 8, 8]
low = 0.0
high = 1.0

[[output]]
segment = "bright"
step = "net"
head = "seg"
kind = "tissue"
category = TISSUE
type = TISSUE
tracking = "Bright"
measure = ["volume_ml"]
[[output]]
measurement = "mean"
step = "net"
head = "mean"
type = LESION
unit = ONE
interval_channels = [1, 0]
[[output]]
classification = "sick"
step = "net"
head = "sick"
type = LESION
[[output]]
region = "spot"
step = "net"
head = "box"
type = LESION
tracking = "Spot {number}"
[[output]]
map = "difference"
step = "net"
head = "difference"
type = LESION
unit = ONE
[[output]]
image = "image"
step = "net"
head = "image"
[[output]]
features = "deep"
step = "net"
head = "deep"
"""


def network() -> bytes:
    """difference = ct - mr; bright where it is above 0; the means of both; one box."""
    weights = {
        "w": np.array([1.0, -1.0], np.float32).reshape(1, 2, 1, 1, 1),
        "axes": np.array([2, 3, 4]),
        "box": np.array([[1, 2, 3, 4, 5, 6]], np.float32),
        "score": np.array([0.9], np.float32),
    }
    nodes = [
        node("Conv", ["x", "w"], ["difference"]),
        node("Sub", ["difference", "difference"], ["zero"]),
        node("Concat", ["zero", "difference"], ["seg"], axis=1),
        node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        node("Identity", ["box"], ["boxes"]),
        node("Identity", ["score"], ["scores"]),
    ]
    outputs = [
        ("difference", [1, 1, "k", "j", "i"], FLOAT),
        ("seg", [1, 2, "k", "j", "i"], FLOAT),
        ("mean", [1, 2], FLOAT),
        ("boxes", [1, 6], FLOAT),
        ("scores", [1], FLOAT),
    ]
    return onnx_bytes(nodes, [("x", [1, 2, "k", "j", "i"])], outputs, weights)


@pytest.fixture
def package(tmp_path):
    body = (
        HEADS.replace("= TISSUE", f"= {TISSUE}")
        .replace("= LESION", f"= {LESION}")
        .replace("= ONE", f"= {ONE}")
    )
    return engine(tmp_path / "pairs", body, {"net.onnx": network()}, CT + MR)


def ct_hu() -> np.ndarray:
    hu = np.full(SHAPE, -500, np.int16)
    hu[2:4, 4:9, 6:15] = 300
    return hu


def mr_of(grid: Grid) -> np.ndarray:
    return np.full(grid.shape_kji, 100, np.int16)


def walked(package, folder, mr_grid: Grid | None) -> StudyWalk:
    files = write_series(ct_hu(), GRID, folder / "ct", seed=1)
    if mr_grid is not None:
        form = SeriesForm(modality="MR", series_number=3)
        files += write_series(mr_of(mr_grid), mr_grid, folder / "mr", seed=1, form=form)
    plan = WalkPlan(
        packages=[package],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32),
    )
    (study,) = walk(files, plan).studies
    return study


def test_two_series_give_results_of_every_kind_and_none_is_lost(package, tmp_path, capsys):
    study = walked(package, tmp_path, GRID)
    (result,) = study.results
    found = result.findings
    assert found.outcome == Outcome.FINDINGS
    assert [one.name for one in found.sources] == ["ct", "mr"]
    assert np.array_equal(found.segments[0].mask.to_array(), ct_hu() > 100)
    document = json.loads(json.dumps(study_walk_document(study, (), {})))
    assert document["maps"][0] | {"affine_lps": None} == {
        "engine": "pairs",
        "label": "difference",
        "unit": "1",
        "shape_kji": list(SHAPE),
        "affine_lps": None,
        "min": -600.0,
        "max": 200.0,
        "mean": round(float(ct_hu().mean()) - 100.0, 4),
    }
    assert document["images"][0]["label"] == "image"
    assert document["features"][0]["values"]["f1"] == 100.0
    assert document["measurements"][0]["interval"] == sorted([100.0, document["measurements"][0]["value"]])
    assert document["regions"][0]["points_lps_mm"] == [[3.75, 2.25, 1.0], [8.25, 6.75, 7.0]]
    assert document["classifications"][0]["probabilities"] == pytest.approx({"class 0": 0.0, "class 1": 1.0})
    said = [document[kind][0]["calibrated"] for kind in ("classifications", "regions", "findings")]
    assert said == [False, False, False]
    assert document["provenance"][0]["outcome"] == "findings"
    print_study(study, document)
    assert "spot-1" in capsys.readouterr().out


def test_the_report_says_what_it_does_not_hold_yet(package, tmp_path):
    (result,) = walked(package, tmp_path, GRID).results
    assert [made.kind for made in result.objects] == ["SEG", "SR"]
    report = pydicom.dcmread(BytesIO(result.objects[1].content))
    text = " ".join(str(element.value) for element in report.iterall() if element.keyword == "TextValue")
    assert "Kept in the findings, not yet in DICOM: features deep." in text
    assert "(difference): " in text
    assert "Image made: " in text
    assert text.count("95 % of") == text.count("95 % of such cases lie between") == 1
    assert "spot-1: Lesion, score 90.0 %, on image " in text
    assert ", box of 4.5 × 4.5 × 6.0 mm around " in text


def test_findings_of_every_kind_come_back_from_the_store(package, tmp_path):
    (result,) = walked(package, tmp_path, GRID).results
    with Store.open(tmp_path / "store") as store:
        found = store.load_findings(store.save_findings(result.findings))
    assert np.array_equal(found.maps[0].values, result.findings.maps[0].values)
    assert found.features[0].names == ("f0", "f1")
    assert found.measurements == result.findings.measurements


def test_a_series_that_goes_with_the_chosen_one_says_so_in_its_verdict(package, tmp_path):
    verdicts = walked(package, tmp_path, GRID).dispatch.verdicts
    assert sorted((one.chosen, one.rule) for one in verdicts) == [
        (False, "goes with the chosen one as input mr"),
        (True, "holds all rules"),
    ]


@pytest.mark.parametrize("coarse", [False, True])
def test_without_the_second_series_the_study_is_not_analysed_and_says_why(package, tmp_path, coarse):
    thick = Grid(SHAPE, np.diag([1.5, 1.5, 4.0, 1.0]), "1.2.3.9") if coarse else None
    (result,) = walked(package, tmp_path, thick).results
    assert result.findings.outcome == Outcome.NOT_ANALYSED
    (remark,) = result.findings.remarks
    assert remark.code == INPUT_MISSING.code
    why = "spacing between slices at most 3 mm, found 4 mm" if coarse else "there is no other series"
    assert why in remark.text


def test_a_second_series_of_another_space_needs_registration(package, tmp_path):
    elsewhere = Grid(SHAPE, GRID.affine_lps, "1.2.3.10")
    (result,) = walked(package, tmp_path, elsewhere).results
    assert result.findings.outcome == Outcome.NOT_ANALYSED
    assert result.findings.remarks[0].code == NEEDS_REGISTRATION.code
    assert dataclasses.replace(result.findings.remarks[0], code=None).text.startswith(
        "Engine pairs cannot put"
    )
