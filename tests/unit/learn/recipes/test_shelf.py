"""Recipes that ship: found by name and task, readable, and each says for whom it is."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from dicomnode.cli.app import main
from dicomnode.faults import RECIPE_UNKNOWN, RECIPE_WRONG, NodeError
from dicomnode.learn.recipes import Shelved, shelved
from dicomnode.learn.train.recipe import read_recipe
from tests.recipes.heads import drawn_commands, not_shown, option, own_commands

ALL = shelved()
NAMES = [f"{one.name}/{one.task}" for one in ALL]
PARTS = {
    "brain-mr": {"classify", "regress", "segment"},
    "chest-ct": {"detect"},
    "chest-xray": {"anomaly", "classify"},
    "ct-organs": {"segment"},
    "fundus": {"classify", "regress", "segment"},
    "mammography": {"classify", "segment"},
    "skin": {"classify", "segment"},
    "ultrasound": {"classify", "segment"},
}


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, words)])
    return int(ended.value.code or 0)


def test_every_part_of_the_body_that_was_promised_has_its_tasks() -> None:
    there: dict[str, set[str]] = {}
    for one in ALL:
        there.setdefault(one.name, set()).add(one.task)
    assert there == PARTS


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_a_recipe_is_read_by_its_name_and_written_again_as_itself(one: Shelved, tmp_path: Path) -> None:
    recipe = read_recipe(Path(one.name), one.task, {})  # type: ignore[arg-type]
    assert recipe.about == one.about
    assert recipe.net == one.network
    copy = tmp_path / "recipe.toml"
    copy.write_text(recipe.text)
    assert read_recipe(copy, one.task, {}) == recipe  # type: ignore[arg-type]


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_its_head_says_for_whom_it_is_what_to_expect_and_where_it_fails(one: Shelved) -> None:
    head = one.text.partition("\nschema = 1\n")[0]
    for word in ("For whom", "Why so", "Expect", "Fails"):
        assert f"# {word}: " in head
    assert all(len(line) <= 110 for line in one.text.splitlines())
    assert head.splitlines()[0] == f"# {one.about.title}."


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_its_commands_are_of_its_own_name_and_task(one: Shelved) -> None:
    train, judge = own_commands(one)
    synth, drawn, drawn_judge = drawn_commands(one)
    assert synth[0] == "synth"
    for words in (train, drawn):
        assert words[:4] == ["train", one.task, "--recipe", one.name]
    for trained, judged in ((train, judge), (drawn, drawn_judge)):
        assert judged[:2] == ["evaluate", option(trained, "--out")]
        assert option(judged, "--part") == "test"
    assert option(train, "--column") is None or option(train, "--labels") is not None


def test_what_drawn_studies_do_not_show_the_head_says_in_one_line() -> None:
    silent = {f"{one.name}/{one.task}": not_shown(one) for one in ALL}
    assert {name for name, reason in silent.items() if reason} == {"brain-mr/classify"}
    assert silent["brain-mr/classify"].endswith(".")


def test_what_a_recipe_says_in_words_decides_nothing() -> None:
    recipe = read_recipe(Path("fundus"), "classify", {})
    told = read_recipe(Path("fundus"), "classify", {"about.title": "Another"})
    other = read_recipe(Path("fundus"), "classify", {"epochs": 3})
    assert told.about is not None
    assert told.about.title == "Another"
    assert told.digest == recipe.digest != other.digest


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("fundos", "classify", 'Did you mean "fundus"?'),
        ("horses", "classify", "There are: brain-mr"),
        ("skin", "detect", "for skin there are: classify, segment"),
    ],
)
def test_a_name_that_is_none_is_told_with_those_that_are(name: str, task: str, said: str) -> None:
    with pytest.raises(NodeError) as caught:
        read_recipe(Path(name), task, {})  # type: ignore[arg-type]
    assert caught.value.fault is RECIPE_UNKNOWN
    assert said in str(caught.value)


def test_a_file_comes_before_a_name_and_a_path_is_never_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("skin").write_text('task = "classify"\nepochs = 7\n')
    assert read_recipe(Path("skin"), "classify", {}).epochs == 7
    with pytest.raises(NodeError) as caught:
        read_recipe(Path("fundus.toml"), "classify", {})
    assert caught.value.fault is RECIPE_WRONG


def test_they_are_listed_with_what_they_need_and_printed_as_they_are(capsys) -> None:
    assert run("recipes", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(one["recipe"], one["task"]) for one in document["recipes"]] == [(o.name, o.task) for o in ALL]
    assert all(one["images"] and one["labels"] and one["why"] for one in document["recipes"])
    assert run("recipes") == 0
    table = capsys.readouterr().out
    assert all(one.name in table for one in ALL)
    assert len(table.splitlines()) < 60  # a screen or two; the heads have the rest
    assert run("recipes", "skin", "--task", "segment") == 0
    assert capsys.readouterr().out == next(o.text for o in ALL if (o.name, o.task) == ("skin", "segment"))
    assert run("recipes", "horses") == 2
    assert "DN-7120" in capsys.readouterr().err


def test_listing_them_needs_no_torch() -> None:
    code = (
        "import sys; from dicomnode.cli.app import main\n"
        "try: main(['train', 'recipes', '--json'])\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert not {'torch', 'monai', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_they_lie_within_the_package() -> None:
    folder = resources.files("dicomnode.learn.recipes")
    for one in ALL:
        assert folder.joinpath(one.name, f"{one.task}.toml").is_file()
