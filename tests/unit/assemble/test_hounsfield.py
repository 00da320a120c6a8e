"""Values that are said to be Hounsfield units and cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.assemble import load_volume, read_studies
from dicomnode.assemble.hounsfield import check_hounsfield
from dicomnode.faults import NodeError
from tests.unit.assemble.series import Series

RNG = np.random.default_rng(11)


def body(shape=(4, 40, 30)):
    """Air around soft tissue with some bone, in Hounsfield units with noise."""
    values = np.full(shape, -1000.0)
    values[:, 8:32, 6:24] = 40
    values[:, 18:22, 12:18] = 700
    return (values + RNG.normal(0, 15, shape)).astype(np.int16)


def checked(voxels, intercept=0.0):
    check_hounsfield(voxels, [intercept] * len(voxels))


def test_a_ct_whose_rescale_was_lost_is_refused_by_its_tag(tmp_path):
    Series(stored=np.clip(body() + 1024, 0, None).astype(np.int16), intercept=0.0).write(tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    with pytest.raises(
        NodeError, match=r"DN-3052 \(0028,1052\) RescaleIntercept is 0, .*air lies near 2\d "
    ) as caught:
        load_volume(series.stacks[0])
    assert "tissue near 106" in str(caught.value)


@pytest.mark.parametrize("added", [0, -24, 24])
def test_a_ct_with_air_is_one(added):
    checked(body() + np.int16(added))


def test_a_field_of_view_without_air_is_one():
    checked(np.clip(body()[:, 10:30, 8:22], 0, None))


def test_a_block_of_bone_and_metal_is_one():
    checked(RNG.integers(900, 1200, (4, 20, 20)).astype(np.int16))


def test_values_that_were_rescaled_are_believed():
    checked(np.clip(body() + 1024, 0, None).astype(np.int16), intercept=-1024.0)
