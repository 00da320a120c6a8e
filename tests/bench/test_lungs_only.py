"""What the bench of the lungs computes itself."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.lungs_only import in_plane_95_mm, verdict


def test_borders_that_lie_apart_are_as_far_apart_as_they_are():
    truth = np.zeros((40, 40), dtype=bool)
    truth[10:30, 10:30] = True
    assert in_plane_95_mm(truth, truth, 0.5) == 0.0
    assert in_plane_95_mm(np.roll(truth, 4, axis=1), truth, 0.5) == pytest.approx(2.0)


def test_a_verdict_without_doubts_is_ok_and_each_doubt_is_named():
    assert verdict(()) == "ok"
    said = ("The lungs do not reach the ribs (20 ml lie between): fluid.", "Only the left lung was found.")
    assert verdict(said) == "The lungs do not reach the ribs; Only the left lung was found."
