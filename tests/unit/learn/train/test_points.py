"""Lesions that nobody outlined: found by the rules of an evaluation, and learned as points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicomnode.evaluate.data import LabelledData, read_labelled, with_lesions
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn import DetectJob, read_recipe
from dicomnode.values import (
    AnnotatedRegion,
    Annotation,
    AnnotationKind,
    Code,
    MadeBy,
    Mask,
    Measurement,
    RegionKind,
    no_progress,
)
from tests.fixtures.frameworks import needed

from .small_data import SPOT, grid_of, spot_of, write_study

needed("torch")

from dicomnode.learn.train.centres import lesions_in, lesions_of  # noqa: E402
from dicomnode.learn.train.samples import IGNORED  # noqa: E402

SPACING = (4.0, 4.0, 4.0)
DIAMETER = Code("81827009", "SCT", "Diameter")
MM = Code("mm", "UCUM", "mm")
RECIPE = {"width": 8, "levels": 2, "network": "unet"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four studies with a spot, of which the first two have it outlined, and one without a spot."""
    folder = tmp_path_factory.mktemp("bare")
    for seed in range(5):
        write_study(folder, seed, spotted=seed < 4, outlines=("organ", "spot") if seed < 2 else ())
    return folder


def place_of(seed: int) -> tuple[float, float, float]:
    [one] = lesions_of(spot_of(seed), SPACING)
    x, y, z = grid_of(seed).to_lps_mm(one.centre)
    return float(x), float(y), float(z)


def with_reports(data: LabelledData, *, size: float | None = None) -> LabelledData:
    """Give the studies from the third on a report: a point, or that there is none."""
    studies = []
    for study in data.studies:
        seed = int(study.place.rpartition("-")[2])
        [stack] = study.stacks
        sizes = (Measurement(name="d", concept=DIAMETER, value=size or 1.0, unit=MM),) if size else ()
        point = AnnotatedRegion(
            label="lesion 1",
            kind=RegionKind.POINT,
            points_lps_mm=(place_of(seed),),
            type=SPOT,
            measurements=sizes,
        )
        said = Annotation(
            kind=AnnotationKind.SR,
            sop_class_uid="1.2",
            sop_instance_uid=f"1.6.{seed}",
            series_instance_uid="1.6",
            study_instance_uid=study.study.study_instance_uid,
            of_series=stack.facts.series_instance_uid,
            of_stack=stack.facts.stack,
            made_by=MadeBy.PERSON,
            regions=(point,) if seed < 4 else (),
            answers=() if seed < 4 else ((SPOT, Code("272519000", "SCT", "Absent")),),
        )
        studies.append(replace(study, annotations=(*study.annotations, said)) if seed > 1 else study)
    return replace(data, studies=tuple(studies))


def samples_of(data: LabelledData, *names: str):
    job = DetectJob.of(read_recipe(None, "detect", RECIPE), data, names)
    plan = job.plan(job.cases, no_progress)
    return job, {int(case.place.rpartition("-")[2]): job.sample(case, plan) for case in job.cases}


def test_outlines_points_and_studies_without_any_are_learned_together(bare):
    job, samples = samples_of(with_reports(read_labelled([bare])))
    assert [one.name for one in job.structures] == ["lesion"]
    assert sorted(samples) == [0, 1, 2, 3, 4]
    assert sorted(job.stratum_of(case) for case in job.cases) == ["0", "1", "1", "1", "1"]
    for seed, sample in samples.items():
        found = lesions_in(np.asarray(sample.target))
        assert len(found) == (seed < 4)
        mask = np.asarray(sample.target[0])
        assert bool((mask == 1).any()) == (seed < 2)
        assert bool((mask == IGNORED).any()) == (seed in (2, 3))
        for one in found:
            [true] = lesions_of(spot_of(seed), SPACING)
            assert np.abs(np.subtract(one.centre, true.centre)).max() <= 0.51
            assert (one.diameter_mm > 0) == (seed < 2)


