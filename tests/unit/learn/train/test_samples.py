"""Samples: prepared as the service prepares, truth on the same grid, kept whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.prepare import prepare
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import Preparation
from dicomnode.learn.train.plan import manifest_of
from dicomnode.learn.train.samples import IGNORED, Sample, cached, digest_of, fed, target_on
from dicomnode.values import Grid, Mask

from .small_data import ball, write_study


def rotated(seed: int) -> np.ndarray:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix


def grid(shape, spacing_ijk, matrix=None, origin=(0.0, 0.0, 0.0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if matrix is None else matrix) @ np.diag(spacing_ijk)
    affine[:3, 3] = origin
    return Grid(shape, affine, "2.25.1")


def test_inputs_are_what_the_service_prepares(tmp_path: Path) -> None:
    place = write_study(tmp_path, 1, outlines=())
    [study] = read_studies([place]).studies
    volume = load_volume(study.series[0].stacks[0])
    table = {
        "name": "image",
        "kind": "volume",
        "prepare": [{"orient": "LPS"}, {"resample_mm": [3.0, 5.0, 5.0]}, {"z_score": {}}],
    }
    found = fed(manifest_of([table], "test"), volume)
    entries = (
        Preparation(orient="LPS"),
        Preparation(resample_mm=(3.0, 5.0, 5.0)),
        manifest_of([table], "test").input[0].prepare[2],
    )
    wanted = prepare(volume, entries)
    assert np.array_equal(found.inputs[0], wanted.voxels)
    assert found.grid.same_as(wanted.grid)
    assert found.source.same_as(volume.grid)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), finer=st.sampled_from([0.5, 1.0, 1.4]))
def test_truth_lies_where_it_lay_in_the_patient_however_grids_are_turned(seed: int, finer: float) -> None:
    matrix = rotated(seed)
    source = grid((14, 16, 18), (2.0, 2.0, 2.0), matrix)
    mask = ball(source.shape_kji, (7, 8, 9), (5, 5, 5))
    k, j, i = (round(n / finer) for n in source.shape_kji)
    target = grid((k, j, i), (2.0 * finer,) * 3, matrix, matrix @ np.array([1.0, -1.0, 0.5]))
    [found] = target_on(target, source, {0: Mask.from_array(mask)}, 1)
    centre = source.to_lps_mm((7, 8, 9))
    index = np.argwhere(found == 1)
    apart = np.linalg.norm(target.to_lps_mm(index) - centre, axis=1)
    assert apart.max() < 5 * 2.0 + 2.5
    volume_mm3 = np.count_nonzero(found == 1) * target.voxel_mm3
    assert volume_mm3 == pytest.approx(np.count_nonzero(mask) * 8.0, rel=0.12)


def test_what_the_source_does_not_reach_and_what_nobody_has_said_is_ignored() -> None:
    source = grid((4, 4, 4), (1.0, 1.0, 1.0))
    wider = grid((4, 4, 8), (1.0, 1.0, 1.0))
    mask = Mask.from_array(np.zeros((4, 4, 4)))
    known, unknown = target_on(wider, source, {0: mask, 1: None}, 2)
    assert np.all(known[:, :, :4] == 0)
    assert np.all(known[:, :, 4:] == IGNORED)
    assert np.all(unknown == IGNORED)


def test_a_sheared_stack_carries_its_truth_along() -> None:
    affine = np.eye(4)
    affine[:3, 2] = (0.0, 0.5, 1.0)
    source = Grid((8, 10, 10), affine, "2.25.1")
    assert source.is_sheared
    mask = np.zeros((8, 10, 10), dtype=bool)
    mask[2:6, 3:7, 3:7] = True
    upright = grid((8, 16, 10), (1.0, 1.0, 1.0))
    [found] = target_on(upright, source, {0: Mask.from_array(mask)}, 1)
    per_slice = [np.count_nonzero(found[k] == 1) for k in range(8)]
    assert per_slice == [0, 0, 16, 16, 16, 16, 0, 0]


def sample(value: float) -> Sample:
    return Sample(
        name="",
        patient="a",
        inputs=np.full((1, 2, 2, 2), value, np.float32),
        target=np.ones((1, 2, 2, 2), np.uint8),
        spacing_kji_mm=(1.0, 2.0, 3.0),
    )


def test_a_sample_is_made_once_and_read_afterwards(tmp_path: Path) -> None:
    made = []

    def make() -> Sample:
        made.append(1)
        return sample(3.0)

    for _ in range(2):
        found = cached(tmp_path, "ab" * 32, "patient", make)
        assert np.all(found.inputs == 3.0)
        assert found.spacing_kji_mm == (1.0, 2.0, 3.0)
        assert found.patient == "patient"
    assert len(made) == 1


def test_a_damaged_sample_is_made_anew(tmp_path: Path) -> None:
    cached(tmp_path, "cd" * 32, "a", lambda: sample(1.0))
    (tmp_path / ("cd" * 32) / "target.npy").write_bytes(b"no array")
    assert np.all(cached(tmp_path, "cd" * 32, "a", lambda: sample(2.0)).inputs == 2.0)


def test_digests_tell_parts_apart() -> None:
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])
    assert digest_of(["ab", b"c"]) == digest_of(["ab", "c"])
