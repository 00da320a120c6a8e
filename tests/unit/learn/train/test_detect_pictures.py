"""Lesions in pictures: boxes of reports or outlines in, an engine that finds them on other pictures out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_picture
from dicomnode.evaluate.data import LabelledData, read_labelled
from dicomnode.evaluate.truth import labels_for, true_lesions
from dicomnode.faults import PREPARATION_FAILED, NodeError
from dicomnode.learn import DetectJob, read_recipe, train_engine
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.values import Findings, Mask, RegionKind, no_progress
from tests.fixtures.frameworks import needed
from tests.unit.cli.test_commands import run  # noqa: F401  a fixture

from .conftest import MADE_AT

needed("torch")

from dicomnode.learn import Order, Title  # noqa: E402
from dicomnode.learn.train.cases import Case  # noqa: E402
from dicomnode.learn.train.centres import lesions_in  # noqa: E402
from dicomnode.learn.train.points import Pointed, wanted_of  # noqa: E402
from dicomnode.learn.train.training import Trained  # noqa: E402

SMALL = {
    "epochs": 8,
    "steps": 12,
    "width": 8,
    "levels": 3,
    "network": "unet",
    "batch": 4,
    "learning_rate": 0.01,
    "augmentation.probability": 0.0,
    "seed": 3,
}


def films_in(folder: Path, seed: int, cases: int) -> LabelledData:
    synth_cases(SynthPlan(kind="discs", cases=cases, seed=seed, contrast_to_noise=12.0), folder)
    return read_labelled([folder])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> LabelledData:
    return films_in(tmp_path_factory.mktemp("films") / "data", 2, 24)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LabelledData]:
    folder = tmp_path_factory.mktemp("fresh") / "data"
    return folder, films_in(folder, 9, 10)


def job_of(data: LabelledData, **more: object) -> DetectJob:
    return DetectJob.of(read_recipe(None, "detect", {**SMALL, **more}), data)


def outlined(job: DetectJob) -> DetectJob:
    """The same job as if somebody had outlined a disc in each box."""
    cases = []
    for case in job.cases:
        grid = case.load().grid
        voxels = np.zeros(grid.shape_kji, dtype=bool)
        for one in job.pointed.of(case):
            places = grid.to_lps_mm(np.stack(np.indices(grid.shape_kji), axis=-1))
            voxels |= np.linalg.norm(places - one.centre_lps_mm, axis=-1) <= one.diameter_mm / 2
        cases.append(replace(case, truths={0: Mask.from_array(voxels)}, grid=grid))
    return replace(job, cases=cases, pointed=Pointed(drawn={}))


@pytest.fixture(scope="module")
def pointing(films: LabelledData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An engine that was trained on the boxes of reports."""
    return trained_in(tmp_path_factory.mktemp("pointing"), job_of(films), films)


def trained_in(folder: Path, job: DetectJob, data: LabelledData) -> Trained:
    order = Order(
        out=folder / "films",
        run=folder / "films.training",
        split=folder / "split.json",
        title=Title(name="films", version="1.0.0", title="Films"),
        made_at=MADE_AT,
        device="cpu",
    )
    return train_engine(job, data, order)


def answers(trained: Trained, data: LabelledData) -> Mapping[str, Findings]:
    """What an engine finds, by Study Instance UID."""
    found = {}
    with closing(Analyst(trained.package, threads=1, node_version="0")) as analyst:
        for study in data.studies:
            [stack] = study.stacks
            given = {"image": load_picture(stack)}
            analysis = Analysis(volumes=given, salt=b"s", study_version=1, made_at=MADE_AT)
            found[study.study.study_instance_uid] = analyst.analyse(analysis)
    return found


def counted(job: DetectJob, data: LabelledData, places: Mapping[str, list]) -> tuple[int, int, int]:
    """Hits, false alarms and lesions: a place within the radius of a lesion hits it."""
    hits = alarms = lesions = 0
    for study in data.studies:
        labels = labels_for(study, study.stacks[0], None)
        truth = true_lesions(wanted_of(job.structures[0]), labels).lesions
        found = places[study.study.study_instance_uid]
        for known in truth:
            hits += any(
                np.linalg.norm(np.subtract(at, known.centre_lps_mm)) <= known.diameter_mm / 2 for at in found
            )
        for at in found:
            alarms += not any(
                np.linalg.norm(np.subtract(at, known.centre_lps_mm)) <= known.diameter_mm / 2
                for known in truth
            )
        lesions += len(truth)
    return hits, alarms, lesions


