"""A scan ends somewhere, and what lies beyond its end is nobody's nodule."""

from __future__ import annotations

import numpy as np

from dicomnode.learn.planted.slabs import cut_off
from dicomnode.learn.planted.targets import Centre

SHAPE = (48, 48, 48)


def patch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(SHAPE, -850.0, dtype=np.float32), np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)


def test_beyond_the_end_there_is_the_air_that_the_engine_fills_up_with() -> None:
    ends = set()
    for seed in range(40):
        hu, mask, ignore = patch()
        ignore[:] = True
        assert cut_off(hu, mask, ignore, [], np.random.default_rng(seed)) == []
        gone = np.flatnonzero((hu == -1000.0).all(axis=(1, 2)))
        left = np.flatnonzero((hu == -850.0).all(axis=(1, 2)))
        assert len(gone) + len(left) == 48
        assert len(left) >= 12
        assert gone[0] == 0 or gone[-1] == 47
        assert not ignore[gone].any()
        assert ignore[left].all()
        ends.add(bool(gone[0] == 0))
    assert ends == {True, False}


def test_a_nodule_beyond_the_end_is_gone_and_what_shows_of_it_is_ignored() -> None:
    centres = [
        Centre(at=(10.0, 24.0, 12.0), diameter_mm=20.0),
        Centre(at=(38.0, 24.0, 36.0), diameter_mm=20.0),
    ]
    for seed in range(40):
        hu, mask, ignore = patch()
        axes = np.ogrid[0:48, 0:48, 0:48]
        for one in centres:
            mask |= sum((a - m) ** 2 for a, m in zip(axes, one.at, strict=True)) <= 8.0**2
        kept = cut_off(hu, mask, ignore, centres, np.random.default_rng(seed))
        there = hu[:, 0, 0] == -850.0
        for one in centres:
            assert (one in kept) == bool(there[int(one.at[0])])
        shown = [one for one in centres if one not in kept]
        assert not mask[~there].any()
        for one in shown:  # nothing of it is called a nodule
            part = mask[:, :, :24] if one.at[2] < 24 else mask[:, :, 24:]
            assert not part.any()
        assert not (mask & ignore).any()


def test_a_nodule_that_reaches_into_the_scan_is_ignored_there() -> None:
    found = False
    for seed in range(60):
        hu, mask, ignore = patch()
        one = Centre(at=(24.0, 24.0, 24.0), diameter_mm=30.0)
        kept = cut_off(hu, mask, ignore, [one], np.random.default_rng(seed))
        if not kept:
            found = True
            there = hu[:, 24, 24] == -850.0
            near = np.abs(np.arange(48) - 24.0) <= 10.0
            assert ignore[there & near, 24, 24].all()
    assert found
