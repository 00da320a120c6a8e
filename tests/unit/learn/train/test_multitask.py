"""Training of several questions at once: partly known, resumable, and answered by one engine in service."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.cli.app import main
from dicomnode.engine import check_engine, load_package
from dicomnode.evaluate import dice
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import (
    LABELS_UNFIT,
    NETWORK_UNBUILT,
    NOTHING_TO_LEARN,
    QUESTIONS_UNFIT,
    RUN_DIFFERS,
    NodeError,
)
from dicomnode.learn import MultitaskJob, Order, Title, WantedAnswers, read_recipe, train_engine
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.learn.train.parts import split_cases, strata_of
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.samples import IGNORED
from dicomnode.learn.train.training import learned_from, preview_sheet, run_digest
from dicomnode.values import Code, no_progress
from tests.fixtures.frameworks import needed

from .conftest import MADE_AT
from .small_data import organ_of, write_study

torch = needed("torch")

SMALL = {
    "epochs": 2,
    "steps": 4,
    "batch": 2,
    "width": 4,
    "levels": 3,
    "patch_kji": [8, 24, 24],
    "spacing_kji_mm": [4.0, 4.0, 4.0],
    "learning_rate": 0.01,
    "schedule": "constant",
    "seed": 3,
}
YEARS = Code("a", "UCUM", "year")
ALL = WantedAnswers(structures=("liver",), columns=("bright", "stage"), numbers=(("age", YEARS),))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve patients, odd ones brighter and 20 years older; every third one knows some answers only.

    Of 0, 3, 6, 9 nobody has outlined the organ; 1 and 4 stand in no table; 2 knows its age alone.
    """
    folder = tmp_path_factory.mktemp("several")
    rows = []
    for seed in range(12):
        outlines = () if seed % 3 == 0 else ("organ",)
        place = write_study(folder / "data", seed, outlines=outlines, shift=200.0 * (seed % 2))
        uid = pydicom.dcmread(next(place.glob("IM*")), stop_before_pixels=True).StudyInstanceUID
        row = [uid, seed % 2, ("early", "late")[seed % 2], 40 + 20 * (seed % 2)]
        if seed == 2:
            row[1:3] = "", ""
        if seed not in {1, 4}:
            rows.append(row)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["StudyInstanceUID", "bright", "stage", "age"], *rows])
    return folder


def job_of(folder: Path, wanted: WantedAnswers = ALL, **more):
    data = read_labelled([folder / "data"], folder / "labels.csv")
    return MultitaskJob.of(read_recipe(None, "multitask", {**SMALL, **more}), data, wanted), data


def learned_on(folder: Path, order, wanted: WantedAnswers = ALL, **more):
    """Run the loop alone: no engine is written."""
    job, data = job_of(folder, wanted, **more)
    parts = split_cases(job.cases, data, order.split, job.recipe, strata_of(job))
    run = RunFolder(folder=order.run, of=run_digest(job, data, parts, order), resume=order.resume)
    run.begin()
    return learned_from(job, parts, run, order, no_progress, run.cache)[1]


@pytest.fixture(scope="module")
def finished(studies: Path, tmp_path_factory: pytest.TempPathFactory):
    """One engine that outlines the organ, and tells brightness, stage and age."""
    folder = tmp_path_factory.mktemp("finished")
    order = Order(
        out=folder / "several",
        run=folder / "run",
        split=folder / "split.json",
        title=Title(name="several", version="1.0.0", title="Several"),
        made_at=MADE_AT,
        device="cpu",
    )
    job, data = job_of(studies, epochs=18, width=8)
    return train_engine(job, data, order)


def test_a_study_gives_what_is_known_of_it_and_the_rest_is_left_open(studies: Path) -> None:
    job, _ = job_of(studies)
    by_place = {case.place: case for case in job.cases}
    assert len(by_place) == len(job.cases) == 12
    plan = job.plan(job.cases, no_progress)
    found = {place: job.sample(case, plan) for place, case in by_place.items()}
    assert np.all(found["study-0"].target == IGNORED)
    assert found["study-0"].answers == (0.0, 0.0, 40.0)
    assert set(np.unique(found["study-1"].target)) == {0, 1}
    assert all(math.isnan(one) for one in found["study-1"].answers)
    assert [math.isnan(one) for one in found["study-2"].answers] == [True, True, False]
    assert found["study-5"].answers == (1.0, 1.0, 60.0)
    assert {one.inputs.shape for one in found.values()} == {(1, 8, 24, 24)}


