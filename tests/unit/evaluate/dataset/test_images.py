"""Cheap features of images: greys, spacing, extent and a thumbnail, of volumes and of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.evaluate.dataset import image_features, near_duplicates, table_of
from dicomnode.evaluate.dataset.images import NAMES, thumbnail_of
from dicomnode.values import Picture, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from dicomnode.values.picture import PicturePlane
from tests.unit.evaluate.evaluations import case_name


def _volume(voxels: np.ndarray) -> Volume:
    return Volume(
        voxels,
        np.diag([0.8, 0.7, 2.5, 1.0]),
        HOUNSFIELD,
        "1.2",
        "1.3",
        "1.4",
        tuple(SourceFrame(f"1.5.{n}") for n in range(len(voxels))),
        SourceHeaders(()),
    )


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 300, (6, 40, 32)).astype(np.float32)


def test_greys_are_those_of_the_voxels_and_lengths_those_of_the_grid() -> None:
    voxels = _noise(0)
    found = dict(zip(NAMES, image_features(_volume(voxels)).numbers, strict=True))
    assert found["percentile 5"] == pytest.approx(np.percentile(voxels, 5))
    assert found["mean"] == pytest.approx(voxels.mean(dtype=np.float64))
    assert found["standard deviation"] == pytest.approx(voxels.std(dtype=np.float64))
    assert [found[f"spacing {axis}, mm"] for axis in "kji"] == pytest.approx([2.5, 0.7, 0.8])
    assert [found[f"extent {axis}, mm"] for axis in "kji"] == pytest.approx([15.0, 28.0, 25.6])


def test_voxels_that_are_no_numbers_are_left_out() -> None:
    voxels = _noise(1)
    voxels[0, :5] = np.nan
    found = image_features(_volume(voxels))
    assert np.isfinite(found.numbers).all()
    blank = image_features(_volume(np.full((3, 20, 20), np.nan, dtype=np.float32)))
    assert np.isfinite(blank.numbers).all()


def test_a_colour_picture_counts_by_its_mean_and_small_ones_have_thumbnails_too() -> None:
    frames = np.zeros((1, 4, 6, 3), dtype=np.uint8)
    frames[..., 0] = 90
    picture = Picture(
        frames=frames,
        plane=PicturePlane(),
        study_instance_uid="1.3",
        series_instance_uid="1.4",
        sources=(SourceFrame("1.5"),),
        headers=SourceHeaders(()),
    )
    found = image_features(picture)
    assert found.numbers[NAMES.index("mean")] == pytest.approx(30.0)
    assert found.thumbnail.shape == (16, 16)


def test_a_thumbnail_is_the_mean_of_parts_from_black_to_white() -> None:
    plane = np.zeros((64, 64), dtype=np.int16)
    plane[:, 32:] = 1000
    small = thumbnail_of(plane)
    assert small.dtype == np.uint8
    assert np.array_equal(np.unique(small[:, :8]), [0])
    assert np.array_equal(np.unique(small[:, 8:]), [255])


def test_the_same_images_under_two_names_are_twins() -> None:
    stacks = [_noise(n) for n in range(10)]
    stacks.append(stacks[4].copy())
    features = [image_features(_volume(one)) for one in stacks]
    table = table_of(
        [case_name(n) for n in range(11)],
        [one.row for one in features],
        [one.thumbnail for one in features],
    )
    (twin,) = near_duplicates(table)
    assert (twin.first, twin.second) == (4, 10)
