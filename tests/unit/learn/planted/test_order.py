"""Orders: patients that are judged on are never trained on, and what the weights follow from is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.planted.order import MOST_SEED, MOST_WORLDS, Order  # noqa: E402
from dicomnode.phantom.suite import RESERVED_SEEDS  # noqa: E402

ORDER = Order(
    out=Path("engines/mine"),
    run=Path("engines/mine.training"),
    title="Mine",
    version="1.0.0",
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
)


@pytest.mark.parametrize(("seed", "worlds"), [(0, 1), (0, MOST_WORLDS), (1, 80), (MOST_SEED, MOST_WORLDS)])
def test_nobody_is_trained_and_judged_on_or_of_the_suite(seed: int, worlds: int) -> None:
    seeds = replace(ORDER, seed=seed, worlds=worlds, judged=100).seeds
    parts = [set(seeds.trained), set(seeds.calibrated), set(seeds.judged), set(RESERVED_SEEDS)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert len(seeds.trained) == worlds


def test_two_seeds_train_on_other_patients() -> None:
    one, other = (set(replace(ORDER, seed=seed, worlds=MOST_WORLDS).seeds.trained) for seed in (0, 1))
    assert not one & other


def test_the_digest_follows_what_the_weights_follow() -> None:
    digest = ORDER.digest([])
    others = {
        replace(ORDER, seed=1).digest([]),
        replace(ORDER, steps=100).digest([]),
        replace(ORDER, worlds=9).digest([]),
        replace(ORDER, batch=9).digest([]),
        replace(ORDER, mine=False).digest([]),
        ORDER.digest(["a scan"]),
    }
    assert len(others) == 6
    assert digest not in others
    same = replace(ORDER, workers=2, threads=4, resume=True, out=Path("elsewhere"), title="Other")
    assert same.digest([]) == digest


def test_mistakes_are_looked_for_three_times_on_the_way() -> None:
    assert replace(ORDER, steps=1000).course.mine == (350, 600, 800)
    assert replace(ORDER, mine=False).course.mine == ()
    assert all(0 < step < 2 for step in replace(ORDER, steps=2).course.mine)


@pytest.mark.parametrize("wrong", [{"worlds": 0}, {"steps": 0}, {"seed": -1}, {"batch": 0}, {"workers": -1}])
def test_what_cannot_be_is_named(wrong: dict) -> None:
    [name] = wrong
    with pytest.raises(ValueError, match=f"Order.{name}"):
        replace(ORDER, **wrong)
