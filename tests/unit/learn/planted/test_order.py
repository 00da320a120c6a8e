"""Orders: patients that are judged on are never trained on, and what the weights follow from is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.planted.order import MOST_WORLDS, Order  # noqa: E402
from tests.unit.learn.drawn.trainings import asked  # noqa: E402

ORDER = asked(Order, Path("engines"))


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
