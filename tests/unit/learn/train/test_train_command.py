"""`dicomnode train`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from PIL import Image

from dicomnode.cli.app import app, main

from .small_data import write_study

QUICK = ["--epochs", "1", "--threads", "1", "--network", "unet", "--device", "cpu"]
QUICK += [word for key in ("steps=2", "width=4", "levels=2") for word in ("--set", key)]

TASKS = ["segment", "detect", "classify", "regress", "anomaly", "multitask"]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    for seed in range(5):
        write_study(folder, seed)
    return folder


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, words)])
    return int(ended.value.code or 0)


def test_it_trains_and_prints_one_object(studies: Path, tmp_path: Path, capsys) -> None:
    split = tmp_path / "split.json"
    code = run("segment", "--data", studies, "--out", tmp_path / "organ", "--split", split, *QUICK, "--json")
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["schema"] == 1
    assert document["gate_passed"]
    assert [one["part"] for one in document["parts"]] == ["train", "validation", "test"]
    assert all(one["synthetic"] == one["cases"] for one in document["parts"])  # phantoms all
    assert sum(one["patients"] for one in document["parts"]) == 5
    assert document["held_out"][0]["name"] == "Dice liver"
    assert (tmp_path / "organ" / "engine.toml").is_file()
    assert split.is_file()
    assert run("segment", "--data", studies, "--out", tmp_path / "organ", *QUICK, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "DN-4204"


def test_a_preview_is_a_picture_and_trains_nothing(studies: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["--data", studies, "--out", tmp_path / "organ", "--split", tmp_path / "s.json", *QUICK]
    assert run("segment", *words, "--preview", sheet) == 0
    with Image.open(sheet) as picture:
        assert picture.size[0] > 6 * 100
    assert not (tmp_path / "organ").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "epoch=3"], 2, 'Did you mean "epochs"?'),
        (["--set", "epochs"], 2, "KEY=VALUE"),
        (["--structure", "spleen"], 3, "Outlined are: liver"),
        (["--init", "no-such-engine"], 2, "DN-7107"),
        (["--threads", "-1"], 2, "--threads"),
        (["--compare-init"], 2, "--init, which is not given"),
    ],
)
def test_what_cannot_be_is_told_in_words(
    studies: Path, tmp_path: Path, capsys, words: list[str], code: int, said: str
) -> None:
    split = tmp_path / "split.json"
    assert (
        run("segment", "--data", studies, "--out", tmp_path / "x", "--split", split, *QUICK, *words) == code
    )
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_search_trains_the_recipe_that_did_best(studies: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    words = ["--data", studies, "--out", tmp_path / "best", "--split", tmp_path / "s.json", *QUICK]
    assert run("segment", *words, "--search", "3", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    scores = []
    for folder in (tmp_path / "best.training").glob("trial-*"):
        from dicomnode.learn.train.run_folder import torch

        scores.append(torch.load(folder / "state.pt", weights_only=True)["state"]["best_score"])
    assert len(scores) == 3
    assert document["score"]["value"] == max(scores)


@pytest.mark.parametrize("task", TASKS)
def test_help_says_what_it_needs_and_how_it_ends(task: str, capsys) -> None:
    assert run(task, "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Needs:" in said
    assert "EXIT STATUS:" in said


def test_tasks_share_their_options_word_for_word() -> None:
    """--out first, then what a task has of its own, then the shared ones in one order."""
    group = typer.main.get_command(app).commands["train"].commands
    shared = {one.name: one for one in group["segment"].params if one.name != "structure"}
    for task in TASKS:
        params = group[task].params
        kept = [one for one in params if one.name in shared]
        assert [one.name for one in kept] == list(shared), task
        for one in kept:
            other = shared[one.name]
            assert (one.opts, one.help, one.default) == (other.opts, other.help, other.default), task
        own = [one for one in params if one.name not in {*shared, "help"}]
        assert params[: 1 + len(own)] == [kept[0], *own], task


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--number", "age=a"], "fewer than two"),
        (["--column", "age", "--number", "age=a"], "asked twice"),
        (["--column", "x", "--number", "age=a year"], "a unit of UCUM"),
    ],
)
def test_questions_that_cannot_be_are_refused_before_anything_is_read(
    studies: Path, tmp_path: Path, capsys, words: list[str], said: str
) -> None:
    assert run("multitask", "--data", studies, "--out", tmp_path / "x", *words, *QUICK) == 2
    assert said in capsys.readouterr().err
