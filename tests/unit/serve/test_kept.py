"""Kept findings get the volume back that they were found on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.assemble import decode_here, load_volume, read_studies
from dicomnode.serve.once.kept import _volume
from tests.unit.assemble.multi_frame import enhanced, item
from tests.unit.assemble.series import write_all
from tests.unit.report.real import source_of
from tests.unit.report.sources import nothing_found

POSITIONS = (0.0, 3.0, 6.0, 9.0)


@pytest.fixture
def echoes(tmp_path):
    """One object of two echoes, all frames of the second behind those of the first: its UID, path, stacks."""
    frames = [{"MREchoSequence": [item(EffectiveEchoTime=te)]} for te in (2.3, 4.6) for _ in POSITIONS]
    ds = enhanced([*POSITIONS, *POSITIONS], frames=frames)
    (path,) = write_all([ds], tmp_path)
    ((series,),) = (study.series for study in read_studies([path]).studies)
    return {str(ds.SOPInstanceUID): path}, series.stacks


@pytest.mark.parametrize("number", [0, 1])
def test_of_two_phases_on_one_grid_the_volume_is_that_of_the_frames_that_were_looked_at(echoes, number):
    paths, stacks = echoes
    first, second = (load_volume(stack) for stack in stacks)
    assert first.grid.same_as(second.grid)
    analysed = (first, second)[number]
    assert [frame.frame_number for frame in analysed.frames] == [1 + 4 * number + k for k in range(4)]
    kept = replace(nothing_found(), sources=(source_of(analysed),))
    volume, why_not = _volume(kept, paths, decode_here)
    assert why_not == ""
    assert volume.frames == analysed.frames
    assert np.array_equal(volume.voxels, analysed.voxels)
