"""Training to find lesions: centres and sizes from outlines, and an engine that finds them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import StudyFiles, load_volume, read_studies
from dicomnode.engine import EnginePackage
from dicomnode.evaluate import KnownLesion, StudyOutcome
from dicomnode.evaluate.data import read_labelled
from dicomnode.evaluate.running import Answer, Judging, judge
from dicomnode.faults import NETWORK_UNBUILT, NOTHING_TO_LEARN, NodeError
from dicomnode.learn import DetectJob, read_recipe, train_engine
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.parts import split_cases, strata_of
from dicomnode.learn.train.samples import IGNORED, Sample
from dicomnode.learn.train.shapes import shape_of
from dicomnode.values import Progress, no_progress
from tests.fixtures.frameworks import needed

from .conftest import MADE_AT
from .small_data import ball, grid_of, spot_of, write_study

torch = needed("torch")

from dicomnode.learn.train.centres import (  # noqa: E402
    Lesion,
    Operating,
    average_precision_of,
    lesions_in,
    lesions_of,
    margin_of,
    operating_point,
    outcome_of,
    sensitivity_at_one,
)
from dicomnode.learn.train.detect import _said, fitting_spacing, quiet_share  # noqa: E402
from dicomnode.learn.train.detecting import DetectLesson, edge_of, lesion_places  # noqa: E402
from dicomnode.learn.train.detector import HEAT_STEPS, LOG_STEPS, CentreLoss, Detector  # noqa: E402
from dicomnode.learn.train.losses import MapLoss  # noqa: E402
from dicomnode.learn.train.networks import build, freeze  # noqa: E402
from dicomnode.learn.train.targets import centre_target  # noqa: E402

SMALL = {
    "epochs": 8,
    "steps": 12,
    "width": 8,
    "levels": 2,
    "network": "unet",
    "learning_rate": 0.01,
    "augmentation.probability": 0.0,
    "seed": 3,
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spots")
    for seed in range(8):
        write_study(folder, seed, spotted=seed < 7, outlines=("organ", "spot" if seed < 7 else "no spot"))
    return folder


def test_the_engine_finds_a_lesion_where_it_lies_and_none_where_there_is_none(
    studies: Path, order_in, tmp_path: Path
) -> None:
    data = read_labelled([studies])
    job = DetectJob.of(read_recipe(None, "detect", SMALL), data)
    assert [one.name for one in job.structures] == ["lesion"]
    trained = train_engine(job, data, order_in("spots"))
    assert trained.gate.passed
    figures = {one.name: one.interval.figure.value for one in trained.figures}
    quiet = figures.pop("studies without a lesion in which none is reported")
    assert figures == told_by_evaluation(trained, studies)
    assert quiet is None or 0.0 <= quiet <= 1.0
    assert "best F1 of the validation part" in (trained.package.folder / "card.md").read_text()
    analyst = Analyst(trained.package, threads=1, node_version="0")
    try:
        for seed, spotted in ((60, True), (61, True), (62, False)):
            place = write_study(tmp_path, seed, spotted=spotted, outlines=())
            [study] = read_studies([place]).studies
            volume = load_volume(study.series[0].stacks[0])
            analysis = Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
            found = analyst.analyse(analysis).segments
            assert len(found) == spotted
            for one in found:
                [truth] = lesions_of(spot_of(seed), (4.0, 4.0, 4.0))
                centre = grid_of(seed).to_lps_mm(truth.centre)
                assert np.linalg.norm(np.array(one.centre_lps_mm) - centre) < 8.0
                assert one.tracking_id == "lesion 1"
                assert one.score is not None
                assert one.score >= trained.package.manifest.step[0].centre_heat.threshold
    finally:
        analyst.close()


@dataclass(frozen=True)
class AnsweredHere:
    """Has the engine analyse each study in this process."""

    package: EnginePackage

    def __call__(self, study: StudyFiles, progress: Progress) -> list[Answer]:
        [stack] = [one for series in study.series for one in series.stacks]
        with closing(Analyst(self.package, threads=1, node_version="0")) as analyst:
            images = {"image": load_volume(stack)}
            found = analyst.analyse(Analysis(volumes=images, salt=b"s", study_version=1, made_at=MADE_AT))
        return [Answer.of(stack, found)]


def told_by_evaluation(trained, studies: Path) -> dict[str, float | None]:
    """Return what `dicomnode evaluate --part test` says of the same engine."""
    held_out = {case.patient for case in trained.parts.test}
    data = read_labelled([studies])
    part = replace(data, studies=tuple(one for one in data.studies if one.patient in held_out))
    [result] = judge(part, AnsweredHere(trained.package), Judging()).evaluation.detections
    told = {one.figure.name: one.figure.value for one in result.intervals}
    return {
        "sensitivity by lesion": told["sensitivity"],
        "false alarms a study": told["false_positives_per_study"],
    }


def test_the_validation_ends_masks_where_the_engine_does() -> None:
    class Doubtful(torch.nn.Module):
        """Is 3 to 1 for a lesion everywhere, and sure of it in its cube."""

        def forward(self, image):
            mask = torch.full((1, 1, 8, 8, 8), float(np.log(3.0)))
            mask[:, :, 3:6, 3:6, 3:6] = 9.0
            return torch.full((1, 1, 4, 4, 4), -9.0), torch.zeros(1, 1, 4, 4, 4), mask

    lesson = lesson_on([sample_with_cube(True)])
    assert lesson.score(Doubtful(), torch.device("cpu")).figures["dice of masks"] < 0.2
    lesson.loss_of = MapLoss((4.0,), None)
    assert lesson.score(Doubtful(), torch.device("cpu")).figures["dice of masks"] == 1.0
    assert edge_of(4.0) == pytest.approx(np.log(4.0), abs=1e-4)


def test_parts_of_an_outline_are_lesions_with_the_diameter_of_a_sphere_of_their_volume() -> None:
    mask = ball((20, 30, 40), (6, 8, 10), (4, 4, 4)) | ball((20, 30, 40), (14, 20, 30), (2, 2, 2))
    large, small = sorted(lesions_of(mask, (1.0, 1.0, 1.0)), key=lambda one: -one.diameter_mm)
    assert large.centre == pytest.approx((6, 8, 10))
    assert small.centre == pytest.approx((14, 20, 30))
    assert large.diameter_mm == pytest.approx(8.0, rel=0.05)
    assert lesions_of(np.zeros((3, 3, 3), dtype=bool), (1.0, 1.0, 1.0)) == []
    disc = np.hypot(*np.ogrid[-20:21, -20:21]) <= 12.0
    [flat] = lesions_of(disc[np.newaxis], (1.0, 0.5, 0.5))
    assert flat.diameter_mm == pytest.approx(12.0, rel=0.02)


def test_the_target_has_all_heat_at_the_centre_and_tells_the_size_around_it() -> None:
    mask = ball((12, 12, 12), (5, 6, 7), (3, 3, 3)).astype(np.uint8)
    mask[11] = IGNORED
    held, heat, logs = centre_target(mask, (2.0, 2.0, 2.0))
    assert np.array_equal(held, mask)
    assert np.argwhere(heat == HEAT_STEPS).tolist() == [[5, 6, 7]]
    assert np.all(heat[11] == IGNORED)
    [lesion] = lesions_of(mask == 1, (2.0, 2.0, 2.0))
    assert np.exp(logs[5, 6, 7] / LOG_STEPS) == pytest.approx(lesion.diameter_mm, rel=0.02)
    assert logs[0, 0, 0] == IGNORED


def test_what_is_ignored_gives_no_gradient() -> None:
    mask = ball((8, 8, 8), (3, 3, 3), (2, 2, 2)).astype(np.uint8)
    mask[4:] = IGNORED
    target = torch.from_numpy(centre_target(mask, (1.0, 1.0, 1.0)))[None]
    found = [torch.zeros(1, 1, n, n, n, requires_grad=True) for n in (4, 4, 8)]
    CentreLoss(MapLoss((1.0,), None))(tuple(found), target).backward()
    for one, first in zip(found, (2, 2, 4), strict=True):
        assert torch.count_nonzero(one.grad[:, :, first:]) == 0
        assert torch.count_nonzero(one.grad[:, :, :first]) > 0


def outcome(*scores: float | None, alarms: tuple[float, ...] = ()) -> StudyOutcome:
    lesions = tuple(KnownLesion(diameter_mm=9.0, score=score) for score in scores)
    return StudyOutcome(lesions=lesions, false_alarms=alarms)


@pytest.mark.parametrize(
    ("outcomes", "f1", "between"),
    [
        ([outcome(0.4, 0.3), outcome(alarms=(0.2,))], 1.0, (0.2, 0.3)),
        ([outcome(0.9, 0.3), outcome(alarms=(0.8, 0.7, 0.6))], 2 / 3, (0.8, 0.9)),
        ([outcome(0.9, None)], 2 / 3, (0.1, 0.9)),
        ([outcome(None), outcome(alarms=(0.7,))], 0.0, (0.49, 0.51)),
        ([outcome(alarms=(0.7,))], 0.0, (0.49, 0.51)),
    ],
    ids=("all found", "alarms between", "one never", "none found", "nothing there"),
)
def test_the_threshold_lies_where_f1_is_best_and_not_at_the_edge_of_a_score(outcomes, f1, between) -> None:
    point = operating_point(outcomes)
    assert point.f1 == pytest.approx(f1)
    assert between[0] < point.threshold < between[1]


def test_average_precision_is_little_for_one_lucky_centre_among_many() -> None:
    assert average_precision_of([outcome(0.9, 0.8), outcome(alarms=(0.7,))]) == 1.0
    assert average_precision_of([outcome(0.9, 0.2), outcome(alarms=(0.8, 0.7))]) == pytest.approx(0.75)
    assert average_precision_of([outcome(0.9, None, None, None)]) == 0.25
    assert average_precision_of([outcome(None), outcome(alarms=(0.7,))]) == 0.0
    assert average_precision_of([outcome(alarms=(0.7,))]) == 0.0


def test_a_centre_hits_the_lesion_that_it_lies_in() -> None:
    mask = ball((16, 16, 16), (5, 5, 5), (2, 2, 2)) | ball((16, 16, 16), (12, 12, 12), (2, 2, 2))
    heat = np.zeros((8, 8, 8))
    heat[2, 2, 2], heat[1, 6, 6] = 0.7, 0.3
    found = outcome_of(heat, lesions_of(mask, (2.0, 2.0, 2.0)), (2.0, 2.0, 2.0))
    assert [one.score for one in found.lesions] == [0.7, None]
    assert found.false_alarms == (0.3,)


def test_false_alarms_of_healthy_studies_count_and_quiet_ones_do_no_harm() -> None:
    """Two networks find the same lesions with the same scores; one of them calls healthy studies, too."""
    sick = [outcome(0.6), outcome(0.5)]
    quiet, loud = [outcome(), outcome()], [outcome(alarms=(0.9, 0.8, 0.7)), outcome(alarms=(0.95,))]
    assert average_precision_of(sick + quiet) == average_precision_of(sick) == 1.0
    assert average_precision_of(sick + loud) == pytest.approx((1 / 5 + 2 / 6) / 2)
    assert sensitivity_at_one(sick + quiet) == 1.0
    assert sensitivity_at_one(sick + loud) == 1.0  # four alarms in four studies
    assert sensitivity_at_one([*sick, outcome(alarms=(0.9,) * 4)]) == 0.0
    assert sensitivity_at_one([outcome(alarms=(0.9,))]) == 0.0


def test_the_card_counts_the_false_alarms_that_the_engine_will_call_whose_numbers_are_float32() -> None:
    outcomes = [outcome(0.9), outcome(alarms=(float(np.float32(0.7)), 0.6999))]  # a little less than 0.7
    assert "have 1 false alarms then" in _said(Operating(threshold=0.7, f1=1.0), outcomes)


def test_of_two_epochs_that_find_all_lesions_the_surer_one_is_kept() -> None:
    faint, sure = [outcome(0.2), outcome(alarms=(0.15,))], [outcome(0.9), outcome()]
    assert average_precision_of(faint) == average_precision_of(sure) == 1.0
    assert margin_of(faint) == pytest.approx(0.2 - 0.075)
    assert margin_of(sure) == pytest.approx(0.9)
    assert margin_of([outcome(None), outcome(alarms=(0.8, 0.4))]) == pytest.approx(-0.4)
    assert margin_of([outcome(alarms=(0.8,))]) == 0.0


def test_a_studys_quiet_is_that_of_those_without_a_lesion() -> None:
    figure = quiet_share([outcome(0.9, alarms=(0.5,)), outcome(), outcome(alarms=(0.7,)), outcome()])
    assert (figure.part, figure.whole) == (2, 3)
    assert quiet_share([outcome(0.9)]).value is None


def test_a_lesion_that_is_only_pointed_at_teaches_heat_and_no_mask() -> None:
    mask = np.zeros((12, 20, 20), dtype=np.uint8)
    mask[7:10, 14:17, 14:17] = 1
    point = Lesion(centre=(5.0, 6.0, 7.0), diameter_mm=4.0)
    held, heat, logs = centre_target(mask, (1.0, 1.0, 1.0), [point])
    assert heat[5, 6, 7] == HEAT_STEPS
    assert held[5, 6, 7] == held[5, 6, 9] == IGNORED  # its voxels are not known, and no background
    assert held[5, 6, 12] == 0
    assert np.count_nonzero(held == 1) == 27  # the outline of the other one
    assert np.exp(logs[5, 6, 7] / LOG_STEPS) == pytest.approx(4.0, rel=0.02)
    assert sorted(one.centre for one in lesions_in(np.stack([held, heat, logs]))) == [
        (5.0, 6.0, 7.0),
        (8.0, 15.0, 15.0),
    ]


def test_a_size_that_nobody_said_is_not_learned_and_more_around_it_is_not_known() -> None:
    mask = np.zeros((1, 40, 40), dtype=np.uint8)
    sized, unsized = (
        centre_target(mask, (1.0, 1.0, 1.0), [Lesion(centre=(0.0, 20.0, 20.0), diameter_mm=mm)], 8.0)
        for mm in (8.0, 0.0)
    )
    assert unsized[1, 0, 20, 20] == HEAT_STEPS
    assert np.all(unsized[2] == IGNORED)
    assert np.count_nonzero(unsized[0] == IGNORED) > np.count_nonzero(sized[0] == IGNORED) > 0
    [known], [unknown] = lesions_in(sized), lesions_in(unsized)
    assert known.diameter_mm == pytest.approx(8.0, rel=0.02)
    assert unknown.diameter_mm == 0.0


@pytest.mark.parametrize("flat", [True, False])
def test_the_mask_of_a_point_gives_no_gradient_and_its_heat_does(flat: bool) -> None:
    shape = (1, 16, 16) if flat else (8, 16, 16)
    point = Lesion(centre=(0.0 if flat else 4.0, 8.0, 8.0), diameter_mm=0.0)
    target = torch.from_numpy(centre_target(np.zeros(shape, np.uint8), (1.0, 1.0, 1.0), [point], 8.0))
    half = [8, 8] if flat else [4, 8, 8]
    whole = [16, 16] if flat else [8, 16, 16]
    found = [torch.zeros(1, 1, *n, requires_grad=True) for n in (half, half, whole)]
    CentreLoss(MapLoss((1.0,), None))(tuple(found), (target[:, 0] if flat else target)[None]).backward()
    heat, size, mask = (one.grad[0, 0] for one in found)
    at = (4, 4) if flat else (2, 4, 4)
    assert heat[at] < 0  # more heat is wanted there
    assert torch.count_nonzero(size) == 0
    assert mask[(8, 8) if flat else (4, 8, 8)] == 0
    assert mask[(0, 0) if flat else (0, 0, 0)] > 0


def test_a_centre_that_fell_between_voxels_when_a_patch_was_turned_is_still_one() -> None:
    target = centre_target(ball((1, 24, 24), (0, 12, 12), (1, 4, 4)).astype(np.uint8), (1.0, 1.0, 1.0))
    target[1, 0, 12, 12] = 250  # the neighbour's heat came in its place
    heat = torch.zeros(1, 1, 12, 12, requires_grad=True)
    loss = CentreLoss(MapLoss((1.0,), None))
    loss(
        (heat, torch.zeros(1, 1, 12, 12), torch.zeros(1, 1, 24, 24)), torch.from_numpy(target[:, 0])[None]
    ).backward()
    assert [tuple(at) for at in torch.nonzero(heat.grad[0, 0] < 0).tolist()] == [(6, 6)]


def test_at_the_rim_of_a_patch_the_heat_of_a_centre_beyond_is_no_centre() -> None:
    whole = centre_target(ball((1, 32, 32), (0, 16, 16), (1, 6, 6)).astype(np.uint8), (1.0, 1.0, 1.0))
    patch = whole[:, 0, :, 18:]
    heat = torch.zeros(1, 1, 16, 7, requires_grad=True)
    found = (heat, torch.zeros(1, 1, 16, 7), torch.zeros(1, 1, 32, 14))
    CentreLoss(MapLoss((1.0,), None))(found, torch.from_numpy(patch.copy())[None]).backward()
    assert not (heat.grad < 0).any()


def test_patches_are_drawn_at_points_as_at_outlines() -> None:
    points = [Lesion(centre=(0.0, 3.0, 4.0), diameter_mm=0.0)]
    target = centre_target(np.zeros((1, 8, 8), np.uint8), (1.0, 1.0, 1.0), points)
    sample = replace(sample_with_cube(False), target=target)
    assert lesion_places(sample).of[0].tolist() == [[0, 3, 4]]
    assert lesion_places(sample_with_cube(False)).of == {}
    assert len(lesion_places(sample_with_cube(True)).of[0]) == 28  # the cube, and its centre


@given(
    st.booleans(),
    st.tuples(*[st.floats(0.4, 3.0)] * 3),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(2, 20)), max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_a_network_that_gives_the_heat_of_the_target_finds_each_lesion_and_no_other(flat, spacing, drawn):
    """Lesions lie anywhere, also at the rim, and close to each other; spacing is anything."""
    shape = (1, 24, 32) if flat else (12, 24, 32)
    spacing = (1.0, 1.0, 1.0) if flat else spacing
    lesions = [
        Lesion(
            centre=tuple(round(part * (side - 1), 3) for part, side in zip(at, shape, strict=True)),
            diameter_mm=mm,
        )
        for *at, mm in drawn
    ]
    target = centre_target(np.zeros(shape, np.uint8), spacing, lesions)
    told = lesions_in(target)
    assert len(told) == len({one.centre for one in told}) <= len(lesions)
    cells = [(n, 2) if n > 1 else (1, 1) for n in shape]
    heat = target[1].reshape([part for n, size in cells for part in (n // size, size)]).max(axis=(1, 3, 5))
    found = outcome_of(heat / HEAT_STEPS, told, spacing)
    assert all(one.score == 1.0 for one in found.lesions)
    assert found.false_alarms == ()


@pytest.mark.parametrize("flat", [True, False])
def test_before_it_has_learned_a_network_sees_a_centre_in_one_cell_of_a_hundred(flat: bool) -> None:
    size = (8, 8) if flat else (8, 8, 8)
    heat, logs, mask = Detector(torch.nn.Identity(), 1, flat=flat)(torch.zeros(1, 1, *size))
    assert torch.sigmoid(heat).mean().item() == pytest.approx(0.01, rel=0.35)
    assert heat.shape == logs.shape == (1, 1, *(n // 2 for n in size))
    assert mask.shape == (1, 1, *size)


def lesson_on(samples) -> DetectLesson:
    """Return what judges these samples, and nothing to learn."""
    shape = shape_of((8, 8, 8), (1.0, 1.0, 1.0), 2)
    recipe = read_recipe(None, "detect", SMALL)
    loss = MapLoss((1.0,), None)
    augment = Augmenter(recipe.augmentation, (), flat=False, pad_value=0.0)
    return DetectLesson(
        recipe=recipe, shape=shape, training=samples, validation=samples, names=["lesion"], pad_value=0.0,
        loss_of=loss, augment=augment, centre_loss=CentreLoss(loss),
    )  # fmt: skip


def sample_with_cube(there: bool) -> Sample:
    mask = np.zeros((8, 8, 8), dtype=np.uint8)
    mask[3:6, 3:6, 3:6] = there
    return Sample(
        name="",
        patient="a",
        inputs=np.zeros((1, 8, 8, 8), dtype=np.float32),
        target=centre_target(mask, (1.0, 1.0, 1.0)),
        spacing_kji_mm=(1.0, 1.0, 1.0),
    )


def test_a_network_that_says_nothing_is_worth_nothing_where_most_studies_have_nothing() -> None:
    class Silent(torch.nn.Module):
        def forward(self, image):
            half = [n // 2 for n in image.shape[2:]]
            coarse = torch.full((1, 1, *half), -9.0)
            return coarse, coarse, torch.full((1, 1, *image.shape[2:]), -9.0)

    samples = [sample_with_cube(n == 0) for n in range(4)]
    assert lesson_on(samples).score(Silent(), torch.device("cpu")).value == 0.0


@pytest.mark.parametrize(
    ("spacing", "mm", "fitting"),
    [
        ((5.0, 0.7, 0.7), 300.0, (5.0, 0.7, 0.7)),  # 11 million voxels
        ((1.25, 0.7, 0.7), 350.0, (1.289, 1.289, 1.289)),
        ((2.5, 0.5, 0.5), 340.0, (2.5, 0.887, 0.887)),
    ],
)
def test_a_study_that_is_seen_whole_is_as_fine_as_fits(spacing, mm, fitting) -> None:
    found = fitting_spacing(spacing, mm**3)
    assert found == pytest.approx(fitting, abs=2e-3)
    assert mm**3 / np.prod(found) <= 20_000_000 * 1.002


def test_the_plan_takes_that_spacing_unless_one_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path, 0, spotted=True, outlines=("spot",))
    data = read_labelled([tmp_path])
    monkeypatch.setattr("dicomnode.learn.train.detect._MOST_VOXELS", 1000)
    job = DetectJob.of(read_recipe(None, "detect", SMALL), data)
    plan = job.plan(job.cases, no_progress)
    assert np.prod(plan.spacing_kji_mm) > 4.0**3
    assert not any(side % 2 for side in plan.shape.patch_kji)  # five slices are padded to six
    assert job.sample(job.cases[0], plan).shape_kji[0] % 2 == 0
    given = {**SMALL, "spacing_kji_mm": [4.0, 4.0, 4.0]}
    job = DetectJob.of(read_recipe(None, "detect", given), data)
    assert job.plan(job.cases, no_progress).spacing_kji_mm == (4.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ("part", "free", "kept"),
    [
        ("all-but-head", ("heat.weight", "size.weight", "mask.weight"), ("coarse.1.weight",)),
        ("encoder", ("heat.weight", "coarse.1.weight"), ()),
    ],
)
def test_what_is_frozen_of_a_detector_is_no_head(part: str, free: tuple, kept: tuple) -> None:
    shape = shape_of((16, 16, 16), (1.0, 1.0, 1.0), 2)
    made = Detector(build(read_recipe(None, "detect", SMALL), shape, 1, 8), 8)
    freeze(made, part)
    learns = {name for name, one in made.named_parameters() if one.requires_grad}
    assert set(free) <= learns
    assert not set(kept) & learns
    backbone = [name for name, _ in made.named_parameters() if name.startswith("backbone.")]
    assert 0 < sum(name not in learns for name in backbone) <= len(backbone)
    assert any(name in learns for name in backbone) == (part == "encoder")


def test_slices_are_no_volumes(studies: Path, order_in) -> None:
    data = read_labelled([studies])
    job = DetectJob.of(read_recipe(None, "detect", {**SMALL, "patch_kji": [1, 24, 24]}), data)
    with pytest.raises(NodeError) as caught:
        train_engine(job, data, order_in())
    assert caught.value.fault is NETWORK_UNBUILT


def test_what_is_rare_is_in_every_part(tmp_path: Path) -> None:
    for seed in range(20):
        write_study(tmp_path, seed, spotted=seed < 7, outlines=("organ", "spot" if seed < 7 else "no spot"))
    data = read_labelled([tmp_path])
    job = DetectJob.of(read_recipe(None, "detect", SMALL), data)
    parts = split_cases(job.cases, data, tmp_path / "split.json", job.recipe, strata_of(job))
    assert [sum(not case.truths[0].is_empty for case in cases) > 0 for _, cases in parts.named] == [True] * 3


def test_a_validation_without_a_lesion_judges_nothing(tmp_path: Path, order_in) -> None:
    for seed in range(6):
        write_study(
            tmp_path / "data", seed, spotted=seed < 1, outlines=("organ", "spot" if seed < 1 else "no spot")
        )
    data = read_labelled([tmp_path / "data"])
    job = DetectJob.of(read_recipe(None, "detect", SMALL), data)
    with pytest.raises(NodeError) as caught:
        train_engine(job, data, order_in())
    assert caught.value.fault is NOTHING_TO_LEARN


def test_an_organ_is_no_lesion(tmp_path: Path) -> None:
    write_study(tmp_path, 1)
    with pytest.raises(NodeError) as caught:
        DetectJob.of(read_recipe(None, "detect", SMALL), read_labelled([tmp_path]))
    assert caught.value.fault is NOTHING_TO_LEARN