def test_the_engine_answers_all_questions_of_a_study_that_it_has_never_seen(finished, tmp_path: Path) -> None:
    for seed, shift in ((70, 0.0), (71, 200.0)):
        place = write_study(tmp_path, seed, outlines=(), shift=shift)
        [study] = read_studies([place]).studies
        volume = load_volume(study.series[0].stacks[0])
        analyst = Analyst(finished.package, threads=1, node_version="0")
        try:
            analysis = Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
            findings = analyst.analyse(analysis)
        finally:
            analyst.close()
        [segment] = findings.segments
        assert (segment.label, segment.type.value) == ("liver", "10200004")
        assert dice(segment.mask, organ_of(seed)) > 0.8
        called = {one.label: one for one in findings.classifications}
        assert called["bright"].present == called["late"].present == (shift > 0)
        assert called["early"].present == (shift == 0)
        [age] = findings.measurements
        assert (age.name, age.unit) == ("age", YEARS)
        assert age.value == pytest.approx(60.0 if shift else 40.0, abs=8.0)


def test_the_package_passes_its_gate_and_its_card_has_a_figure_for_each_question(finished) -> None:
    package = load_package(finished.package.folder)
    assert finished.gate.passed
    assert check_engine(package).passed
    [step] = package.manifest.step
    assert step.window.whole
    assert [(head.name, head.interpret) for head in step.head] == [
        ("map", "sigmoid"),
        ("row-bright", "classes"),
        ("row-stage", "classes"),
        ("row-age", "regression"),
    ]
    names = [one.name for one in finished.figures]
    assert "Dice liver" in names
    assert "area under the ROC curve bright" in names
    assert "age: mean absolute error, a" in names
    card = (package.folder / "card.md").read_text()
    assert all(name in card for name in names)
    assert "liver: outlined in 8 studies" in card
    assert "age: 10 cases, from 40 to 60 a" in card
    curves = (package.folder / "curves.csv").read_text().splitlines()[0]
    assert all(name in curves for name in ("dice liver", "mean absolute error age"))


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(studies: Path, order_in) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: int) -> bool:
        if epoch == 1:
            raise KilledError
        return False

    through = learned_on(studies, order_in("through"))
    with pytest.raises(KilledError):
        learned_on(studies, order_in("killed", stop=kill))
    other = WantedAnswers(structures=("liver",), columns=("bright",), numbers=(("age", YEARS),))
    with pytest.raises(NodeError) as caught:
        learned_on(studies, order_in("killed", resume=True), other)
    assert caught.value.fault is RUN_DIFFERS
    resumed = learned_on(studies, order_in("killed", resume=True))
    assert resumed.rows == through.rows
    for name, tensor in through.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name


def test_what_nobody_has_said_changes_no_weight(studies: Path, order_in) -> None:
    """A question whose answers are all taken away teaches nothing: what is left comes out the same."""
    job, data = job_of(studies, epochs=1)
    order = order_in("a")
    parts = split_cases(job.cases, data, order.split, job.recipe, strata_of(job))
    plan = job.plan(parts.train, no_progress)
    samples = [job.sample(case, plan) for case in parts.train]
    told = [sample for sample in samples if not math.isnan(sample.answers[2])]
    lesson = job.lesson(samples, told, plan)
    batch = lesson.batch(0, 0)
    without = [replace(one, answers=(math.nan, math.nan, one.answers[2])) for one in samples]
    masked = job.lesson(without, told, plan).batch(0, 0)
    assert torch.equal(batch[0], masked[0])
    assert torch.isnan(masked[1][:, :2]).all()
    assert torch.equal(
        torch.nan_to_num(batch[1][:, 2:], nan=-1.0), torch.nan_to_num(masked[1][:, 2:], nan=-1.0)
    )


def test_what_is_plausible_is_told_by_the_training_part_alone(studies: Path) -> None:
    job, _ = job_of(studies)
    plan = job.plan(job.cases, no_progress)
    samples = [job.sample(case, plan) for case in job.cases]
    young = [one for one in samples if one.answers[2] == 40.0]
    made = job.meaning(job.network(plan).eval(), young, samples, plan)
    [age] = [one for one in made.outputs if one.get("measurement") == "age"]
    assert age["plausible"] == [39.5, 40.5]


