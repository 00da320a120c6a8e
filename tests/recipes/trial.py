"""One recipe from nothing: the commands of its head on drawn studies; does it beat who never looks?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomnode.learn.recipes import Shelved
from tests.recipes.blind import AREA, blind_figures
from tests.recipes.heads import drawn_commands, option, with_option

Run = Callable[[list[str]], Mapping[str, Any]]
"""Runs a command in the folder of the trial and returns the object that it prints with --json."""

_COUNTS = ("area under the ROC curve", "Dice ", "mean absolute error", "sensitivity by lesion")


@dataclass(frozen=True)
class Row:
    """A figure of the test part. blind: of who never looks; smaller: whether less is better."""

    recipe: str
    cases: int
    epochs: int
    seconds: float
    figure: str
    value: float
    low: float
    high: float
    blind: float

    @property
    def better(self) -> bool:
        """Whether the whole interval is on the good side of it."""
        return self.high < self.blind if "error" in self.figure else self.low > self.blind


def try_recipe(recipe: Shelved, folder: Path, run: Run, *, cases: int | None, threads: int) -> list[Row]:
    """Draw, train, evaluate as the head says, in `folder`. cases: others than the head has."""
    synth, train, evaluate = drawn_commands(recipe)
    if cases is not None:
        synth = with_option(synth, "--cases", cases)
    begun = time.monotonic()
    run(synth)
    trained = run([*train, "--threads", str(threads)])
    if not trained["gate_passed"]:
        raise AssertionError(f"{recipe.name} {recipe.task}: the engine does not pass its gate")
    run(evaluate)
    seconds = time.monotonic() - begun
    engine, data = folder / (option(train, "--out") or ""), folder / (option(train, "--data") or "")
    alarms = [one["value"] or 0.0 for one in trained["held_out"] if one["name"] == "false alarms a study"]
    blind = blind_figures(recipe.task, engine, data, train, sum(alarms))
    rows = [
        Row(
            f"{recipe.name} {recipe.task}",
            sum(one["cases"] for one in trained["parts"]),
            trained["epochs"],
            seconds,
            one["name"],
            *(float("nan") if one[key] is None else one[key] for key in ("value", "low", "high")),
            AREA if one["name"].startswith("area") else blind[one["name"]],
        )
        for one in trained["held_out"]
        if one["name"].startswith(_COUNTS)
    ]
    if not rows:
        raise AssertionError(f"{recipe.name} {recipe.task}: no figure of its test part")
    return rows
