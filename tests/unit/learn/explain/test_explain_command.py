"""`dicomnode explain`: from an engine that was trained here to a Parametric Map, pages and a picture."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.cli.app import main
from dicomnode.evaluate.data import read_labelled
from dicomnode.learn import ClassifyJob, Order, Title, read_recipe, train_engine
from dicomnode.learn.explain import METHODS, read_network
from dicomnode.learn.train.samples import fed
from tests.unit.learn.train.small_data import write_study

MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)
QUICK = {"epochs": 1, "steps": 2, "batch": 4, "network": "resnet10", "patch_kji": [8, 24, 24]}
CODES = {"cam": "130402", "grad-cam": "130403", "integrated-gradients": "130404"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    rows = []
    for seed in range(8):
        place = write_study(folder / "data", seed, outlines=(), spotted=bool(seed % 2))
        header = pydicom.dcmread(next(place.iterdir()), stop_before_pixels=True)
        rows.append([header.StudyInstanceUID, seed % 2])
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["StudyInstanceUID", "spot"], *rows])
    data = read_labelled([folder / "data"], folder / "labels.csv")
    order = Order(
        out=folder / "spots",
        run=folder / "run",
        split=folder / "split.json",
        title=Title(name="spots", version="1.0.0", title="Spots"),
        made_at=MADE_AT,
        device="cpu",
    )
    made = train_engine(ClassifyJob.of(read_recipe(None, "classify", QUICK), data, "spot"), data, order)
    assert made.gate.passed
    return made.package.folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), 51, outlines=(), spotted=True)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in ("explain", *words)])
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out, said.err


def analysed(engine: Path, study: Path):
    from dicomnode.engine import load_package

    package = load_package(engine)
    [found] = read_studies([study]).studies
    volume = load_volume(found.series[0].stacks[0])
    analyst = Analyst(package, threads=1, node_version="0")
    try:
        analysis = Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
        return package, volume, analyst.analyse(analysis)
    finally:
        analyst.close()


def test_in_service_the_map_of_the_class_comes_with_its_probability(engine: Path, study: Path) -> None:
    """The mean of the map is the logarithm of the odds; the map covers the images, in patient space."""
    package, volume, findings = analysed(engine, study)
    [told], [heat] = findings.classifications, findings.maps
    assert (heat.label, heat.type.value) == ("spot-evidence", "130402")
    odds = np.log(told.probability / (1.0 - told.probability))
    assert float(heat.values.mean()) == pytest.approx(odds * read_network(package).temperature, abs=1e-3)
    ready = fed(package.manifest, volume)
    for grid in (heat.grid,):  # face to face with what the network saw
        whole = np.array(grid.shape_kji) - 0.5
        seen = np.array(ready.grid.shape_kji) - 0.5
        np.testing.assert_allclose(grid.to_lps_mm([-0.5] * 3), ready.grid.to_lps_mm([-0.5] * 3), atol=1e-6)
        np.testing.assert_allclose(grid.to_lps_mm(whole), ready.grid.to_lps_mm(seen), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_study_is_explained_as_parametric_map_pages_and_picture(
    engine: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    out = tmp_path / "out"
    code, said, _ = run(capsys, engine, study, "--out", out, "--method", method, "--class", "spot", "--json")
    assert code == 0
    [told] = json.loads(said)["studies"]
    kinds = [one["kind"] for one in told["files"]]
    assert (kinds.count("PM"), kinds.count("picture")) == (1, 1)
    assert "SC" in kinds
    made = pydicom.dcmread(next(one["path"] for one in told["files"] if one["kind"] == "PM"))
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == CODES[method]
    values = np.frombuffer(made.FloatPixelData, dtype="<f4")
    assert [made.NumberOfFrames, made.Rows, made.Columns] == told["shape_kji"]
    if method == "cam":
        assert float(values.mean()) == pytest.approx(told["evidence"], abs=1e-3)
    if method == "integrated-gradients":
        assert float(values.sum()) == pytest.approx(told["sum_of_parts"], abs=1e-2)
        assert abs(told["sum_of_parts"] - told["difference_to_baseline"]) <= 0.01 * max(
            1.0, abs(told["difference_to_baseline"])
        )


def test_people_are_told_what_a_map_is_not(
    engine: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, also = run(capsys, engine, study, "--out", tmp_path / "out")
    assert code == 0
    assert "no proof" in said + also


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--class", "tumour"), 2, "DN-7222"),
        (("--method", "guess"), 2, "--method takes cam, grad-cam, integrated-gradients"),
    ],
)
def test_what_is_asked_wrongly_is_refused_and_nothing_is_written(
    engine: Path,
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words,
    status: int,
    said: str,
) -> None:
    code, _, error = run(capsys, engine, study, "--out", tmp_path / "out", *words)
    assert (code, said in error) == (status, True)
    assert not list(tmp_path.glob("out/*"))


def test_an_engine_without_its_weights_is_refused(
    engine: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(engine, tmp_path / "spots")
    (copy / "weights.pt").unlink()
    code, _, error = run(capsys, copy, study, "--out", tmp_path / "out")
    assert (code, "DN-7220" in error, "weights.pt" in error) == (12, True, True)


def test_weights_of_another_training_explain_nothing(
    engine: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(engine, tmp_path / "spots")
    kept = torch.load(copy / "weights.pt", weights_only=True)
    kept["state"]["fc.bias"] += torch.tensor([2.0, -2.0])
    torch.save(kept, copy / "weights.pt")
    code, _, error = run(capsys, copy, study, "--out", tmp_path / "out")
    assert (code, "DN-7224" in error) == (12, True)
    assert not list(tmp_path.glob("out/*"))


def test_a_study_that_the_engine_does_not_want_is_said(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dicomnode.learn.generate import SynthPlan, synth_cases

    synth_cases(SynthPlan(kind="discs", cases=1, seed=1), tmp_path / "films")
    code, _, error = run(capsys, engine, tmp_path / "films", "--out", tmp_path / "out")
    assert (code, "DN-7225" in error) == (3, True)
