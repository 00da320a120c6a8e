"""Series that are not one even row: what is cut into blocks, and what is refused as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.assemble.blocks import JUMP_MM, MINIMUM_BLOCK, at_jumps, by_interval
from dicomnode.assemble.placing import Placement
from dicomnode.assemble.stacks import plan_series
from tests.unit.assemble.test_placing import at


def plans(*positions_z):
    return plan_series(at(*positions_z), lambda one, other: False).stacks


def evenly(start, step, count):
    return [start + step * n for n in range(count)]


CUT = {
    "chest and pelvis": ([*evenly(0, 5, 20), *evenly(397.5, 5, 12)], [20, 12], [5, 5]),
    "two beds of their own distance": ([*evenly(0, 1, 50), *evenly(149, 3, 20)], [50, 20], [1, 3]),
    "posterior fossa, then the head": (
        [*evenly(-30, 4, 10), *evenly(7.1, 7, 9)],
        [10, 9],
        [4, 7],
    ),
    "the distance changes at a slice": ([*evenly(0, 2.5, 8), *evenly(22.5, 5, 7)], [8, 7], [2.5, 5]),
    "three distances": (
        [*evenly(0, 1, 10), *evenly(11, 2, 10), *evenly(34, 5, 10)],
        [10, 10, 10],
        [1, 2, 5],
    ),
}


@pytest.mark.parametrize(("positions", "counts", "distances"), CUT.values(), ids=list(CUT))
def test_blocks_are_volumes_of_their_own_and_say_so(positions, counts, distances):
    stacks = sorted(plans(*positions), key=lambda stack: stack.headers[0].position_lps_mm[2])
    assert [len(stack.headers) for stack in stacks] == counts
    for number, (stack, distance) in enumerate(zip(stacks, distances, strict=True), start=1):
        assert isinstance(stack.placement, Placement)
        assert stack.placement.grid.slice_distance_mm == pytest.approx(distance)
        assert stack.block == (number, len(counts))
        (repair,) = stack.repairs
        assert repair.kind == "block"
        first, last = (stack.headers[n].position_lps_mm[2] for n in (0, -1))
        words = f"block {number}: {len(stack.headers)} slices from {first:.1f} to {last:.1f} mm"
        assert words in repair.text
        assert f"in {len(counts)} blocks" in repair.text


WHOLE = {
    "one slice is missing": ([*evenly(0, 2, 10), *evenly(22, 2, 10)], "DN-3005"),
    "a centimetre is missing": ([*evenly(0, 1, 20), *evenly(30, 1, 20)], "DN-3005"),
    "one slice far away": ([*evenly(0, 2, 20), 200.0], "DN-3005"),
    "a block that is too small": ([*evenly(0, 2, 20), *evenly(200, 2, 4)], "DN-3005"),
    "many slices are missing": ([*evenly(0, 1, 100), *evenly(155, 1, 145)], "DN-3005"),
    "many are missing twice": ([*evenly(0, 1, 100), *evenly(155, 1, 50), *evenly(300, 1, 50)], "DN-3005"),
    "many are missing, positions of two decimals": (
        [round(z, 2) for z in (*evenly(0, 0.703125, 100), *evenly(0.703125 * 180, 0.703125, 90))],
        "DN-3005",
    ),
    "many are missing, positions of one decimal": (
        [round(z, 1) for z in (*evenly(0, 0.625, 100), *evenly(0.625 * 200, 0.625, 90))],
        "DN-3006",
    ),
    "a drift": ([*evenly(0, 2, 20), *evenly(40, 2.04, 20)], "DN-3006"),
    "five distances": (
        [
            *evenly(0, 1, 10),
            *evenly(11, 2, 10),
            *evenly(33, 4, 10),
            *evenly(76, 7, 10),
            *evenly(149, 10, 10),
        ],
        "DN-3006",
    ),
    "no distance at all": ([0, 1, 3, 4.5, 8, 9, 9.7, 13, 14.9, 15.1], "DN-3006"),
    "two for half of the slices, with a gap": (
        [*evenly(0, 2, 6), *evenly(14, 2, 6), *evenly(27, 3, 6)],
        "DN-3006",
    ),
}


@pytest.mark.parametrize(("positions", "code"), WHOLE.values(), ids=list(WHOLE))
def test_lost_slices_and_irregular_ones_are_no_blocks(positions, code):
    (stack,) = plans(*positions)
    assert stack.placement is None
    assert stack.refusal.code == code
    assert stack.block is None


def of_scan(number, *positions_z, **tags):
    """Slices of one acquisition."""
    return [
        replace(one, sop_instance_uid=f"1.{number}.{n}", tags={"AcquisitionNumber": number, **tags})
        for n, one in enumerate(at(*positions_z))
    ]


def test_two_acquisitions_with_a_jump_of_whole_distances_are_blocks_as_their_attributes_say_so():
    series = of_scan(1, *evenly(0, 5, 20)) + of_scan(2, *evenly(400, 5, 12))
    stacks = plan_series(series, lambda one, other: False).stacks
    assert [(len(one.headers), one.block) for one in stacks] == [(20, (1, 2)), (12, (2, 2))]
    assert all(one.refusal is None for one in stacks)


def test_numbers_that_differ_from_slice_to_slice_say_nothing_of_a_jump():
    series = [one for n, z in enumerate((*evenly(0, 5, 20), *evenly(400, 5, 12))) for one in of_scan(n, z)]
    (stack,) = plan_series(series, lambda one, other: False).stacks
    assert stack.refusal.code == "DN-3005"


def test_only_blocks_that_are_even_are_called_so():
    gap = [z for z in evenly(400, 5, 12) if z != 420]
    whole, refused = plans(*evenly(0, 5, 20), *(z + 2.5 for z in gap))
    assert refused.refusal.code == "DN-3005"
    for stack in (whole, refused):
        (repair,) = stack.repairs
        assert "in 2 blocks, of which block 1 is evenly spaced;" in repair.text


@given(
    st.floats(0.3, 8.0),
    st.floats(0.3, 8.0),
    st.integers(MINIMUM_BLOCK, 40),
    st.integers(MINIMUM_BLOCK, 40),
    st.floats(0.0, 300.0),
)
def test_each_slice_is_in_one_block_and_every_block_is_even(one, other, count, others, apart):
    along = np.array(
        [*evenly(-50, one, count), *evenly(-50 + one * (count - 1) + max(one, other) + apart, other, others)]
    )
    for blocks in (at_jumps(along), by_interval(along)):
        if blocks is None:
            continue
        assert [stop for _, stop in blocks[:-1]] == [start for start, _ in blocks[1:]]
        assert (blocks[0][0], blocks[-1][1]) == (0, len(along))
        if len(blocks) > 1:
            # A slice between two distances belongs to the first
            assert blocks[0][1] in {count, count + 1}
    if apart > max(JUMP_MM, 10 * max(one, other)):
        assert len(at_jumps(along, [(1,)] * count + [(2,)] * others)) == 2
        if abs(one - other) > 0.11 * max(one, other):
            assert len(at_jumps(along)) == 2


@given(
    st.floats(0.3, 4.0), st.integers(MINIMUM_BLOCK, 40), st.integers(MINIMUM_BLOCK, 40), st.integers(200, 300)
)
def test_a_jump_of_whole_distances_is_no_end_of_a_block(step, count, others, lost):
    along = np.array([*evenly(0, step, count), *evenly(step * (count + lost), step, others)])
    assert at_jumps(along) == ((0, count + others),)
