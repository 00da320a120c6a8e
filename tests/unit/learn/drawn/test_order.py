"""Orders: nobody is for two things, each recipe trains on patients of its own, a digest follows its parts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.classical import order as forest  # noqa: E402
from dicomnode.learn.drawn.order import (  # noqa: E402
    MOST_HELD_OUT,
    TRAINED_FROM,
    DrawnOrder,
    digest_of,
    require_within,
    seeds_from,
)
from dicomnode.learn.lungs import order as masks  # noqa: E402
from dicomnode.learn.planted import order as nodules  # noqa: E402
from dicomnode.learn.views import order as views  # noqa: E402
from dicomnode.phantom.suite import RESERVED_SEEDS  # noqa: E402

ORDER = DrawnOrder(
    out=Path("engines/mine"),
    run=Path("engines/mine.training"),
    title="Mine",
    version="1.0.0",
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_recipes_of_chest_ct_train_on_patients_of_their_own_whatever_their_seed() -> None:
    ranges = [
        (one.TRAINED_FROM, one.TRAINED_FROM + (one.MOST_SEED + 1) * one.MOST_WORLDS)
        for one in (nodules, masks, forest)
    ]
    ranges.append((views.TRAINED_FROM, views.TRAINED_FROM + views.MOST_PATIENTS))
    assert all(before[1] <= after[0] for before, after in pairwise(sorted(ranges)))


def test_those_who_are_held_out_are_not_trained_on_and_not_of_the_suite() -> None:
    seeds = seeds_from(TRAINED_FROM, 10, calibrated=MOST_HELD_OUT, judged=MOST_HELD_OUT)
    parts = [set(seeds.trained), set(seeds.calibrated), set(seeds.judged), set(RESERVED_SEEDS)]
    assert sum(map(len, parts)) == len(set().union(*parts))


@pytest.mark.parametrize(("first", "judged"), [(140_000, 1), (199_999, 1), (TRAINED_FROM, MOST_HELD_OUT + 1)])
def test_patients_who_would_be_for_two_things_are_refused(first: int, judged: int) -> None:
    with pytest.raises((ValueError, NodeError)):
        seeds_from(first, 5, judged=judged)


@pytest.mark.parametrize(("name", "limits"), [("seed", (1, 2)), ("threads", (0, 0))])
def test_a_field_outside_of_its_limits_is_named(name: str, limits: tuple[int, int]) -> None:
    order = DrawnOrder(out=ORDER.out, run=ORDER.run, title="", version="", made_at=ORDER.made_at, threads=0)
    with pytest.raises(ValueError, match=r"Order\.(seed|threads) must be from 1"):
        require_within(order, {name: limits})


def test_a_digest_follows_each_of_its_parts() -> None:
    assert digest_of(1, "a", (2,)) == digest_of(1, "a", (2,))
    assert len({digest_of(1, "a"), digest_of(2, "a"), digest_of(1, "b"), digest_of(1)}) == 4