def test_strata_are_the_rarest_answers_so_that_all_parts_have_them(studies: Path) -> None:
    job, _ = job_of(studies)
    strata = {case.place: job.stratum_of(case) for case in job.cases}
    assert strata["study-1"] == "liver: True"
    assert strata["study-0"] in {"bright: 0", "stage: early"}
    assert len(set(strata.values())) <= 10


def test_rows_alone_are_learned_by_a_network_of_rows(studies: Path, order_in) -> None:
    wanted = WantedAnswers(columns=("bright",), numbers=(("age", YEARS),))
    job, data = job_of(studies, wanted, network="gru", epochs=1)
    trained = train_engine(job, data, order_in("rows"))
    assert trained.gate.passed
    assert {one.what for one in trained.package.manifest.output} == {"classification", "measurement"}
    assert job_of(studies, wanted)[0].recipe.net == "densenet121"


@pytest.mark.parametrize(
    ("wanted", "fault", "said"),
    [
        ({"structures": ("liver",)}, QUESTIONS_UNFIT, "fewer than two"),
        ({"columns": ("bright",)}, QUESTIONS_UNFIT, "fewer than two"),
        ({"columns": ("age", "Age")}, QUESTIONS_UNFIT, "asked twice"),
        ({"columns": ("age",), "numbers": (("age", YEARS),)}, QUESTIONS_UNFIT, "asked twice"),
        ({"columns": ("bright", "shade")}, LABELS_UNFIT, "bright, stage, age"),
        ({"columns": ("bright",), "numbers": (("stage", YEARS),)}, LABELS_UNFIT, "no number"),
        ({"structures": ("spleen",), "columns": ("bright",)}, NOTHING_TO_LEARN, "Outlined are: liver"),
    ],
)
def test_questions_that_cannot_be_are_refused(studies: Path, wanted: dict, fault, said: str) -> None:
    with pytest.raises(NodeError) as caught:
        job_of(studies, WantedAnswers(**wanted))
    assert caught.value.fault is fault
    assert said in f"{caught.value} {caught.value.remedy}"


def test_weights_of_what_is_not_asked_are_refused(studies: Path) -> None:
    with pytest.raises(NodeError) as caught:
        job_of(studies, **{"loss_weights.shade": 2.0})
    assert caught.value.fault is QUESTIONS_UNFIT
    assert "map, bright, stage, age" in caught.value.remedy


def test_a_network_without_a_map_is_refused_where_outlines_are_asked(studies: Path, order_in) -> None:
    with pytest.raises(NodeError) as caught:
        learned_on(studies, order_in(), network="densenet121")
    assert caught.value.fault is NETWORK_UNBUILT


def test_a_column_that_speaks_of_a_side_is_not_flipped(studies: Path) -> None:
    job, _ = job_of(studies)
    assert job.flips == ("i",)
    for word in ("left lung", "Laterality", "OD", "R"):
        sided = [replace(job.questions[0], column=word), *job.questions[1:]]
        assert replace(job, questions=sided).flips == ()
    bright = [replace(job.questions[0], column="brightness"), *job.questions[1:]]
    assert replace(job, questions=bright).flips == ("i",)


def test_the_preview_shows_studies_with_their_outlines(studies: Path, order_in) -> None:
    job, data = job_of(studies)
    assert preview_sheet(job, data, order_in()).startswith(b"\x89PNG")


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def spoken(container: pydicom.Dataset) -> Iterator[tuple[str, str]]:
    """Give the concept of each coded answer with its value, of each number with its unit."""
    for item in container.get("ContentSequence", ()):
        if item.ValueType == "NUM":
            unit = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
            yield item.ConceptNameCodeSequence[0].CodeMeaning, unit
        elif item.ValueType == "CODE":
            yield item.ConceptNameCodeSequence[0].CodeMeaning, item.ConceptCodeSequence[0].CodeMeaning
        yield from spoken(item)


WORDS = ["--column", "lesion", "--number", "burden_percent=%", "--threads", "1", "--device", "cpu"]


