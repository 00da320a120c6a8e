"""The lungs of `lungs` against lungs drawn by hand, on slices from apex to diaphragm of four real scans.

Who drew them is no radiologist, and drew some twice: the two drawings differ as much as stands below.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dicomnode.analyse.algorithms import ALGORITHMS
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.resample import Prepared
from dicomnode.assemble import load_volume, read_studies
from dicomnode.evaluate import dice
from dicomnode.values import no_progress
from tests.fixtures.hand_lungs import HandSlice, hand_slices

pytestmark = [pytest.mark.judge, pytest.mark.real_data]

FindData = Callable[[str], Path]
Found = tuple[list[str], dict[str, np.ndarray]]  # UIDs of the slices, and the masks of both lungs
LUNGS = ALGORITHMS["lungs"]
SLICES = hand_slices()


@pytest.fixture(scope="module")
def found(real_data: FindData) -> Callable[[str], Found]:
    """The lungs of a folder, in the grid of its source; each once."""
    done: dict[str, Found] = {}

    def run(folder: str) -> Found:
        if folder not in done:
            (study,) = read_studies([real_data(folder)]).studies
            (stack,) = [stack for series in study.series for stack in series.stacks]
            volume = load_volume(stack)
            hu = volume.voxels.astype(np.float32).clip(-1024.0, 3071.0)
            anatomy = LUNGS.run(Prepared(hu, volume.grid), LUNGS.parameters, no_progress)
            masks = {
                part.side or "": onto_source(part.mask, anatomy.grid, volume.grid).to_array()
                for part in anatomy.parts
            }
            done[folder] = [frame.sop_instance_uid for frame in volume.frames], masks
        return done[folder]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("drawn", SLICES, ids=[one.name for one in SLICES])
def test_lungs_agree_with_those_drawn_by_hand(found, drawn: HandSlice):
    uids, masks = found(drawn.folder)
    k = uids.index(drawn.sop_instance_uid)
    both = {side: (masks[side][k], drawn.lungs[side].mask(masks[side][k].shape)) for side in masks}
    assert set(both) == {"right", "left"}
    assert dice(np.stack([a for a, _ in both.values()]), np.stack([b for _, b in both.values()])) >= 0.97
    assert min(dice(*pair) for pair in both.values()) >= 0.96
