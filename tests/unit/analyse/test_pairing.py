"""Lesions of two studies find each other, whatever their order; none gets a partner that is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.analyse.pairing import Lesion, pair
from dicomnode.analyse.register import Registration
from dicomnode.values import Code
from dicomnode.values.codes import LEFT, RIGHT

NODULE = Code("27925004", "SCT", "Nodule")
CYST = Code("441457006", "SCT", "Cyst")
LUNG = Code("39607008", "SCT", "Lung")
LIVER = Code("10200004", "SCT", "Liver")


def lesion(x: float, y: float = 0.0, z: float = 0.0, mm3: float | None = 500.0, **more: object) -> Lesion:
    facts: dict[str, object] = {"label": f"at {x:g}", "type": NODULE, "volume_mm3": mm3, **more}
    return Lesion(centre_lps_mm=(x, y, z), **facts)  # type: ignore[arg-type]


numbers = st.floats(-100.0, 100.0, allow_nan=False)
lesions = st.lists(st.builds(lesion, numbers, numbers, numbers, st.floats(20.0, 30_000.0)), max_size=6)


def named(now: list[Lesion], then: list[Lesion]) -> set[tuple[Lesion, Lesion]]:
    return {(now[a], then[b]) for a, b in pair(now, then).items()}


@given(now=lesions, then=lesions, order=st.randoms(use_true_random=False))
def test_the_order_of_the_lesions_changes_no_pair(now: list[Lesion], then: list[Lesion], order) -> None:  # type: ignore[no-untyped-def]
    pairs = named(now, then)
    order.shuffle(now)
    order.shuffle(then)
    assert named(now, then) == pairs


@given(now=lesions, then=lesions)
def test_pairs_are_one_to_one_and_lie_near_each_other(now: list[Lesion], then: list[Lesion]) -> None:
    pairs = pair(now, then)
    assert len(set(pairs.values())) == len(pairs)
    for a, b in pairs.items():
        apart = np.linalg.norm(np.subtract(now[a].centre_lps_mm, then[b].centre_lps_mm))
        assert apart <= max(10.0, (now[a].diameter_mm + then[b].diameter_mm) / 2.0)


@given(now=lesions, degrees=st.floats(-15.0, 15.0), shift=st.tuples(numbers, numbers, numbers))
def test_a_patient_who_lay_otherwise_has_the_same_pairs(
    now: list[Lesion], degrees: float, shift: tuple[float, float, float]
) -> None:
    angle = np.radians(degrees)
    there = np.eye(4)
    there[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    there[:3, 3] = shift
    back = Registration(
        kind="rigid", moved_lps=np.linalg.inv(there), error_mm=0.0, overlap=1.0, information=1.0
    )
    then = []
    for one in now:
        x, y, z = (there @ (*one.centre_lps_mm, 1.0))[:3]
        then.append(replace(one, centre_lps_mm=back.point((float(x), float(y), float(z)))))
    assert all(
        now[a].centre_lps_mm == pytest.approx(then[b].centre_lps_mm, abs=1e-6)
        for a, b in pair(now, then).items()
    )
    assert len(pair(now, then)) == len(now)


def test_two_close_nodules_are_not_swapped() -> None:
    """Each lies nearer to the other one's place than 10 mm, and a little off its own."""
    now = [lesion(0.0), lesion(6.0)]
    then = [lesion(7.5), lesion(2.5)]
    assert pair(now, then) == {0: 1, 1: 0}


def test_the_nearest_is_left_to_the_other_one_where_both_lie_better_so() -> None:
    """One after the other, the first would take what the second needs."""
    now = [lesion(0.0), lesion(8.0)]
    then = [lesion(4.5), lesion(-4.0)]
    assert pair(now, then) == {0: 1, 1: 0}


def test_no_pair_is_moved_on_so_that_another_lesion_has_a_partner() -> None:
    """One stayed where it was, one is new beside it, one beyond it went: not all of them moved by 9 mm."""
    now = [lesion(0.0), lesion(9.0)]
    then = [lesion(-9.0), lesion(0.3)]
    assert pair(now, then) == {0: 1}


@pytest.mark.parametrize(
    ("apart_mm", "mm3", "paired"),
    [
        (9.9, 500.0, True),
        (10.1, 500.0, False),  # 9.8 mm across
        (24.0, 8181.0, True),  # 25 mm across
        (25.5, 8181.0, False),
        (9.9, None, True),
        (10.1, None, False),
    ],
)
def test_a_pair_lies_within_10_mm_or_the_diameter(apart_mm: float, mm3: float | None, paired: bool) -> None:
    assert pair([lesion(0.0, mm3=mm3)], [lesion(apart_mm, mm3=mm3)]) == ({0: 0} if paired else {})


@pytest.mark.parametrize(
    ("now", "then", "paired"),
    [
        ({}, {"type": CYST}, False),
        ({"laterality": LEFT}, {"laterality": RIGHT}, False),
        ({"laterality": LEFT}, {"laterality": LEFT}, True),
        ({"laterality": LEFT}, {}, True),  # not known of one
        ({"site": LUNG}, {"site": LIVER}, False),
        ({}, {"site": LIVER}, True),
    ],
)
def test_a_pair_is_of_one_kind_in_one_place(now: dict, then: dict, paired: bool) -> None:  # type: ignore[type-arg]
    assert pair([lesion(0.0, **now)], [lesion(1.0, **then)]) == ({0: 0} if paired else {})


def test_nothing_has_no_pairs() -> None:
    assert pair([], []) == pair([lesion(0.0)], []) == pair([], [lesion(0.0)]) == {}
