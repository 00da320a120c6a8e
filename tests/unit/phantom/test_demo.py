"""The study of the demonstration is made once, whole or not at all, and its truth comes with it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.faults import PHANTOM_NOT_WRITTEN, NodeError
from dicomnode.phantom import DemoStudy, Thorax, demo_study, load_truth, study_uid
from dicomnode.phantom.anatomy import Size


class Maker:
    """Gives a phantom that was made before, and counts how often it was asked for one."""

    def __init__(self, phantom: Thorax) -> None:
        self.phantom = phantom
        self.calls = 0

    def __call__(self, seed: int, size: Size) -> Thorax:
        assert (seed, size) == (self.phantom.seed, self.phantom.size)
        self.calls += 1
        return self.phantom


@pytest.fixture
def make(small: Thorax) -> Maker:
    return Maker(small)


@pytest.fixture
def study(make: Maker, tmp_path: Path) -> DemoStudy:
    return demo_study(tmp_path, make.phantom.seed, "small", make=make)


def test_study_has_one_file_a_slice_from_the_feet_to_the_head(study: DemoStudy, small: Thorax) -> None:
    assert len(study.files) == small.voxels.shape[0]
    images = [pydicom.dcmread(path) for path in (study.files[0], study.files[60], study.files[-1])]
    heights = [float(image.ImagePositionPatient[2]) for image in images]
    assert heights == sorted(heights)
    assert np.array_equal(images[1].pixel_array.astype(int) - 1024, small.voxels[60])


def test_truth_comes_back_as_it_was(study: DemoStudy, small: Thorax) -> None:
    truth = load_truth(study.folder)
    assert truth.grid.same_as(small.grid, tolerance_mm=0.0)
    assert truth.lung_right == small.lung_right
    assert truth.lung_left == small.lung_left
    assert truth.study_instance_uid == study_uid(small.seed)
    assert len(truth.nodules) == len(small.nodules)
    for kept, planted in zip(truth.nodules, small.nodules, strict=True):
        assert kept.mask == planted.mask
        assert (kept.label, kept.kind, kept.side) == (planted.label, planted.kind, planted.side)
        assert kept.centre_lps_mm == planted.centre_lps_mm
        assert kept.volume_mm3 == planted.volume_mm3
        assert isinstance(kept.centre_lps_mm, tuple)


def test_truth_names_the_series_that_lies_beside_it(study: DemoStudy) -> None:
    image = pydicom.dcmread(study.files[0], stop_before_pixels=True)
    assert image.SeriesInstanceUID == study.truth.series_instance_uid
    assert image.StudyInstanceUID == study.truth.study_instance_uid
    assert image.FrameOfReferenceUID == study.truth.grid.frame_of_reference_uid


def test_second_time_nothing_is_made(study: DemoStudy, make: Maker, tmp_path: Path) -> None:
    again = demo_study(tmp_path, make.phantom.seed, "small", make=make)
    assert make.calls == 1
    assert again.files == study.files


def test_nothing_but_the_study_stays_in_the_cache(study: DemoStudy, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == [study.folder]


def _lose_a_file(study: DemoStudy) -> None:
    study.files[5].unlink()


def _cut_a_file(study: DemoStudy) -> None:
    study.files[5].write_bytes(study.files[5].read_bytes()[:-10])


def _lose_the_truth(study: DemoStudy) -> None:
    (study.folder / "truth.json").unlink()


def _lose_the_masks(study: DemoStudy) -> None:
    (study.folder / "truth.npz").unlink()


def _cut_the_masks(study: DemoStudy) -> None:
    masks = study.folder / "truth.npz"
    masks.write_bytes(masks.read_bytes()[:100])


def _empty_the_masks(study: DemoStudy) -> None:
    (study.folder / "truth.npz").write_bytes(b"")


def _garble_the_truth(study: DemoStudy) -> None:
    (study.folder / "truth.json").write_text("{")


def _replace_the_truth(study: DemoStudy) -> None:
    (study.folder / "truth.json").write_text("[]")


def _another_schema(study: DemoStudy) -> None:
    path = study.folder / "truth.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))


DAMAGES = [
    _lose_a_file,
    _cut_a_file,
    _lose_the_truth,
    _lose_the_masks,
    _cut_the_masks,
    _empty_the_masks,
    _garble_the_truth,
    _replace_the_truth,
    _another_schema,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_study_is_made_again(
    damage: Callable[[DemoStudy], None], study: DemoStudy, make: Maker, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in study.files}
    damage(study)
    again = demo_study(tmp_path, make.phantom.seed, "small", make=make)
    assert make.calls == 2
    assert {path.name: path.read_bytes() for path in again.files} == before
    assert list(tmp_path.iterdir()) == [again.folder]


def test_what_another_process_finished_meanwhile_is_used(make: Maker, tmp_path: Path) -> None:
    finished: list[DemoStudy] = []

    def slow(seed: int, size: Size) -> Thorax:
        # While this one makes its phantom, another finishes: told apart by an empty file beside the study.
        finished.append(demo_study(tmp_path, seed, size, make=make))
        (finished[0].folder / "first").touch()
        building = tmp_path / "unrelated"
        building.mkdir()
        return make(seed, size)

    study = demo_study(tmp_path, make.phantom.seed, "small", make=slow)
    assert (study.folder / "first").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([study.folder.name, "unrelated"])


def test_a_cache_that_cannot_be_written_is_told_with_a_remedy(make: Maker, tmp_path: Path) -> None:
    cache = tmp_path / "file"
    cache.touch()
    with pytest.raises(NodeError) as caught:
        demo_study(cache, make.phantom.seed, "small", make=make)
    assert caught.value.fault is PHANTOM_NOT_WRITTEN
    assert str(cache) in str(caught.value)
    assert "XDG_CACHE_HOME" in caught.value.remedy
    assert pickle.loads(pickle.dumps(caught.value)).fault is PHANTOM_NOT_WRITTEN


def test_truth_is_readable_without_this_package(study: DemoStudy) -> None:
    document = json.loads((study.folder / "truth.json").read_text())
    assert document["schema"] == 1
    assert set(document["files"]) == {path.name for path in study.files}
    assert {"label", "side", "kind", "centre_lps_mm", "diameter_mm", "volume_mm3", "box_kji"} == set(
        document["nodules"][0]
    )
