"""Training of classes and numbers of whole studies: from a table to an engine that says them."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import LABELS_UNFIT, NOTHING_TO_LEARN, NodeError
from dicomnode.learn import ClassifyJob, RegressJob, read_recipe, train_engine
from dicomnode.learn.train.classify import calibrated_by
from dicomnode.learn.train.plan import picture_side
from dicomnode.learn.train.told import class_title, classes_of
from dicomnode.values import Code, Findings, no_progress

from .conftest import MADE_AT
from .small_data import write_study

SMALL = {
    "epochs": 4,
    "steps": 6,
    "batch": 4,
    "width": 8,
    "network": "gru",
    "patch_kji": [8, 24, 24],
    "learning_rate": 0.01,
}
YEARS = Code("a", "UCUM", "year")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients; those with an odd seed are brighter: class "1", and 20 years older."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = []
    for seed in range(10):
        place = write_study(folder / "data", seed, outlines=(), shift=200.0 * (seed % 2))
        header = pydicom.dcmread(next(place.iterdir()), stop_before_pixels=True)
        rows.append([header.StudyInstanceUID, seed % 2, 40 + 20 * (seed % 2), "same", f"word {seed}"])
    rows[9][1] = ""  # nobody has said
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["StudyInstanceUID", "bright", "age", "constant", "free"], *rows])
    return folder


def data_of(folder: Path):
    return read_labelled([folder / "data"], folder / "labels.csv")


def job_of(task: str, data, column: str, recipe):
    if task == "classify":
        return ClassifyJob.of(recipe, data, column)
    return RegressJob.of(recipe, data, column, YEARS)


def findings_of(package, place: Path) -> Findings:
    [study] = read_studies([place]).studies
    volume = load_volume(study.series[0].stacks[0])
    analyst = Analyst(package, threads=1, node_version="0")
    try:
        analysis = Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
        return analyst.analyse(analysis)
    finally:
        analyst.close()


def test_the_engine_tells_classes_of_studies_that_it_has_never_seen(
    labelled: Path, order_in, tmp_path: Path
) -> None:
    data = data_of(labelled)
    job = ClassifyJob.of(read_recipe(None, "classify", SMALL), data, "bright")
    assert len(job.cases) == 9
    trained = train_engine(job, data, order_in("bright"))
    assert trained.gate.passed
    for seed, shift in ((50, 0.0), (51, 200.0)):
        place = write_study(tmp_path, seed, outlines=(), shift=shift)
        [found] = findings_of(trained.package, place).classifications
        assert (found.label, found.present) == ("bright", shift > 0)
        assert not found.calibrated  # one validation case is no calibration
    assert "Not calibrated" in (trained.package.folder / "card.md").read_text()


def test_the_engine_gives_a_number_in_its_unit(labelled: Path, order_in, tmp_path: Path) -> None:
    data = data_of(labelled)
    job = RegressJob.of(read_recipe(None, "regress", {**SMALL, "epochs": 8}), data, "age", YEARS)
    trained = train_engine(job, data, order_in("age"))
    assert trained.gate.passed
    for seed, shift, age in ((50, 0.0, 40.0), (51, 200.0, 60.0)):
        place = write_study(tmp_path, seed, outlines=(), shift=shift)
        [found] = findings_of(trained.package, place).measurements
        assert found.unit == YEARS
        assert found.value == pytest.approx(age, abs=6.0)
    assert {one.name for one in trained.figures} == {"mean absolute error, a", "mean error, a", "correlation"}


@pytest.mark.parametrize(
    ("task", "column", "said"),
    [
        ("classify", "constant", "all that are known say"),
        ("classify", "none", "There are: bright, age, constant, free"),
        ("regress", "free", "is no number"),
        ("regress", "constant", "is no number"),
    ],
)
def test_columns_that_cannot_be_learned_are_refused(
    labelled: Path, task: str, column: str, said: str
) -> None:
    data, recipe = data_of(labelled), read_recipe(None, task, SMALL)
    with pytest.raises(NodeError) as caught:
        ClassifyJob.of(recipe, data, column) if task == "classify" else RegressJob.of(
            recipe, data, column, YEARS
        )
    assert caught.value.fault is LABELS_UNFIT
    assert said in f"{caught.value.fault.text(**caught.value.values)} {caught.value.remedy}"


@pytest.mark.parametrize(
    ("rows", "columns", "side"), [(64, 48, 64), (65, 20, 96), (9, 9, 32), (3000, 2500, 224)]
)
def test_pictures_are_not_blown_up_and_large_ones_are_made_smaller(
    rows: int, columns: int, side: int
) -> None:
    header = SimpleNamespace(rows=rows, columns=columns)
    assert picture_side([SimpleNamespace(stack=SimpleNamespace(headers=[header]))]) == side


@pytest.mark.parametrize(
    "labels", [["1", "1.0", "0"], ["Malignant", "malignant", "benign"], ["grade 1", "grade-1", "grade 2"]]
)
def test_one_class_that_is_written_in_two_ways_is_refused(labels: list[str]) -> None:
    with pytest.raises(NodeError) as caught:
        classes_of("finding", labels)
    assert caught.value.fault is LABELS_UNFIT
    assert "are one class, written in several ways" in str(caught.value)


def test_a_class_that_a_part_lacks_is_told_and_one_class_alone_is_not_learned(labelled: Path) -> None:
    job = ClassifyJob.of(read_recipe(None, "classify", SMALL), data_of(labelled), "bright")
    plan = job.plan(job.cases, no_progress)
    samples = [job.sample(case, plan) for case in job.cases]
    dark = [one for one in samples if one.target[0] == 0]
    made = job.meaning(job.network(plan).eval(), samples, dark, plan)
    assert "bright: the validation part has no case; it did not choose the weights" in made.lines
    made = job.meaning(job.network(plan).eval(), dark, samples, plan)
    assert "bright: the training part has no case; the engine has not learned it" in made.lines
    with pytest.raises(NodeError) as caught:
        job.lesson(dark, samples, plan)
    assert caught.value.fault is NOTHING_TO_LEARN
    assert "all cases of the training part are" in str(caught.value)


def test_the_lack_of_what_is_looked_for_is_the_first_class_and_named_by_the_column() -> None:
    assert classes_of("x", ["1", "0", "1"]) == ("0", "1")
    assert classes_of("x", ["tumour", "normal", "cyst"]) == ("normal", "cyst", "tumour")
    assert [class_title("tumour", one) for one in ("0", "1", "cyst")] == ["no tumour", "tumour", "cyst"]


def test_a_temperature_makes_surer_what_was_too_sure_of_itself() -> None:
    """Logits that are three times too large, drawn so that the true temperature is 3."""
    draw = np.random.default_rng(3)
    logits = draw.normal(0.0, 1.5, 4000)
    truth = (draw.random(4000) < 1 / (1 + np.exp(-logits))).astype(int)
    rows = np.stack([np.zeros(4000), 3.0 * logits], axis=1)
    temperature, note = calibrated_by(rows, truth, 2)
    assert note == ""
    assert temperature == pytest.approx(3.0, rel=0.08)


@pytest.mark.parametrize("truth", [[0, 1] * 9, [0] * 30 + [1] * 4], ids=["18 cases", "4 of one class"])
def test_few_cases_are_no_calibration(truth: list[int]) -> None:
    rows = np.random.default_rng(1).normal(size=(len(truth), 2))
    temperature, note = calibrated_by(rows, np.array(truth), 2)
    assert temperature == 1.0
    assert "Not calibrated" in note
