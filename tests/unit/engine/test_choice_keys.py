"""Keys of engine.toml that say how many series an engine takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.engine import read_manifest
from tests.unit.engine.small_engine import MANIFEST

TEXT = MANIFEST.replace("SHA256", "0" * 64)
SECOND = """
[[input]]
name = "mr"
kind = "volume"
require = [ { tag = "Modality", equals = "MR" } ]
"""


def read(old: str = "", new: str = "", text: str = TEXT):
    assert old in text
    return read_manifest(Path("engine.toml"), text.replace(old, new, 1).encode())


def test_without_them_an_engine_takes_the_best_series_and_of_equal_ones_the_first():
    manifest, problems = read()
    assert problems == []
    assert (manifest.input[0].series, manifest.input[0].ties) == ("best", "first")


@pytest.mark.parametrize(("key", "value"), [("series", "all"), ("ties", "none"), ("ties", "all")])
def test_the_first_input_says_how_many(key, value):
    manifest, problems = read('name = "ct"', f'name = "ct"\n{key} = "{value}"')
    assert problems == []
    assert getattr(manifest.input[0], key) == value


@pytest.mark.parametrize(("key", "value"), [("series", "all"), ("ties", "none")])
def test_a_further_input_goes_with_one_series_and_cannot_say_it(key, value):
    text = TEXT.replace("[[step]]", f"{SECOND}{key} = '{value}'\n[[step]]", 1)
    manifest, problems = read(text=text)
    assert manifest is None
    assert f"input[2].{key}" in [problem.key for problem in problems]


def test_an_unknown_word_is_told_with_those_that_there_are():
    _, problems = read('name = "ct"', 'name = "ct"\nseries = "every"')
    (problem,) = [problem for problem in problems if problem.key == "input[1].series"]
    assert "best" in problem.expected
    assert "all" in problem.expected


def test_an_engine_that_takes_several_leaves_room_for_their_number_in_its_name():
    named = TEXT.replace('name = "small"', f'name = "{"a" * 54}"', 1)
    assert read(text=named)[1] == []
    _, problems = read('name = "ct"', 'name = "ct"\nseries = "all"', named)
    assert [problem.key for problem in problems] == ["name"]


def test_every_engine_leaves_room_in_its_name_for_the_word_that_it_failed():
    for length, keys in ((57, []), (58, ["name"])):
        _, problems = read(text=TEXT.replace('name = "small"', f'name = "{"a" * length}"', 1))
        assert [problem.key for problem in problems] == keys
