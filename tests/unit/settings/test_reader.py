"""read_table: from a TOML table to a frozen dataclass, every problem at once."""

# ruff: noqa: E501, RUF009  tables stay on a line; keys are declared by calls

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.settings import Problem, read_table
from dicomnode.settings.keys import POSITIVE, Rule, key, needed
from dicomnode.settings.schema import Settings


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str = needed("A name.")
    weight: float = key(1.0, "A weight.", POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    text: str = key("t", "Text.")
    count: int = key(1, "A count.", Rule("1 to 9", lambda n: 1 <= n <= 9))
    size: float = key(1.5, "A size.")
    on: bool = key(default=False, doc="A switch.")
    mode: Literal["live", "off"] = key("live", "A mode.")
    must: Literal[True] | None = key(None, "Only true.")
    colour: Colour = key(Colour.RED, "A colour.")
    path: Path | None = key(None, "A path.")
    folder: Path = key(Path("/x"), "A folder.")
    any_of: str | int | float | bool | None = key(None, "Any scalar.")
    words: tuple[str, ...] = key((), "Words.")
    spacing: tuple[float, float, float] | None = key(None, "Three numbers.")
    leaf: Leaf | None = key(None, "A leaf.")
    leaves: tuple[Leaf, ...] = key((), "Leaves.")
    free: Mapping[str, int | float] = field(default_factory=dict)


def read(text: str, **options: Any) -> tuple[Tree | None, list[Problem]]:
    return read_table(Tree, tomllib.loads(text), "", **options)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('text = "a"', "text", "a"),
        ("count = 3", "count", 3),
        ("size = 3", "size", 3.0),
        ("size = 0.25", "size", 0.25),
        ("on = true", "on", True),
        ('mode = "off"', "mode", "off"),
        ("must = true", "must", True),
        ('colour = "blue"', "colour", Colour.BLUE),
        ('path = "a/b"', "path", Path("a/b")),
        ('path = ""', "path", None),
        ("any_of = 5", "any_of", 5),
        ("any_of = true", "any_of", True),
        ('any_of = "x"', "any_of", "x"),
        ('words = ["a", "b"]', "words", ("a", "b")),
        ("spacing = [1, 1.5, 2]", "spacing", (1.0, 1.5, 2.0)),
        ('leaf = { name = "a" }', "leaf", Leaf(name="a")),
        ('[[leaves]]\nname = "a"\n[[leaves]]\nname = "b"\nweight = 2', "leaves", (Leaf(name="a"), Leaf(name="b", weight=2.0))),
        ("free = { a = 1, b = 2.5 }", "free", {"a": 1, "b": 2.5}),
    ],
)  # fmt: skip
def test_a_right_value_is_read_as_the_schema_says(text: str, name: str, expected: object) -> None:
    tree, problems = read(text)
    assert problems == []
    value = getattr(tree, name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "where", "expected", "hint"),
    [
        ("text = 3", "text", "text in quotes", 'Write text = "3".'),
        ('count = "3"', "count", "a whole number", "Write count = 3, without quotes."),
        ("count = 3.5", "count", "a whole number", ""),
        ("count = true", "count", "a whole number", ""),
        ("count = 10", "count", "1 to 9", ""),
        ("size = nan", "size", "a number", ""),
        ("size = inf", "size", "a number", ""),
        ("size = true", "size", "a number", ""),
        ('size = "1.5"', "size", "a number", "Write size = 1.5, without quotes."),
        ("on = 1", "on", "true or false", ""),
        ('on = "true"', "on", "true or false", "Write on = true, without quotes."),
        ('mode = "lve"', "mode", 'one of "live", "off"', 'Did you mean "live"?'),
        ("must = 1", "must", "true", ""),
        ('colour = "bleu"', "colour", 'one of "red", "blue"', 'Did you mean "blue"?'),
        ("path = 3", "path", "a path in quotes", 'Write path = "3".'),
        ('path = "~nobody-of-that-name/x"', "path", "a path", "There is no such user."),
        ('folder = ""', "folder", "a path in quotes", ""),
        ("any_of = [1]", "any_of", "text in quotes or a whole number or a number or true or false", ""),
        ('words = "a"', "words", "a list, each text in quotes", 'Write words = ["a"].'),
        ('words = ["a", 2]', "words[2]", "text in quotes", 'Write words[2] = "2".'),
        ("spacing = [1, 2]", "spacing", "a list of 3 values, each a number", ""),
        ('spacing = [1, "2", 3]', "spacing[2]", "a number", "Write spacing[2] = 2, without quotes."),
        ("leaf = 3", "leaf", "a table", ""),
        ("[[leaf]]", "leaf", "a table", "Write [leaf] with single brackets: there is one."),
        ('[leaves]\nname = "a"', "leaves", "a list, each a table", "Write [[leaves]] with double brackets: there can be several."),
        ("[[leaves]]", "leaves[1].name", "text in quotes", "A name."),
        ('[[leaves]]\nname = "a"\n[[leaves]]\nname = "b"\nweight = 0', "leaves[2].weight", "a number above 0", ""),
        ('free = { a = "1" }', "free.a", "a whole number or a number", ""),
        ('txt = "a"', "txt", "a key of this file", 'Did you mean "text"?'),
        ('leaf = { name = "a", nam = "b" }', "leaf.nam", "a key in [leaf]", 'Did you mean "name"?'),
        ('leaf = { name = "a", zzz = "b" }', "leaf.zzz", "a key in [leaf]", "Keys here: name, weight."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_was_expected(
    text: str, where: str, expected: str, hint: str
) -> None:
    tree, problems = read(text)
    assert tree is None
    assert [(p.key, p.expected, p.hint) for p in problems] == [(where, expected, hint)]


def test_all_problems_are_found_at_once() -> None:
    _, problems = read('count = 0\nsize = "x"\nmod = 1\n[[leaves]]\nweight = -1\n[[leaves]]\nname = 2\n')
    assert {p.key for p in problems} == {
        "count", "size", "mod", "leaves[1].name", "leaves[1].weight", "leaves[2].name",
    }  # fmt: skip


def test_the_path_of_the_table_begins_each_key() -> None:
    _, problems = read_table(Tree, {"count": 0, "leaves": [{}]}, "input[1]")
    assert [p.key for p in problems] == ["input[1].count", "input[1].leaves[1].name"]


def test_relative_paths_start_from_the_folder_of_the_file() -> None:
    tree, _ = read('path = "a"\nfolder = "/b"', base=Path("/etc/dicomnode"))
    assert tree is not None
    assert (tree.path, tree.folder) == (Path("/etc/dicomnode/a"), Path("/b"))


def test_a_problem_says_place_value_expectation_and_hint() -> None:
    problem = Problem(
        key="receive.port", value="x", expected="a whole number", hint="Do so.", file="f.toml", line=3
    )
    assert str(problem) == 'f.toml:3: receive.port: expected a whole number, found "x". Do so.'
    assert (
        str(Problem(key="a.b", value=None, expected="some text")) == "a.b: expected some text, found nothing."
    )


_TOML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.__dataclass_fields__)) | st.text(max_size=6),
        _TOML
        | st.dictionaries(st.sampled_from(["port", "name", "path", "objects", "ae_title", "url"]), _TOML)
        | st.lists(st.dictionaries(st.sampled_from(["name", "host", "ae_title", "port"]), _TOML), max_size=2),
        max_size=5,
    )
)
def test_whatever_stands_in_the_file_gives_settings_or_problems(table: dict[str, Any]) -> None:
    settings, problems = read_table(Settings, table, "")
    assert (settings is None) == bool(problems)
    for problem in problems:
        assert problem.expected
        assert str(problem)
