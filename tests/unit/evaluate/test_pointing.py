"""The pointing game: hits, chance on any grid, and how likely so many hits are by chance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate.pointing import LesionBox, Pointed, at_least, pointed, pointing_game
from dicomnode.values import Grid

_SHAPE = (2, 6, 8)
_AFFINE = np.array([[2.0, 0, 0, -5], [0, 3.0, 0, 7], [0, 0, 4.0, 11], [0, 0, 0, 1]])
_GRID = Grid(_SHAPE, _AFFINE, "1.2.3")


def lesion() -> np.ndarray:
    mask = np.zeros(_SHAPE, dtype=bool)
    mask[1, 2:4, 3:6] = True
    return mask


def hot_at(*at: int) -> np.ndarray:
    values = np.zeros(_SHAPE, dtype=np.float32)
    values[at] = 1.0
    return values


@pytest.mark.parametrize("at", list(product(range(2), (0, 1, 2, 3, 4), (2, 3, 5, 6))))
def test_the_maximum_hits_where_it_lies_on_the_lesion_and_nowhere_else(at: tuple[int, int, int]) -> None:
    case = pointed(hot_at(*at), _GRID, [LesionBox.around(lesion(), _GRID)], patient="a")
    assert case.hit == lesion()[at]


def test_chance_is_the_share_of_the_cells_that_the_box_takes() -> None:
    case = pointed(hot_at(0, 0, 0), _GRID, [LesionBox.around(lesion(), _GRID)], patient="a")
    assert case.chance == pytest.approx(lesion().mean())


def test_a_coarse_cell_stands_for_all_that_it_covers() -> None:
    """One cell over the lower left quarter reaches into the box; chance says how many do."""
    coarse = Grid((1, 2, 2), np.array([[8.0, 0, 0, 1], [0, 9, 0, 10], [0, 0, 8, 13], [0, 0, 0, 1]]), "1.2.3")
    values = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    case = pointed(values, coarse, [LesionBox.around(lesion(), _GRID)], patient="a")
    assert (case.hit, case.chance) == (True, 1.0)  # the box lies across all four


def test_a_flat_map_points_nowhere() -> None:
    case = pointed(np.ones(_SHAPE), _GRID, [LesionBox.around(lesion(), _GRID)], patient="a")
    assert not case.hit


def test_tolerance_is_in_mm() -> None:
    box = [LesionBox.around(lesion(), _GRID)]
    beside = hot_at(1, 2, 2)  # 1 mm from the box to the cell's face … none: 2 mm cells touch it by a face
    assert not pointed(beside, _GRID, box, patient="a").hit
    assert pointed(beside, _GRID, box, patient="a", tolerance_mm=0.5).hit
    assert not pointed(hot_at(1, 2, 1), _GRID, box, patient="a", tolerance_mm=0.5).hit


@given(st.integers(0, 10_000), st.floats(0, 2 * np.pi))
def test_turning_images_and_map_together_changes_nothing(seed: int, angle: float) -> None:
    """Hits and chance are those of the cells, wherever the grid lies, while boxes are along its axes."""
    draw = np.random.default_rng(seed)
    quarter = round(angle / (np.pi / 2)) * np.pi / 2  # boxes are along the patient's axes
    turn = np.eye(4)
    turn[:2, :2] = np.round([[np.cos(quarter), -np.sin(quarter)], [np.sin(quarter), np.cos(quarter)]])
    turned = Grid(_SHAPE, turn @ _AFFINE, "1.2.3")
    values = draw.normal(size=_SHAPE)
    played = [
        pointed(values, grid, [LesionBox.around(lesion(), grid)], patient="a") for grid in (_GRID, turned)
    ]
    assert played[0] == played[1]


def test_hits_by_chance_are_counted_exactly() -> None:
    """Against all outcomes of four cases, each with a chance of its own."""
    chances = [0.1, 0.5, 0.25, 0.9]
    for hits in range(5):
        exact = sum(
            np.prod([c if one else 1 - c for one, c in zip(outcome, chances, strict=True)])
            for outcome in product((False, True), repeat=4)
            if sum(outcome) >= hits
        )
        assert at_least(hits, chances) == pytest.approx(exact)


def test_the_game_says_share_chance_and_interval_by_patient() -> None:
    cases = [Pointed(patient=str(n // 2), hit=n % 4 != 0, chance=0.1 + 0.1 * (n % 2)) for n in range(40)]
    game = pointing_game(cases)
    assert game.hits.figure.value == 0.75
    assert (game.hits.figure.part, game.hits.figure.whole, game.hits.patients) == (30, 40, 20)
    assert game.chance.value == pytest.approx(0.15)
    assert game.hits.low is not None
    assert game.hits.low < 0.75 < (game.hits.high or 0.0)
    assert game.p_value < 1e-12


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pointing_game([]), "no case"),
        (lambda: pointed(np.zeros((1, 1, 1)), _GRID, [], patient="a"), "has the shape"),
        (lambda: pointed(np.zeros(_SHAPE), _GRID, [], patient="a"), "without a lesion"),
        (lambda: pointed(np.full(_SHAPE, np.nan), _GRID, [], patient="a"), "finite"),
        (lambda: LesionBox.around(np.zeros(_SHAPE, dtype=bool), _GRID), "without a voxel"),
        (lambda: LesionBox(low_lps_mm=(0, 0, 1), high_lps_mm=(0, 0, 0)), "before it begins"),
        (lambda: Pointed(patient="a", hit=True, chance=1.5), "0 to 1"),
    ],
)
def test_what_is_no_game_is_refused(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