def test_boxes_of_reports_become_centres_and_sizes_in_pixels_of_what_the_network_sees(films):
    job = job_of(films)
    plan = job.plan(job.cases, no_progress)
    assert plan.shape.is_flat
    sick = [case for case in job.cases if job.pointed.of(case)]
    assert 0 < len(sick) < len(job.cases)
    for case in sick[:3]:
        sample = job.sample(case, plan)
        [one], [found] = job.pointed.of(case), lesions_in(np.asarray(sample.target))
        scale = case.load().grid.spacing_kji_mm[1]
        assert found.diameter_mm == pytest.approx(one.diameter_mm / scale, rel=0.05)
        x, y, _ = one.centre_lps_mm
        assert found.centre == pytest.approx((0.0, y / scale, x / scale), abs=0.51)
        assert not (np.asarray(sample.target[0]) == 1).any()


def test_a_larger_picture_is_learned_at_the_size_that_the_network_sees(films):
    job = job_of(films, patch_kji=[1, 32, 32])
    plan = job.plan(job.cases, no_progress)
    case = next(case for case in job.cases if job.pointed.of(case))
    sample = job.sample(case, plan)
    [one], [found] = job.pointed.of(case), lesions_in(np.asarray(sample.target))
    mm = case.load().grid.spacing_kji_mm[1] * max(case.load().grid.shape_kji) / 32
    assert sample.shape_kji == (1, 32, 32)
    assert found.diameter_mm == pytest.approx(one.diameter_mm / mm, rel=0.05)


def test_a_picture_of_several_frames_is_left_out_with_the_reason(films, monkeypatch: pytest.MonkeyPatch):
    job = job_of(films)
    plan = job.plan(job.cases, no_progress)
    one = job.cases[0].load()
    two = replace(one, frames=np.repeat(one.frames, 2, axis=0), sources=one.sources * 2)
    monkeypatch.setattr(Case, "load", lambda _: two)
    with pytest.raises(NodeError) as caught:
        job.sample(job.cases[0], plan)
    assert caught.value.fault is PREPARATION_FAILED
    assert "2 frames" in str(caught.value)


def test_an_engine_trained_on_boxes_points_at_lesions_of_films_it_has_not_seen(pointing, fresh):
    assert pointing.gate.passed
    assert pointing.package.manifest.step[0].centre_heat.size_in == "voxels"
    assert "so that results are points" in (pointing.package.folder / "card.md").read_text()
    found = answers(pointing, fresh[1])
    assert all(one.segments == () for one in found.values())
    assert all(region.kind is RegionKind.POINT for one in found.values() for region in one.regions)
    places = {uid: [region.points_lps_mm[0] for region in one.regions] for uid, one in found.items()}
    hits, alarms, lesions = counted(pointing.job, fresh[1], places)
    assert lesions >= 3
    assert hits >= 0.6 * lesions
    assert alarms <= 3


def test_its_report_has_the_point_on_the_pixels_and_the_evaluation_counts_it(
    run,  # noqa: F811
    pointing,
    fresh,
    tmp_path: Path,
):
    folder, data = fresh
    found = answers(pointing, data)
    uid = next(uid for uid, one in found.items() if one.regions)
    [study] = [one for one in data.studies if one.study.study_instance_uid == uid]
    images = study.stacks[0].files[0].parent
    status, out, err = run(
        *("try", images, "--engine-path", pointing.package.folder, "--out", tmp_path / "out", "--json")
    )
    assert status == 0, err
    [report] = [
        one for path in (tmp_path / "out").rglob("*.dcm") if (one := pydicom.dcmread(path)).Modality == "SR"
    ]
    points = [item for item in _items(report) if item.get("GraphicType") == "POINT"]
    grid = found[uid].sources[0].grid
    expected = [grid.to_index_kji(region.points_lps_mm[0]) for region in found[uid].regions]
    assert [tuple(item.GraphicData) for item in points] == [
        pytest.approx((i + 0.5, j + 0.5), abs=1e-3) for _, j, i in expected
    ]
    status, out, _ = run(
        "evaluate", pointing.package.folder, "--data", folder, "--resamples", "100", "--json"
    )
    assert status == 0
    [result] = json.loads(out)["results"]
    figures = {one["name"]: one for one in result["figures"]}
    places = {uid: [region.points_lps_mm[0] for region in one.regions] for uid, one in found.items()}
    hits, alarms, lesions = counted(pointing.job, data, places)
    assert (figures["sensitivity"]["part"], figures["sensitivity"]["whole"]) == (hits, lesions)
    assert figures["false_positives_per_study"]["value"] == pytest.approx(alarms / len(data.studies))
    assert result["candidates_down_to"] == 0.1


def _items(dataset: pydicom.Dataset):
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from _items(item)


