"""Recipes: one right default for each key, every problem at once, the same again from their own text."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.faults import RECIPE_WRONG, NodeError
from dicomnode.learn.train.recipe import read_recipe


def problems_of(error: NodeError) -> str:
    return "\n".join(str(one) for one in error.values["problems"])


@pytest.mark.parametrize("task", ["segment", "classify", "regress", "detect"])
def test_every_task_has_a_recipe_without_a_file(task: str) -> None:
    recipe = read_recipe(None, task, {})
    assert recipe.task == task
    assert (recipe.net == "residual_unet") == (task in {"segment", "detect"})


def test_the_text_of_a_recipe_is_read_back_as_the_same_recipe(tmp_path: Path) -> None:
    given = {"patch_kji": [8, 16, 16], "augmentation.flip": ["k", "i"], "loss": "focal", "seed": 7}
    recipe = read_recipe(None, "segment", given)
    (tmp_path / "recipe.toml").write_text(recipe.text)
    again = read_recipe(tmp_path / "recipe.toml", "segment", {})
    assert again == recipe
    assert again.digest == recipe.digest


def test_weights_of_questions_are_read_and_kept(tmp_path: Path) -> None:
    recipe = read_recipe(None, "multitask", {"loss_weights.age": 2, "loss_weights.map": 0.5})
    (tmp_path / "recipe.toml").write_text(recipe.text)
    assert read_recipe(tmp_path / "recipe.toml", "multitask", {}) == recipe
    assert recipe.loss_weights == {"age": 2.0, "map": 0.5}
    assert "loss_weights" not in read_recipe(None, "multitask", {}).text


def test_options_come_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('task = "segment"\nepochs = 5\nseed = 2\n')
    recipe = read_recipe(tmp_path / "recipe.toml", "segment", {"epochs": 9})
    assert (recipe.epochs, recipe.seed) == (9, 2)


def test_a_task_has_what_is_usual_in_it_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    assert [read_recipe(None, task, {}).batch for task in ("segment", "classify", "anomaly")] == [2, 8, 8]
    assert read_recipe(None, "classify", {"batch": 3}).batch == 3
    (tmp_path / "recipe.toml").write_text("batch = 5\n[augmentation]\nscale_percent = 7.0\n")
    recipe = read_recipe(tmp_path / "recipe.toml", "anomaly", {"augmentation.noise_sd": 0.2})
    how = recipe.augmentation
    assert (recipe.batch, how.scale_percent, how.rotate_degrees, how.noise_sd) == (5, 7.0, 0.0, 0.2)
    with pytest.raises(NodeError):
        read_recipe(None, "anomaly", {"augmentation": 3})


@pytest.mark.parametrize("task", ["segment", "detect", "classify", "regress", "anomaly"])
def test_the_recipe_of_a_package_is_read_again_as_it_was(task: str, tmp_path: Path) -> None:
    recipe = read_recipe(None, task, {"augmentation.flip": ["j"]})
    (tmp_path / "recipe.toml").write_text(recipe.text)
    assert read_recipe(tmp_path / "recipe.toml", task, {}) == recipe


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(NodeError) as caught:
        read_recipe(None, "segment", {"learning_rat": 0.1, "augmentation.nois_sd": 1.0, "epochs": 0})
    assert caught.value.fault is RECIPE_WRONG
    told = problems_of(caught.value)
    assert 'Did you mean "learning_rate"?' in told
    assert 'Did you mean "noise_sd"?' in told
    assert "epochs" in told


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("segment", {"network": "densenet121"}, "network"),
        ("classify", {"network": "unet"}, "network"),
        ("segment", {"validate_part": 0.6, "test_part": 0.5}, "test_part"),
        ("segment", {"task": "classify"}, "as the command says"),
        ("segment", {"loss_weights.liver": 2.0}, "none, for segment"),
        ("multitask", {"loss_weights.liver": 0.0}, "numbers above 0"),
        ("multitask", {"network": "unet"}, "network"),
        ("segment", {"folds": 1}, "folds"),
        ("segment", {"learning_rate": float("nan")}, "learning_rate"),
        ("segment", {"learning_rate": 1e38}, "at most 10"),
        ("classify", {"network": "resnet18", "batch": 1}, "means over a step"),
    ],
    ids=[
        "no map",
        "no row",
        "too much held out",
        "another task",
        "weights of one question",
        "a weight of nothing",
        "no rows",
        "one fold",
        "not a number",
        "too fast",
        "a step of one",
    ],
)
def test_what_does_not_go_together_is_refused(task: str, given: dict, said: str) -> None:
    with pytest.raises(NodeError) as caught:
        read_recipe(None, task, given)
    assert said in problems_of(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"epochs = = 3"], ids=["no text", "no TOML"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(NodeError) as caught:
        read_recipe(tmp_path / "recipe.toml", "segment", {})
    assert caught.value.fault is RECIPE_WRONG


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        read_recipe(tmp_path / "none.toml", "segment", {})
    assert "none.toml" in problems_of(caught.value)
