"""Films: what is said to be true of them is what is seen, and what is drawn at random says nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.views.additions import with_letters  # noqa: E402
from dicomnode.learn.views.detector import displayed, exposed  # noqa: E402
from dicomnode.learn.views.films import draw_film, laid  # noqa: E402
from dicomnode.learn.views.others import KINDS, draw_kind  # noqa: E402
from dicomnode.learn.views.questions import (  # noqa: E402
    APICES,
    FRONTAL,
    LATERAL,
    NOT_ASKED,
    OTHER,
    QUESTIONS,
    Truth,
)
from dicomnode.learn.views.training import SIDE, fitted  # noqa: E402

WHOLE = {"apices": -5.0, "bases": -5.0, "sides": -5.0}


def test_an_upright_picture_is_mirrored_first_and_turned_to_the_left_then() -> None:
    picture = np.zeros((2, 3), dtype=np.float32)
    picture[0, 0] = 1.0  # top left
    turned = laid(picture, Truth(view=FRONTAL, quarters=1, cut_mm=WHOLE))
    assert turned.shape == (3, 2)
    assert turned[2, 0] == 1.0  # the left edge is below now
    both = laid(picture, Truth(view=FRONTAL, quarters=1, mirrored=True, cut_mm=WHOLE))
    assert both[0, 0] == 1.0
    inverted = laid(picture, Truth(view=FRONTAL, inverted=True, cut_mm=WHOLE))
    np.testing.assert_array_equal(inverted, 1.0 - picture)


@pytest.mark.parametrize(
    ("cut_mm", "answer"), [(-0.1, 0), (0.0, 0), (2.0, NOT_ASKED), (4.9, NOT_ASKED), (5.0, 1), (60.0, 1)]
)
def test_a_little_that_is_cut_off_is_not_asked(cut_mm, answer) -> None:
    truth = Truth(view=FRONTAL, cut_mm=WHOLE | {"apices": cut_mm})
    assert truth.answers[QUESTIONS.index(APICES)] == answer


def test_of_a_lateral_view_nobody_asks_whether_it_is_mirrored_and_of_no_chest_nothing_else() -> None:
    lateral = Truth(view=LATERAL, quarters=2, mirrored=True, cut_mm=WHOLE)
    assert lateral.answers == (LATERAL, 2, NOT_ASKED, 0, 0, 0, 0)
    assert Truth(view=OTHER).answers == (OTHER, *[NOT_ASKED] * 6)


def test_the_same_generator_gives_the_same_film(patient) -> None:
    one, other = (draw_film(patient, np.random.default_rng(5), SIDE) for _ in range(2))
    np.testing.assert_array_equal(one.picture, other.picture)
    assert one.truth == other.truth


def test_films_are_pictures_of_the_wanted_size_and_all_answers_occur(patient) -> None:
    rng = np.random.default_rng(1)
    films = [draw_film(patient, rng, 48) for _ in range(120)]
    for film in films:
        assert max(film.picture.shape) == 48
        assert film.picture.dtype == np.float32
        assert 0.0 <= film.picture.min() <= film.picture.max() <= 1.0
    answers = np.array([film.truth.answers for film in films])
    assert {NOT_ASKED, 0, 1} <= set(answers[:, QUESTIONS.index(APICES)].tolist()) | {NOT_ASKED}
    assert set(answers[:, 0].tolist()) == {FRONTAL, LATERAL}
    assert set(answers[:, 1].tolist()) == {0, 1, 2, 3}
    assert set(answers[:, 2].tolist()) == {NOT_ASKED, 0, 1}


def test_what_is_cut_off_is_measured_against_the_lungs(patient) -> None:
    """The plain lungs are 192 mm high (rows 70 to 190, 1.6 mm each): a film shows what is not cut."""
    rng = np.random.default_rng(2)
    for film in (draw_film(patient, rng, 64) for _ in range(40)):
        cut = film.truth.cut_mm
        assert all(-90.0 < one <= 70.0 for one in cut.values())
        assert cut["apices"] + cut["bases"] < 192.0


def test_letters_are_as_often_on_either_side_however_the_picture_lies() -> None:
    rng = np.random.default_rng(3)
    grey = np.full((80, 80), 0.5, dtype=np.float32)
    changed = np.mean([with_letters(grey, rng) != grey for _ in range(300)], axis=0)
    assert changed[:, :40].mean() == pytest.approx(changed[:, 40:].mean(), rel=0.2)
    assert changed[:40].mean() == pytest.approx(changed[40:].mean(), rel=0.2)
    assert (grey == 0.5).all()  # what was given is as it was


def test_bones_are_bright_and_air_is_dark_whatever_is_drawn() -> None:
    rng = np.random.default_rng(4)
    soft = np.zeros((40, 60), dtype=np.float32)
    soft[:, 20:] = 120.0
    bone = np.zeros_like(soft)
    bone[:, 40:] = 30.0
    for _ in range(20):
        grey = displayed(exposed(soft, bone, rng), np.ones(soft.shape, dtype=bool), rng)
        assert grey[:, :15].mean() < grey[:, 45:55].mean()


@pytest.mark.parametrize("kind", list(KINDS))
def test_pictures_of_no_chest_are_of_any_size_and_say_what_they_are(kind, patient) -> None:
    film = draw_kind(kind, patient, np.random.default_rng(6), 64)
    assert film.truth.view == OTHER
    assert film.truth.other == kind
    assert film.picture.dtype == np.float32
    assert np.isfinite(film.picture).all()
    assert fitted(film.picture[:SIDE, :SIDE]).shape == (SIDE, SIDE)


def test_one_grey_becomes_black_and_not_a_division_by_nothing() -> None:
    assert not fitted(np.full((20, 30), 0.7, dtype=np.float32)).any()