def test_an_engine_trained_on_outlines_outlines_what_it_finds(
    run,  # noqa: F811
    films,
    fresh,
    tmp_path: Path,
):
    job = outlined(job_of(films))
    trained = trained_in(tmp_path, job, films)
    assert trained.package.manifest.step[0].centre_heat.mask_logit < 10
    found = answers(trained, fresh[1])
    segments = [one for each in found.values() for one in each.segments]
    assert segments
    assert all(one.mask.box_kji[0] == (0, 1) for one in segments)
    places = {uid: [one.centre_lps_mm for one in each.segments] for uid, each in found.items()}
    hits, alarms, lesions = counted(job_of(films), fresh[1], places)
    assert hits >= 0.6 * lesions
    assert alarms <= 3

    # In the report of `try` stands the box around the pixels of each finding
    uid = next(uid for uid, each in found.items() if each.segments)
    [study] = [one for one in fresh[1].studies if one.study.study_instance_uid == uid]
    images = study.stacks[0].files[0].parent
    status, _, err = run(
        *("try", images, "--engine-path", trained.package.folder, "--out", tmp_path / "out", "--json")
    )
    assert status == 0, err
    made = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    [report] = [one for one in made if one.Modality == "SR"]
    lines = [np.array(one.GraphicData) for one in _items(report) if one.get("GraphicType") == "POLYLINE"]
    drawn = [(line[1::2].min(), line[1::2].max(), line[::2].min(), line[::2].max()) for line in lines]
    assert drawn == [
        tuple(float(edge) for axis in one.mask.box_kji[1:] for edge in axis) for one in found[uid].segments
    ]


def test_colour_photographs_are_learned_in_colour(tmp_path: Path):
    synth_cases(SynthPlan(kind="photos", cases=8, seed=4), tmp_path / "photos")
    data = read_labelled([tmp_path / "photos"])
    job = job_of(data, epochs=1, steps=2)
    trained = trained_in(tmp_path, job, data)
    assert trained.gate.passed
    assert trained.plan.channels == 3
    assert trained.package.manifest.input[0].how.colour == "rgb"
    assert set(answers(trained, data)) == {one.study.study_instance_uid for one in data.studies}


def table_of(data: LabelledData, path: Path) -> Path:
    """Write what the reports say as a table of lesions, in pixels."""
    rows = ["SOPInstanceUID,column,row,diameter_px"]
    wanted = wanted_of(job_of(data).structures[0])
    for study in data.studies:
        [stack] = study.stacks
        [header] = stack.headers
        grid = header.picture.plane.grid((1, header.rows, header.columns))
        truth = true_lesions(wanted, labels_for(study, stack, None)).lesions
        for one in truth:
            _, row, column = grid.to_index_kji(one.centre_lps_mm)
            rows.append(
                f"{header.sop_instance_uid},{column},{row},{one.diameter_mm / grid.spacing_kji_mm[1]}"
            )
        if not truth:
            rows.append(f"{header.sop_instance_uid},,,")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_table_of_lesions_judges_as_the_reports_do(run, pointing, fresh, tmp_path: Path):  # noqa: F811
    folder, data = fresh
    synth_cases(
        SynthPlan(kind="discs", cases=10, seed=9, contrast_to_noise=12.0), tmp_path / "bare", teaching=True
    )
    table = table_of(data, tmp_path / "lesions.csv")
    told = []
    for truth in (("--data", folder), ("--data", tmp_path / "bare" / "images", "--lesions", table)):
        status, out, err = run("evaluate", pointing.package.folder, *truth, "--resamples", "100", "--json")
        assert status == 0, err
        [result] = json.loads(out)["results"]
        told.append([(one["name"], one["value"]) for one in result["figures"]])
    assert told[0] == told[1]
    assert result["output"]["by"] == "label"


def test_the_command_learns_from_a_table_alone(run, films, tmp_path: Path):  # noqa: F811
    synth_cases(
        SynthPlan(kind="discs", cases=24, seed=2, contrast_to_noise=12.0), tmp_path / "bare", teaching=True
    )
    table = table_of(films, tmp_path / "lesions.csv")
    keys = [f"--set={name}={value}" for name, value in {**SMALL, "epochs": 1, "steps": 2}.items()]
    status, out, err = run(
        *(
            "train",
            "detect",
            "--data",
            tmp_path / "bare" / "images",
            "--lesions",
            table,
            "--structure",
            "opacity",
        ),
        *("--out", tmp_path / "opacity", "--threads", "1", "--json", *keys),
    )
    assert status == 0, err
    assert "opacity: nobody outlined any" in (tmp_path / "opacity" / "card.md").read_text()
    assert "opacity" in json.loads(out)["engine"]
