"""Exams: a network that knows the truth passes them, one that says nothing does not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.engine import CentreHeat  # noqa: E402
from dicomnode.evaluate import KnownLesion, StudyOutcome  # noqa: E402
from dicomnode.learn.planted.exams import Answered, Exam, Truth, answered, exam_of  # noqa: E402
from dicomnode.learn.planted.figures import table_of  # noqa: E402
from dicomnode.learn.planted.looking import grid_of  # noqa: E402
from dicomnode.learn.planted.targets import Centre, cells_of  # noqa: E402

from .small_worlds import small_world  # noqa: E402

HOW = CentreHeat(stride=2, within_mm=3.75, threshold=0.05, heat_at_least=0.05, at_most=80)


@pytest.fixture(scope="module")
def exams() -> list[Exam]:
    return [exam_of(small_world(seed), 0) for seed in (1, 2, 3)]


def oracle(exam: Exam, *, of=lambda truth: True):
    """A network that knows the truth."""

    def run(box: np.ndarray) -> dict[str, np.ndarray]:
        shape = box.shape[2:]
        grid = grid_of(exam.world.shape)
        known = [one for one in exam.truths if one.mask is not None and of(one)]
        centres = [
            Centre(at=tuple(grid.to_index_kji(one.centre_lps_mm)), diameter_mm=one.diameter_mm)
            for one in known
        ]
        cells = cells_of(shape, centres)
        mask = np.full(shape, -9.0, dtype=np.float32)
        for one in known:
            mask[tuple(slice(0, side) for side in exam.world.shape)][one.mask.to_array()] = 9.0
        heat = np.where(cells.heat == 1.0, 6.0, -9.0).astype(np.float32)
        return {"heat": heat[None, None], "logd": cells.size[None, None], "mask": mask[None, None]}

    return run


def test_an_exam_is_drawn_from_its_world_and_seed_alone(exams: list[Exam]) -> None:
    again = exam_of(small_world(1), 0)
    assert np.array_equal(again.hu, exams[0].hu)
    assert again.truths[0].centre_lps_mm == exams[0].truths[0].centre_lps_mm
    assert not np.array_equal(exam_of(small_world(1), 1).hu, exams[0].hu)


def test_truths_lie_apart_in_the_lungs_and_count_from_3_mm(exams: list[Exam]) -> None:
    for exam in exams:
        k, j, i = exam.world.shape
        lungs = exam.world.lungs_in((slice(0, k), slice(0, j), slice(0, i)))
        planted = [one for one in exam.truths if one.mask is not None]
        assert len(planted) >= 2
        for one in planted:
            assert lungs[one.mask.to_array()].all()
            assert one.ignore or one.diameter_mm >= 3.0
        centres = np.array([one.centre_lps_mm for one in planted])
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        assert apart[~np.eye(len(planted), dtype=bool)].min() > 8.0


def test_who_knows_the_truth_finds_all_of_it_and_nothing_else(exams: list[Exam]) -> None:
    answers = [answered(oracle(exam), exam, HOW) for exam in exams]
    table = table_of(answers, 0.5, seed=0)
    lines = {one.name: one.interval.figure.value for one in table.lines}
    assert lines["sensitivity, all"] == 1.0
    assert lines["false alarms a scan"] == 0.0
    assert lines["mean sensitivity at 1/8 to 8 false alarms"] == 1.0
    assert table.nodules == sum(not one.ignore for exam in exams for one in exam.truths)
    assert all(right for one in answers for right in one.right)
    if table.volumes is not None:
        assert abs(table.volumes.median) < 25.0


def test_who_says_nothing_finds_nothing(exams: list[Exam]) -> None:
    answers = [answered(oracle(exam, of=lambda _: False), exam, HOW) for exam in exams]
    table = table_of(answers, 0.5, seed=0)
    assert table.lines[0].interval.figure.value == 0.0
    assert table.volumes is None


def test_strata_hold_every_nodule_once(exams: list[Exam]) -> None:
    answers = [answered(oracle(exam), exam, HOW) for exam in exams]
    whole = {one.name: one.interval.figure.whole for one in table_of(answers, 0.5, seed=0).lines}
    sizes = [count for name, count in whole.items() if name.endswith("mm")]
    kinds = [
        whole[f"sensitivity, {kind}"]
        for kind in ("solid", "part-solid", "ground glass", "calcified", "cavity")
    ]
    assert sum(sizes) == sum(kinds) == whole["sensitivity, all"]


def test_a_false_alarm_is_counted_and_one_to_be_ignored_is_not(exams: list[Exam]) -> None:
    exam = exams[0]
    spot = exam.truths[0]
    wrong = Exam(world=exam.world, hu=exam.hu, truths=exam.truths[1:])
    assert len(answered(oracle(exam), wrong, HOW).outcome.false_alarms) == 1
    known = type(spot)(centre_lps_mm=spot.centre_lps_mm, diameter_mm=spot.diameter_mm, ignore=True)
    ignored = Exam(world=exam.world, hu=exam.hu, truths=(known, *exam.truths[1:]))
    assert answered(oracle(exam), ignored, HOW).outcome.false_alarms == ()


def test_volumes_are_of_the_nodules_that_count_as_found_to_the_last_digit() -> None:
    """Of a score of 0.7 in float32 as well, which is a little less than 0.7."""
    score = float(np.float32(0.7))
    truth = Truth(centre_lps_mm=(0.0, 0.0, 0.0), diameter_mm=9.0, kind="solid")
    lesion = KnownLesion(diameter_mm=9.0, score=score)
    outcome = StudyOutcome(lesions=(lesion,), false_alarms=())
    one = Answered(
        name="a", outcome=outcome, counted=(truth,), volumes=((0, 5.0),), scores=(score,), right=(True,)
    )
    table = table_of([one, one], 0.7, seed=0)
    assert table.volumes is not None
    assert table.volumes.count == 2
