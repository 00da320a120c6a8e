"""Orders: nobody is for two things, and a digest follows its parts."""

from __future__ import annotations

import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.drawn.order import MOST_HELD_OUT, TRAINED_FROM, digest_of, seeds_from
from dicomnode.phantom.suite import RESERVED_SEEDS


def test_those_who_are_held_out_are_not_trained_on_and_not_of_the_suite() -> None:
    seeds = seeds_from(TRAINED_FROM, 10, calibrated=MOST_HELD_OUT, judged=MOST_HELD_OUT)
    parts = [set(seeds.trained), set(seeds.calibrated), set(seeds.judged), set(RESERVED_SEEDS)]
    assert sum(map(len, parts)) == len(set().union(*parts))


@pytest.mark.parametrize(("first", "judged"), [(140_000, 1), (199_999, 1), (TRAINED_FROM, MOST_HELD_OUT + 1)])
def test_patients_who_would_be_for_two_things_are_refused(first: int, judged: int) -> None:
    with pytest.raises((ValueError, NodeError)):
        seeds_from(first, 5, judged=judged)


def test_a_digest_follows_each_of_its_parts() -> None:
    assert digest_of(1, "a", (2,)) == digest_of(1, "a", (2,))
    assert len({digest_of(1, "a"), digest_of(2, "a"), digest_of(1, "b"), digest_of(1)}) == 4
