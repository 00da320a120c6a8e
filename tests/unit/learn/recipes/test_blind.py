"""Who never looks at an image: the figure that a recipe must beat."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dicomnode.values import Mask
from tests.recipes.blind import mark_anywhere, same_everywhere
from tests.recipes.heads import option, with_option
from tests.recipes.trial import Row


def case(rows: slice, columns: slice) -> SimpleNamespace:
    whole = np.zeros((1, 10, 10), dtype=bool)
    whole[0, rows, columns] = True
    return SimpleNamespace(truths={0: Mask.from_array(whole)})


def test_what_is_always_in_one_place_needs_no_look_and_what_moves_does() -> None:
    still = [case(slice(2, 6), slice(2, 6)) for _ in range(4)]
    assert same_everywhere(still, still, 0) == 1.0
    moved = [case(slice(n, n + 2), slice(n, n + 2)) for n in (0, 3, 6, 8)]
    assert same_everywhere(moved, moved, 0) < 0.5


def test_studies_without_it_do_not_count() -> None:
    there, none = case(slice(2, 6), slice(2, 6)), case(slice(0), slice(0))
    assert same_everywhere([there, none], [there, none], 0) == 1.0


def test_a_mark_set_anywhere_hits_as_often_as_lesions_are_large() -> None:
    seen = [
        case(slice(0, 1), slice(0, 1)),
        case(slice(9, 10), slice(9, 10)),
    ]  # they reach over the whole image
    tested = [case(slice(0, 5), slice(0, 4))]
    assert mark_anywhere(seen, tested, 1.0) == pytest.approx(0.2)
    assert mark_anywhere(seen, tested, 3.0) == pytest.approx(1.0 - 0.8**3)  # who marks much hits much


ROW = Row(
    recipe="skin segment",
    cases=20,
    epochs=3,
    seconds=1.0,
    figure="Dice lesion",
    value=0.8,
    low=0.7,
    high=0.9,
    blind=0.6,
)


@pytest.mark.parametrize(
    ("changed", "better"),
    [
        ({}, True),
        ({"low": 0.55}, False),  # better, and it may be luck
        ({"low": float("nan")}, False),  # not known
        ({"figure": "mean absolute error, a", "blind": 1.0}, True),
        ({"figure": "mean absolute error, a", "blind": 0.85}, False),
    ],
)
def test_better_means_that_all_of_the_interval_is(changed: dict[str, object], better: bool) -> None:
    assert replace(ROW, **changed).better is better


def test_an_option_of_a_command_is_read_changed_and_added() -> None:
    words = ["synth", "discs", "--cases", "80"]
    assert option(words, "--cases") == "80"
    assert option(words, "--out") is None
    assert with_option(words, "--cases", 3) == ["synth", "discs", "--cases", "3"]
    assert with_option(words, "--out", "x") == [*words, "--out", "x"]
