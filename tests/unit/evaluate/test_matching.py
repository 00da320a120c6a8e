"""Which candidate hits what: the rule in words, and the same rule as plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate import Matching, match_candidates

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Known:
    centre_lps_mm: Point
    diameter_mm: float = 10.0
    ignore: bool = False


def _at(x: float, score: float = 0.9) -> tuple[Point, float]:
    return ((x, 0.0, 0.0), score)


HERE = Known((0.0, 0.0, 0.0))

CASES = {
    # name: found, truth, hits (found, truth), misses, false positives, repeats, ignored
    "nothing found, nothing there": ([], [], [], [], [], [], []),
    "nothing found": ([], [HERE], [], [0], [], [], []),
    "nothing there": ([_at(0)], [], [], [], [0], [], []),
    "in the middle": ([_at(0)], [HERE], [(0, 0)], [], [], [], []),
    "at the very edge": ([_at(5.0)], [HERE], [(0, 0)], [], [], [], []),
    "just outside": ([_at(5.001)], [HERE], [], [0], [0], [], []),
    "a small one counts within 3 mm": (
        [_at(3.0)],
        [Known((0.0, 0.0, 0.0), 3.0)],
        [(0, 0)],
        [],
        [],
        [],
        [],
    ),
    "a small one does not count beyond 3 mm": (
        [_at(3.01)],
        [Known((0.0, 0.0, 0.0), 3.0)],
        [],
        [0],
        [0],
        [],
        [],
    ),
    "the best score of several is the hit, the others no false positives": (
        [_at(0, 0.5), _at(2, 0.8), _at(-1, 0.6)],
        [HERE],
        [(1, 0)],
        [],
        [],
        [0, 2],
        [],
    ),
    "of equal scores the nearer": ([_at(3, 0.5), _at(1, 0.5)], [HERE], [(1, 0)], [], [], [0], []),
    "of equal scores and distances the first": ([_at(2), _at(-2)], [HERE], [(0, 0)], [], [], [1], []),
    "one candidate in two findings hits both": (
        [_at(4)],
        [HERE, Known((8.0, 0.0, 0.0))],
        [(0, 0), (0, 1)],
        [],
        [],
        [],
        [],
    ),
    "what is to be ignored is neither hit nor missed": (
        [_at(0)],
        [Known((0.0, 0.0, 0.0), ignore=True)],
        [],
        [],
        [],
        [],
        [0],
    ),
    "not found and to be ignored": ([], [Known((0.0, 0.0, 0.0), ignore=True)], [], [], [], [], []),
    "a candidate on a finding and on one to be ignored is a hit": (
        [_at(4)],
        [HERE, Known((8.0, 0.0, 0.0), ignore=True)],
        [(0, 0)],
        [],
        [],
        [],
        [],
    ),
    "two findings, one found, one false": (
        [_at(50), _at(101)],
        [HERE, Known((100.0, 0.0, 0.0))],
        [(1, 1)],
        [0],
        [0],
        [],
        [],
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_matching(name: str) -> None:
    found, truth, hits, misses, false_positives, repeats, ignored = CASES[name]
    result = match_candidates(found, truth)
    assert [(hit.found, hit.truth) for hit in result.hits] == hits
    assert list(result.misses) == misses
    assert list(result.false_positives) == false_positives
    assert list(result.repeats) == repeats
    assert list(result.ignored) == ignored


def test_distance_and_score_are_those_of_the_hit() -> None:
    (hit,) = match_candidates([((1.0, 2.0, 2.0), 0.75)], [HERE]).hits
    assert hit.distance_mm == pytest.approx(3.0)
    assert hit.score == 0.75


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [([], [], None), ([], [HERE], 0.0), ([_at(0)], [HERE, Known((90.0, 0.0, 0.0))], 0.5)],
)
def test_sensitivity(found: list, truth: list, expected: float | None) -> None:
    assert match_candidates(found, truth).sensitivity == expected


points = st.tuples(*[st.floats(-20, 20)] * 3)
candidates = st.lists(st.tuples(points, st.sampled_from([0.1, 0.5, 0.9])), max_size=8)
findings = st.lists(st.builds(Known, points, st.floats(1, 25), st.booleans()), max_size=5)


def _near(centre: Point, known: Known) -> bool:
    return math.dist(centre, known.centre_lps_mm) <= max(known.diameter_mm / 2, 3.0)


def _plainly(found: list[tuple[Point, float]], truth: list[Known]) -> tuple[set, set, set, set]:
    found_ones, missed, false, ignored = set(), set(), set(), set()
    for t, known in enumerate(truth):
        if not known.ignore:
            (found_ones if any(_near(centre, known) for centre, _ in found) else missed).add(t)
    for n, (centre, _) in enumerate(found):
        on = [known for known in truth if _near(centre, known)]
        if not on:
            false.add(n)
        elif all(known.ignore for known in on):
            ignored.add(n)
    return found_ones, missed, false, ignored


@given(candidates, findings)
def test_matching_is_what_plain_loops_say(found: list[tuple[Point, float]], truth: list[Known]) -> None:
    result: Matching = match_candidates(found, truth)
    hit, missed, false, ignored = _plainly(found, truth)
    assert {h.truth for h in result.hits} == hit
    assert set(result.misses) == missed
    assert set(result.false_positives) == false
    assert set(result.ignored) == ignored
    for h in result.hits:
        assert _near(found[h.found][0], truth[h.truth])
        best = max(score for centre, score in found if _near(centre, truth[h.truth]))
        assert h.score == best


@given(candidates, findings)
def test_every_candidate_is_counted_once(found: list[tuple[Point, float]], truth: list[Known]) -> None:
    result = match_candidates(found, truth)
    places = [{h.found for h in result.hits}, set(result.false_positives), set(result.repeats)]
    places.append(set(result.ignored))
    assert sorted(n for place in places for n in place) == list(range(len(found)))
