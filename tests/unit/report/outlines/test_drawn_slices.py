"""What a presentation state leaves out to stay small: the largest first, key slices last; it is said."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dicomnode.report.outlines import drawn_slices, graphics, presentation_states
from dicomnode.report.outlines.drawn_slices import drawn
from dicomnode.values import Mask
from tests.unit.report.outlines.finished import read
from tests.unit.report.outlines.test_presentation_states import texts
from tests.unit.report.sources import findings

LUNG, _, NODULE = findings().segments


def bytes_of(*found: object) -> int:
    return sum(drawn_slices._size(one) for one in drawn(found, 10**9))  # type: ignore[arg-type]


def test_everything_is_drawn_where_there_is_room() -> None:
    assert [(one.step, len(one.rings)) for one in drawn(findings().segments, 10**6)] == [
        (1, 10),
        (1, 10),
        (1, 2),
    ]


def test_the_largest_is_thinned_and_the_small_one_keeps_its_slices() -> None:
    lung, nodule = drawn((LUNG, NODULE), bytes_of(LUNG, NODULE) - 1)
    assert (lung.step, nodule.step) == (2, 1)
    assert sorted(lung.rings) == [k for k in range(2, 12) if (k - lung.key) % 2 == 0]
    assert len(nodule.rings) == 2


def test_the_key_slice_goes_last() -> None:
    (lung,) = drawn((LUNG,), 700)
    assert sorted(lung.rings) == [lung.key]
    (nothing,) = drawn((LUNG,), 10)
    assert (nothing.step, nothing.rings) == (0, {})


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (4400, "outline on every 2nd slice"),
        (2200, "outline on every 4th slice"),
        (10, "outline left out: too large"),
    ],
)
def test_what_is_left_out_is_said_beside_the_finding(
    most: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presentation_states, "MOST_BYTES", most)
    ds = read("GSPS", replace(findings(), segments=(LUNG,)))
    ((_, text),) = texts(ds, "LUNG RIGHT")
    assert text.endswith(said)


def test_a_line_with_more_points_than_a_value_can_hold_is_cut_into_pieces_that_meet() -> None:
    points = np.column_stack([np.arange(20000.0), np.zeros(20000)])
    pieces = list(graphics.pieces(points))
    assert max(map(len, pieces)) <= 8000
    assert all(np.array_equal(a[-1], b[0]) for a, b in pairwise(pieces))
    assert sum(len(one) - 1 for one in pieces) == len(points) - 1


def test_a_mask_of_noise_stays_below_the_limit() -> None:
    noise = np.random.default_rng(5).random((12, 20, 28)) > 0.5
    one = replace(LUNG, mask=Mask.from_array(noise))
    assert sum(drawn_slices._size(part) for part in drawn((one, NODULE), 20_000)) <= 20_000