def test_a_size_that_was_measured_is_learned_and_is_the_guess_for_those_without(bare):
    job, samples = samples_of(with_reports(read_labelled([bare]), size=18.0))
    [found] = lesions_in(np.asarray(samples[2].target))
    assert found.diameter_mm == pytest.approx(18.0, rel=0.02)
    assert job.plan(job.cases, no_progress).usual_mm == 18.0
    sized = {int(case.place.rpartition("-")[2]): case for case in job.cases}
    assert "18.0" in str(job.content(sized[2])[-1])
    assert job.plan([sized[0], sized[1]], no_progress).usual_mm is None  # the others may be held out


@pytest.mark.parametrize("spacing", [4.0, 8.0])
def test_an_outlined_lesion_too_small_for_the_spacing_is_a_point_and_not_nothing(bare, spacing):
    recipe = read_recipe(None, "detect", {**RECIPE, "spacing_kji_mm": [spacing] * 3})
    job = DetectJob.of(recipe, read_labelled([bare]))
    voxels = np.zeros(grid_of(0).shape_kji, dtype=bool)
    voxels[5, 9:11, 7] = True
    case = replace(job.cases[0], truths={0: Mask.from_array(voxels)})
    target = np.asarray(job.sample(case, job.plan(job.cases, no_progress)).target)
    [found] = lesions_in(target)
    assert found.diameter_mm == pytest.approx((6 * 2 * 64 / np.pi) ** (1 / 3), rel=0.02)
    assert (target[0] == 1).any() == (spacing == 4.0)
    assert (target[0] == IGNORED).any() == (spacing == 8.0)


def test_studies_of_which_nobody_says_anything_teach_nothing(bare):
    job, samples = samples_of(read_labelled([bare]))
    assert sorted(samples) == [0, 1]
    assert job.pointed.cases == ()


def test_a_table_in_the_form_of_luna16_teaches_as_reports_do(bare, tmp_path):
    data = read_labelled([bare])
    rows = []
    for study in data.studies:
        seed = int(study.place.rpartition("-")[2])
        series = study.stacks[0].facts.series_instance_uid
        x, y, z = place_of(seed)
        rows.append(f"{series},{x},{y},{z},18.5" if seed < 4 else f"{series},,,,")
    path = tmp_path / "annotations.csv"
    path.write_text("\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *rows]) + "\n")
    plain = replace(data, studies=tuple(replace(one, annotations=()) for one in data.studies))
    job, samples = samples_of(with_lesions(plain, path, ["nodule"]))
    assert [one.name for one in job.structures] == ["nodule"]
    assert not any((np.asarray(one.target[0]) == 1).any() for one in samples.values())
    for seed in range(4):
        [found] = lesions_in(np.asarray(samples[seed].target))
        [true] = lesions_of(spot_of(seed), SPACING)
        assert np.abs(np.subtract(found.centre, true.centre)).max() <= 0.51
    assert lesions_in(np.asarray(samples[4].target)) == []
    assert (np.asarray(samples[4].target[0]) == 0).all()


def test_of_several_kinds_one_must_be_named(bare, tmp_path):
    data = with_reports(read_labelled([bare]))
    series = data.studies[0].stacks[0].facts.series_instance_uid
    x, y, z = place_of(int(data.studies[0].place.rpartition("-")[2]))
    path = tmp_path / "lesions.csv"
    path.write_text(f"seriesuid,x,y,z,label\n{series},{x},{y},{z},cyst\n")
    both = with_lesions(data, path, [])
    recipe = read_recipe(None, "detect", RECIPE)
    with pytest.raises(NodeError) as caught:
        DetectJob.of(recipe, both)
    assert caught.value.fault is NOTHING_TO_LEARN
    assert "cyst" in str(caught.value)
    job = DetectJob.of(recipe, both, ["cyst"])
    assert [len(job.pointed.of(case)) for case in job.cases] == [1]