def test_one_network_is_trained_and_all_its_answers_are_evaluated(tmp_path: Path, capsys) -> None:
    """From nothing: phantoms, training by its verb, an evaluation of all answers."""
    made = synth_cases(SynthPlan(kind="volumes", cases=10, seed=4), tmp_path / "data")
    given = ["--data", made.folder, "--labels", made.labels]
    quick = ["--epochs", "1", "--set", "steps=2", "--set", "width=4", "--set", "levels=3"]
    words = ["--structure", "liver", *WORDS, *quick, "--set", "patch_kji=[16,16,16]"]
    assert run("train", "multitask", *given, "--out", tmp_path / "three", *words, "--json") == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["task"] == "multitask"
    assert trained["gate_passed"]

    asked = ["evaluate", tmp_path / "three", *given, "--resamples", "100", "--json"]
    assert run(*asked) in {0, 4}
    evaluation = json.loads(capsys.readouterr().out)
    told = {(one["task"], one["output"]["label"]): len(one["cases"]) for one in evaluation["results"]}
    assert told == {
        ("segmentation", "liver"): 10,
        ("classification", "lesion"): 10,
        ("regression", "burden-percent"): 10,
    }


def test_its_answers_become_one_seg_and_one_sr(finished, tmp_path: Path, capsys) -> None:
    place = write_study(tmp_path, 72, outlines=())
    words = ["--engine-path", finished.package.folder, "--out", tmp_path / "out", "--json"]
    assert run("try", place, *words) == 0
    capsys.readouterr()
    objects = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").rglob("*.dcm"))]
    [outlines] = [one for one in objects if one.Modality == "SEG"]
    assert [one.SegmentLabel for one in outlines.SegmentSequence] == ["liver"]
    [report] = [one for one in objects if one.Modality == "SR"]
    said = list(spoken(report))
    assert ("age", "a") in said
    assert {("bright", "Absent"), ("early", "Present"), ("late", "Absent")} <= set(said)


def test_pictures_are_outlined_told_and_measured_at_once(tmp_path: Path, order_in) -> None:
    made = synth_cases(SynthPlan(kind="photos", cases=10, seed=3), tmp_path / "data")
    data = read_labelled([made.folder], made.labels)
    wanted = WantedAnswers(
        structures=("lesion",), columns=("irregular",), numbers=(("diameter_mm", Code("mm", "UCUM", "mm")),)
    )
    quick = {"epochs": 1, "steps": 2, "width": 4, "levels": 3, "patch_kji": [1, 32, 32], "test_part": 0.3}
    job = MultitaskJob.of(read_recipe(None, "multitask", quick), data, wanted)
    trained = train_engine(job, data, order_in("moles"))
    assert trained.gate.passed
    assert trained.package.manifest.step[0].inputs["image"].axes == "ncji"
    whats = [one.what for one in trained.package.manifest.output]
    assert whats == ["segment", "classification", "measurement"]
    assert {one.name for one in trained.figures} >= {"diameter_mm: mean absolute error, mm"}


def test_a_multitask_engine_is_not_explained_as_a_classifier(finished, tmp_path: Path, capsys) -> None:
    place = write_study(tmp_path, 80, outlines=())
    assert run("explain", finished.package.folder, place, "--out", tmp_path / "out", "--json") != 0
    assert "DN-7" in capsys.readouterr().out


@pytest.mark.long
def test_one_network_learns_to_outline_to_tell_and_to_estimate(tmp_path: Path) -> None:
    plan = SynthPlan(kind="volumes", cases=60, seed=9, contrast_to_noise=12.0)
    made = synth_cases(plan, tmp_path / "data")
    data = read_labelled([made.folder], made.labels)
    percent = Code("%", "UCUM", "percent")
    wanted = WantedAnswers(
        structures=("liver", "lesion"), columns=("lesion",), numbers=(("burden_percent", percent),)
    )
    given = {"epochs": 18, "width": 8, "batch": 4, "patch_kji": [24, 24, 24], "learning_rate": 0.005}
    recipe = read_recipe(None, "multitask", {**given, "test_part": 0.3})
    order = Order(
        out=tmp_path / "several",
        run=tmp_path / "run",
        split=tmp_path / "split.json",
        title=Title(name="several", version="1.0.0", title="Several"),
        made_at=MADE_AT,
        device="cpu",
    )
    trained = train_engine(MultitaskJob.of(recipe, data, wanted), data, order)
    figures = {one.name: one.interval.figure.value for one in trained.figures}
    assert figures["Dice liver"] > 0.8
    assert figures["area under the ROC curve lesion"] > 0.8
    assert figures["burden_percent: correlation"] > 0.7
