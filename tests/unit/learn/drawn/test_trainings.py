"""What holds of every training of drawn patients: its order, whom it learns from, and its command."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.drawn.order import CALIBRATED_FROM, JUDGED_FROM, TRAINED_FROM  # noqa: E402
from dicomnode.phantom.suite import RESERVED_SEEDS  # noqa: E402
from tests.unit.learn.drawn.trainings import EVERY, asked, nobody_is_for_two_things, train  # noqa: E402

TASKS = sorted(EVERY)
WIDEST = ("worlds", "patients", "chests", "calibrated", "judged", "usual")
NOWHERE = Path("nowhere")
SHARED = {"lung-forest", "lung-patterns"}  # neither sees what the other one finds
DIGESTS = {
    "lung-forest": "ce1cca0df49131c7f75943fe6da7711524737426a4e28c9efb91b9d5b481174b",
    "lung-patterns": "8356978f2f51aed41f1489a821d7f432e748f20e0f1b525fa64184cc15a37263",
    "view-check": "2164ccbd8ea69cc93e9d074b1fa38954991d6b3bbe81998fc9f7b5c15037c8a2",
    "lung-masks": "daa8f757b532ed2c343ad028f97aac33c32d3e13e8c252507d39fb915cafeb24",
    "lung-nodules": "63de49889cf429b74aeb7192729e861ec3a12ae781b9cd858c3acdd3a6d15558",
}


def widest(task: str, seed: int):
    form = EVERY[task]
    return asked(
        form, NOWHERE, seed=seed, **{name: form.limits[name][1] for name in WIDEST if name in form.limits}
    )


def limits() -> list[tuple[str, str, float]]:
    return [
        (task, name, wrong)
        for task in TASKS
        for name, (least, most) in {**EVERY[task].limits, "workers": (0, 64), "threads": (1, 1024)}.items()
        for wrong in (least - 1, most + 1)
    ]


@pytest.mark.parametrize(("task", "name", "wrong"), limits())
def test_what_lies_outside_of_its_limits_is_named_and_not_begun(task: str, name: str, wrong: float) -> None:
    least, most = {**EVERY[task].limits, "workers": (0, 64), "threads": (1, 1024)}[name]
    with pytest.raises(ValueError, match=f"^Order.{name} must be from {least} to {most}, got {wrong}$"):
        asked(EVERY[task], NOWHERE, **{name: wrong})


@pytest.mark.parametrize("task", TASKS)
def test_nobody_is_for_two_things_and_nobody_of_the_suite_for_any(task: str) -> None:
    for seed in EVERY[task].limits["seed"]:
        seeds = widest(task, int(seed)).seeds
        assert nobody_is_for_two_things(seeds, range(min(RESERVED_SEEDS), max(RESERVED_SEEDS) + 1))
        assert seeds.trained.start >= TRAINED_FROM
        assert (seeds.calibrated.start, seeds.judged.start) == (CALIBRATED_FROM, JUDGED_FROM)


def test_each_trains_on_patients_of_its_own_whatever_its_seed() -> None:
    """But two, and the films of seeds from 1 on: nobody learns from what these find."""
    ranges = {}
    for task in set(TASKS) - {"view-check"}:
        low, high = (widest(task, int(seed)).seeds.trained for seed in EVERY[task].limits["seed"])
        ranges[task] = (low.start, high.stop)
    assert len({ranges[task] for task in SHARED}) == 1
    ranges["view-check"] = (
        widest("view-check", 0).seeds.trained.start,
        widest("view-check", 0).seeds.trained.stop,
    )
    del ranges[min(SHARED)]
    assert all(before[1] <= after[0] for before, after in pairwise(sorted(ranges.values())))


def test_equal_orders_have_the_digests_that_they_always_had(monkeypatch) -> None:
    monkeypatch.setattr("dicomnode.learn.drawn.order.__version__", "0.1.0")
    orders = {task: asked(EVERY[task], NOWHERE) for task in DIGESTS}
    found = {task: one.digest(["x"]) if callable(one.digest) else one.digest for task, one in orders.items()}
    assert found == DIGESTS


@pytest.mark.parametrize("task", TASKS)
def test_its_options_are_fields_of_its_order_and_limited_ones_where_they_are_numbers(task: str) -> None:
    order = asked(EVERY[task], NOWHERE)
    for name in order.asked:
        value = getattr(order, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        assert (name in order.limits) == is_number, name


# ── The command ───────────────────────────────────────────────────────────────────────────────────
def engine(task: str, folder: Path) -> tuple[object, ...]:
    """Options without which a task cannot be asked for."""
    (folder / "finder").mkdir(exist_ok=True)
    return ("--engine", folder / "finder") if task == "lung-types" else ()


@pytest.mark.parametrize("task", TASKS)
def test_what_cannot_be_asked_for_is_usage_and_begins_nothing(task: str, tmp_path: Path, capsys) -> None:
    out = ("--out", tmp_path / "mine", *engine(task, tmp_path))
    most = int(EVERY[task].limits["seed"][1])
    assert train(task, *out, "--seed", most + 1, "--json") == 2
    assert f"--seed must be from 0 to {most}" in json.loads(capsys.readouterr().out)["error"]["text"]
    assert train(task, "--out", tmp_path / "no name", *engine(task, tmp_path)) == 2
    assert not (tmp_path / "mine.training").exists()


@pytest.mark.parametrize("task", TASKS)
def test_an_engine_makes_way_only_when_asked_and_what_is_none_never(
    task: str, tmp_path: Path, capsys
) -> None:
    out = ("--out", tmp_path / "mine", *engine(task, tmp_path), "--json")
    (tmp_path / "mine").mkdir()
    for words in ((), ("--replace",)):
        assert train(task, *out, *words) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "DN-4204"
    assert not (tmp_path / "mine.training").exists()


@pytest.mark.parametrize("task", TASKS)
def test_the_help_ends_with_the_exit_status(task: str, capsys) -> None:
    assert train(task, "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "EXIT STATUS: 0 trained" in said
    for name in (one for one in EVERY[task].asked if one != "mine"):
        assert f"--{name}" in said
