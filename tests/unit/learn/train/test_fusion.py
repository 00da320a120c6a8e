"""Several inputs at once: what no one of them tells alone, and the same numbers in service as in training."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from dicomnode.analyse import Analysis, Analyst
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import ATTRIBUTE_UNFIT, RECIPE_WRONG, NodeError
from dicomnode.learn import ClassifyJob, RegressJob, read_recipe, train_engine
from dicomnode.learn.train.row_lessons import rows_of
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.values import Code

from .conftest import MADE_AT, torch
from .small_data import ball, grid_of

SHAPE = (4, 16, 16)
STUDIES = 32
SMALL = {
    "network": "gru",
    "epochs": 5,
    "steps": 12,
    "batch": 8,
    "width": 4,
    "patch_kji": list(SHAPE),
    "learning_rate": 0.01,
    "test_part": 0.35,
    "scaling": "z_score",
    "augmentation.rotate_degrees": 0.0,
    "augmentation.scale_percent": 0.0,
    "augmentation.noise_sd": 0.0,
}
SERIES = [
    {"name": "one", "require": [{"tag": "SeriesDescription", "equals": "Contrast one"}]},
    {"name": "two", "require": [{"tag": "SeriesDescription", "equals": "Contrast two"}]},
]
FIRST = SERIES[:1]


def bits(seed: int) -> tuple[int, int, int]:
    """Whether the ball is bright in either series, and the sex: all eight come equally often."""
    return seed & 1, seed >> 1 & 1, seed >> 2 & 1


def write_pair(folder: Path, seed: int, *, sex: bool = True, second: bool = True) -> Path:
    place = folder / f"study-{seed}"
    one, two, woman = bits(seed)
    inside = ball(SHAPE, (1.5, 8, 8), (2.0, 5.0, 5.0))

    def edit(header) -> None:
        header.PatientSex = ("F" if woman else "M") if sex else ""
        header.PatientAge = f"{30 + seed % 40:03}Y"

    draw = np.random.default_rng([seed, 9])
    for number, (bright, words) in enumerate(((one, "Contrast one"), (two, "Contrast two"))):
        if number and not second:
            break
        values = 300.0 + np.where(inside, 100.0 if bright else -100.0, 0.0) + draw.normal(0, 10, SHAPE)
        form = SeriesForm(modality="MR", series_number=number + 2, description=words, body_part="HEAD")
        write_series(
            np.rint(values), grid_of(seed, SHAPE), place / str(number), seed=seed, form=form, edit=edit
        )
    return place


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for seed in range(STUDIES):
        write_pair(folder / "data", seed)
    plain = read_labelled([folder / "data"])
    rows = []
    for study in plain.studies:
        one, two, woman = bits(int(study.place.removeprefix("study-")))
        rows.append([study.study.study_instance_uid, one ^ woman, one ^ two, 10 + 20 * (one ^ two)])
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["StudyInstanceUID", "with_sex", "with_series", "size"], *rows])
    return folder


@pytest.fixture(scope="module")
def data(pairs: Path):
    return read_labelled([pairs / "data"], pairs / "labels.csv")


def area_of(trained) -> float:
    [value] = [one.interval.figure.value for one in trained.figures if one.name.startswith("area")]
    return value


def same_in_service(trained, job) -> None:
    """What the package says of held-out cases, and what the network of the training says of the samples."""
    network = job.network(trained.plan)
    network.load_state_dict(dict(trained.learned.weights))
    network.eval()
    names = trained.package.manifest.input[0].name
    flat = trained.plan.shape.is_flat
    with closing(Analyst(trained.package, threads=1, node_version="0")) as analyst:
        for case in trained.parts.test[:4]:
            given = {names: case.load(), **case.load_beside()}
            analysis = Analysis(volumes=given, salt=b"s", study_version=1, made_at=MADE_AT)
            [found] = analyst.analyse(analysis).classifications
            sample = job.sample(case, trained.plan)
            rows = rows_of(network, [sample], torch.device("cpu"), flat=flat)
            assert found.probability == pytest.approx(softmax(rows[0])[1], abs=1e-4)


@pytest.mark.parametrize(
    ("column", "both"),
    [
        ("with_sex", {"series": FIRST, "tags": ["PatientSex"]}),
        pytest.param("with_series", {"series": SERIES}, marks=pytest.mark.long),
    ],
    ids=["a series and an attribute", "two series"],
)
def test_what_no_input_tells_alone_both_tell_together(data, order_in, column: str, both) -> None:
    """The label is the exclusive or of two bits: each of them alone goes with both labels equally often."""
    told = {}
    for name, more in (("alone", {"series": FIRST}), ("both", both)):
        job = ClassifyJob.of(read_recipe(None, "classify", {**SMALL, **more}), data, column)
        assert len(job.cases) == STUDIES
        trained = train_engine(job, data, order_in(name))
        assert trained.gate.passed
        told[name] = area_of(trained)
    assert told["both"] > 0.95
    assert told["alone"] < 0.75
    same_in_service(trained, job)
    inputs = trained.package.manifest.input
    assert [one.kind for one in inputs] == ["volume", "tags" if "tags" in both else "volume"]


def test_a_number_is_learned_of_two_series_and_the_age(data, order_in) -> None:
    more = {"series": SERIES, "tags": ["PatientAge", "PatientSex"], "epochs": 8}
    job = RegressJob.of(
        read_recipe(None, "regress", {**SMALL, **more}), data, "size", Code("mm", "UCUM", "mm")
    )
    trained = train_engine(job, data, order_in("size"))
    assert trained.plan.channels == 2
    assert trained.plan.numbers == 2
    figures = {one.name: one.interval.figure.value for one in trained.figures}
    assert figures["mean absolute error, mm"] < 5.0
    assert not trained.missed


def test_a_column_stands_in_for_a_header_that_lacks_it(tmp_path: Path) -> None:
    for seed in range(8):
        write_pair(tmp_path / "data", seed, sex=seed == 0)
    plain = read_labelled([tmp_path / "data"])
    table = tmp_path / "labels.csv"
    lines = [
        f"{one.study.study_instance_uid},{n % 2},{'M' if n % 4 < 2 else 'F'}"
        for n, one in enumerate(plain.studies)
    ]
    table.write_text("StudyInstanceUID,ill,PatientSex\n" + "\n".join(lines))
    told = read_labelled([tmp_path / "data"], table)
    recipe = read_recipe(None, "classify", {**SMALL, "series": FIRST, "tags": ["PatientSex"]})
    job = ClassifyJob.of(recipe, told, "ill")
    plan = job.plan(job.cases, lambda *_: None)
    numbers = [float(job.sample(case, plan).inputs[-1, 0, 0, 0]) for case in job.cases]
    header = {"study-0": "M"}  # a header that speaks holds
    said = [header.get(case.place, case.labels["PatientSex"]) for case in job.cases]
    assert len(set(numbers)) == 2
    assert [value > 0 for value in numbers] == [word == "M" for word in said]


def test_a_study_without_the_further_series_is_left_out(tmp_path: Path) -> None:
    for seed in range(8):
        write_pair(tmp_path, seed, second=seed != 3)
    plain = read_labelled([tmp_path])
    table = tmp_path / "labels.csv"
    lines = [f"{one.study.study_instance_uid},{n % 2}" for n, one in enumerate(plain.studies)]
    table.write_text("StudyInstanceUID,ill\n" + "\n".join(lines))
    recipe = read_recipe(None, "classify", {**SMALL, "series": SERIES})
    job = ClassifyJob.of(recipe, read_labelled([tmp_path], table), "ill")
    assert len(job.cases) == 7
    [left] = job.left_out
    assert "DN-7271" in left.text
    assert "two" in left.text


def test_an_attribute_that_says_nothing_is_refused(data) -> None:
    recipe = read_recipe(None, "classify", {**SMALL, "series": FIRST, "tags": ["PatientWeight"]})
    job = ClassifyJob.of(recipe, data, "with_sex")
    with pytest.raises(NodeError) as caught:
        job.plan(job.cases, lambda *_: None)
    assert caught.value.fault is ATTRIBUTE_UNFIT


@pytest.mark.parametrize(
    ("task", "more", "said"),
    [
        ("classify", {"tags": ["PatientAgee"]}, "PatientAge"),
        ("segment", {"tags": ["PatientAge"]}, "for segment"),
        ("anomaly", {"series": SERIES}, "for anomaly"),
        ("classify", {"series": SERIES, "scaling": "foreground"}, "several series"),
        ("classify", {"series": [{"name": "one"}, {"name": "attributes", "require": []}]}, "at least one"),
    ],
)
def test_inputs_that_cannot_be_are_refused(task: str, more, said: str) -> None:
    with pytest.raises(NodeError) as caught:
        read_recipe(None, task, more)
    assert caught.value.fault is RECIPE_WRONG
    assert said in " ".join(map(str, caught.value.values["problems"]))
