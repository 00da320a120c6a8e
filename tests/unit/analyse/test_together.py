"""Several series as channels of one image: one grid, cut and resampled together, values of their own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx import TensorProto
from scipy import ndimage

from dicomnode.analyse.grids import box_of
from dicomnode.analyse.prepare import prepare_image
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.together import prepare_together
from dicomnode.engine import Preparation, RuntimeWish, check_engine
from dicomnode.engine.manifest.preparation_geometry import CropForeground, Resample
from dicomnode.engine.manifest.preparation_values import Landmarks, Rescale, ScaleMinmax, ZScore
from dicomnode.faults import NEEDS_REGISTRATION
from dicomnode.values import Outcome
from tests.unit.analyse.conftest import affine_of
from tests.unit.analyse.devices import CountingKernels, analysed, same
from tests.unit.analyse.forms import LESION, ONE, engine, node, onnx_bytes, run, step
from tests.unit.analyse.test_grids import grid_of

SHAPE = (9, 14, 18)
SPACING = (3.0, 0.8, 0.5)
CROP = Preparation(crop_foreground=CropForeground())
FINER = Preparation(resample=Resample(spacing_kji_mm=(2.0, 1.0, 1.0), interpolation="cubic", align="extent"))
FILLED = Preparation(z_score=ZScore(over="nonzero_filled"))


def channel(seed: int, part: tuple[slice, slice, slice], shape=SHAPE) -> np.ndarray:
    """0 but for a part that is not the same on any side."""
    voxels = np.zeros(shape, np.float32)
    voxels[part] = np.random.default_rng(seed).uniform(10.0, 90.0, shape)[part]
    return voxels


T1 = channel(1, (slice(2, 7), slice(3, 9), slice(4, 15)))
FLAIR = channel(2, (slice(1, 5), slice(5, 12), slice(6, 13)))
IMAGES = {
    "t1": Prepared(T1, grid_of(SHAPE, SPACING, (5.0, -3.0, 2.0))),
    "flair": Prepared(FLAIR, grid_of(SHAPE, SPACING, (5.0, -3.0, 2.0))),
}


def together(*entries: Preparation, **own: tuple[Preparation, ...]) -> dict[str, Prepared]:
    return prepare_together(
        IMAGES, {name: own.get(name, entries) for name in IMAGES}, lambda stage, done, total: None
    )


def test_both_are_cut_to_the_box_of_what_either_shows():
    done = together(CROP)
    box = (slice(1, 7), slice(3, 12), slice(4, 15))
    assert np.array_equal(done["t1"].voxels, T1[box])
    assert np.array_equal(done["flair"].voxels, FLAIR[box])
    for image in done.values():
        wanted = IMAGES["t1"].grid.to_lps_mm([1.0, 3.0, 4.0])
        assert image.grid.to_lps_mm([0.0, 0.0, 0.0]) == pytest.approx(wanted)
        assert not image.voxels.flags.writeable
        assert image.voxels.dtype == np.float32


def test_where_none_shows_anything_all_stays():
    empty = {name: Prepared(np.zeros(SHAPE, np.int16), image.grid) for name, image in IMAGES.items()}
    done = prepare_together(empty, dict.fromkeys(empty, (CROP,)), lambda stage, done, total: None)
    assert {image.voxels.shape for image in done.values()} == {SHAPE}


def test_the_filled_foreground_is_that_of_all_channels_and_each_has_its_own_mean():
    done = together(CROP, FILLED, FINER)
    box = (slice(1, 7), slice(3, 12), slice(4, 15))
    mask = ndimage.binary_fill_holes((T1[box] != 0) | (FLAIR[box] != 0))
    for name, voxels in (("t1", T1[box]), ("flair", FLAIR[box])):
        expected = voxels.copy()
        expected[mask] = (voxels[mask] - voxels[mask].mean()) / voxels[mask].std()
        grid = together(CROP)[name].grid
        alone = prepare_image(Prepared(expected, grid), [FINER])
        assert done[name].grid.same_as(alone.grid)
        assert np.allclose(done[name].voxels, alone.voxels, atol=1e-4)


def test_values_that_one_channel_changes_first_move_no_foreground_of_the_other():
    shifted = Preparation(rescale=Rescale(intercept=5.0))
    found = together(t1=(shifted, CROP), flair=(FILLED, CROP))
    plain = together(t1=(CROP,), flair=(FILLED, CROP))
    assert found["flair"].voxels.shape == SHAPE  # now the first channel is nowhere 0
    box = box_of(together(flair=(FILLED,))["flair"].voxels != 0)
    assert np.array_equal(found["flair"].voxels[box], together(flair=(FILLED,))["flair"].voxels[box])
    assert plain["flair"].voxels.shape == (6, 9, 11)


@pytest.mark.parametrize(
    "entry",
    [
        Preparation(scale_minmax=ScaleMinmax(over="nonzero_filled")),
        Preparation(landmarks=Landmarks(percentiles=(0, 50, 100), values=(0, 3, 4), over="nonzero_filled")),
        Preparation(z_score=ZScore(over="nonzero")),
        Preparation(scale_minmax=ScaleMinmax()),
    ],
)
def test_one_channel_alone_is_prepared_as_a_volume_is(entry):
    image = IMAGES["t1"]
    entries = (CROP, entry, FINER)
    done = prepare_together({"t1": image}, {"t1": entries}, lambda stage, done, total: None)["t1"]
    alone = prepare_image(image, entries)
    assert np.array_equal(done.voxels, alone.voxels)
    assert done.grid.same_as(alone.grid)


@pytest.mark.parametrize("other", [(), (CROP, CROP), (FINER,)])
def test_channels_whose_grids_would_part_are_refused(other):
    with pytest.raises(ValueError):
        together(t1=(CROP,), flair=other)


# ── in an engine ──

MR = """
[[input]]
name = "ct"
kind = "volume"
require = [{{ tag = "Modality", equals = "MR" }}]
prepare = [{first}]
[[input]]
name = "pet"
kind = "volume"
beside_first = true
require = [{{ tag = "Modality", equals = "MR" }}]
outside = -7.0
prepare = [{second}]
"""
SHARED = (
    "{ crop_foreground = {} }",
    '{ resample = { spacing_kji_mm = [1.5, 0.8, 0.8], align = "extent", blur = false } }',
)
MAP = f'[[output]]\nmap = "sum"\nstep = "net"\nchannel = 0\ntype = {LESION}\nunit = {ONE}\n'


def two_channels(folder, window='window = "whole"', first="", second="", of='["ct", "pet"]'):
    """y = x[0] + 100 · x[1] of each voxel, and x[1] again: a channel in the wrong place is seen."""
    content = onnx_bytes(
        [node("Conv", ["x", "w"], ["y"])],
        [("x", ["n", 2, "k", "j", "i"])],
        [("y", ["n", 2, "k", "j", "i"], TensorProto.FLOAT)],
        {"w": np.array([[1.0, 100.0], [0.0, 1.0]], np.float32).reshape(2, 2, 1, 1, 1)},
    )
    keys = f'{window}\ninputs = {{ x = {{ of = {of} }} }}\ninterpret = "map"'
    body = step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + MAP
    return engine(folder, body, {"net.onnx": content}, MR.format(first=first, second=second))


WINDOWS = [
    'window = "whole"',
    "window = { size_kji = [4, 6, 8], batch = 3 }",
    'window = { size_kji = [5, 8, 16], rule = "nnunet", mirror = ["k", "i"] }',
    'window = { size_kji = [16, 16, 16], rule = "monai" }',
]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_series_on_the_same_grid_is_a_channel_as_it_is(tmp_path, make_volume, window):
    ct, pet = (make_volume(voxels, spacing=SPACING) for voxels in (T1, FLAIR))
    found = run(two_channels(tmp_path / "e", window), ct, pet)
    assert np.allclose(found.maps[0].values, T1 + 100.0 * FLAIR, rtol=1e-5, atol=1e-3)
    assert not any("covers" in one.text for one in found.remarks)


def test_a_whole_box_that_is_seen_flipped_gives_the_mean(tmp_path, make_volume):
    """The network looks one voxel to the left: flipped along i as well, one voxel to the right."""
    weights = np.zeros((1, 2, 1, 1, 3), np.float32)
    weights[0, 0, 0, 0, 0] = 1.0
    content = onnx_bytes(
        [node("Conv", ["x", "w"], ["y"], pads=[0, 0, 1, 0, 0, 1])],
        [("x", ["n", 2, "k", "j", "i"])],
        [("y", ["n", 1, "k", "j", "i"], TensorProto.FLOAT)],
        {"w": weights},
    )
    keys = 'window = { mirror = ["j", "i"] }\ninputs = { x = { of = ["ct", "pet"] } }\ninterpret = "map"'
    body = step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + MAP
    package = engine(tmp_path / "e", body, {"net.onnx": content}, MR.format(first="", second=""))
    ct, pet = (make_volume(voxels, spacing=SPACING) for voxels in (T1, FLAIR))
    beside = np.pad(T1, [(0, 0), (0, 0), (1, 1)])
    expected = (beside[:, :, :-2] + beside[:, :, 2:]) / 2.0
    assert np.allclose(run(package, ct, pet).maps[0].values, expected, rtol=1e-5, atol=1e-3)


def test_a_series_on_another_grid_is_put_onto_that_of_the_first(tmp_path, make_volume):
    """A linear field is the same on any grid: on one whose axes are turned and whose voxels are others."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0.0, 0.7, 0.0), (0.0, 0.0, 1.4), (-1.1, 0.0, 0.0)
    affine[:3, 3] = (14.0, -4.0, -12.0)
    blank = make_volume(np.zeros((20, 38, 28), np.float32), affine=affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in blank.grid.shape_kji), indexing="ij"), -1)
    x, y, z = np.moveaxis(blank.grid.to_lps_mm(index), -1, 0)
    pet = make_volume((x + 2 * y - 3 * z).astype(np.float32), affine=affine)
    ct = make_volume(T1, spacing=SPACING)
    found = run(two_channels(tmp_path / "e"), ct, pet).maps[0]
    own = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    x, y, z = np.moveaxis(ct.grid.to_lps_mm(own), -1, 0)
    assert np.allclose(found.values, T1 + 100.0 * (x + 2 * y - 3 * z), atol=0.05)


def test_where_the_second_series_does_not_reach_it_has_the_value_that_is_given(tmp_path, make_volume):
    ct, pet = make_volume(T1, spacing=SPACING), make_volume(FLAIR[:, :, :9], spacing=SPACING)
    found = run(two_channels(tmp_path / "e"), ct, pet)
    expected = np.concatenate([FLAIR[:, :, :9], np.full_like(FLAIR[:, :, 9:], -7.0)], axis=2)
    assert np.allclose(found.maps[0].values, T1 + 100.0 * expected, rtol=1e-5, atol=1e-3)
    assert any("input pet covers 50.0 % of what was analysed" in one.text for one in found.remarks)


def test_each_channel_is_normalised_by_its_own_numbers_between_changes_that_both_make(tmp_path, make_volume):
    crop, finer = SHARED
    first = f"{crop}, {{ z_score = {{}} }}, {finer}"
    second = f"{crop}, {{ clip = [20.0, 60.0] }}, {{ rescale = {{ slope = 0.5 }} }}, {finer}"
    images = {name: Prepared(image.voxels, grid_of(SHAPE, SPACING)) for name, image in IMAGES.items()}
    ready = prepare_together(
        images,
        {
            "t1": (CROP, Preparation(z_score=ZScore()), Preparation(resample=_finer())),
            "flair": (
                CROP,
                Preparation(clip=(20.0, 60.0)),
                Preparation(rescale=Rescale(slope=0.5)),
                Preparation(resample=_finer()),
            ),
        },
        lambda stage, done, total: None,
    )
    ct, pet = (make_volume(voxels, spacing=SPACING) for voxels in (T1, FLAIR))
    found = run(two_channels(tmp_path / "e", "", first, second), ct, pet).maps[0]
    assert found.grid.same_as(ready["t1"].grid)
    expected = ready["t1"].voxels + 100.0 * ready["flair"].voxels
    assert np.allclose(found.values, expected, rtol=1e-5, atol=1e-3)


def _finer() -> Resample:
    return Resample(spacing_kji_mm=(1.5, 0.8, 0.8), align="extent", blur=False)


def test_the_order_of_the_channels_is_that_of_the_step(tmp_path, make_volume):
    ct, pet = (make_volume(voxels, spacing=SPACING) for voxels in (T1, FLAIR))
    found = run(two_channels(tmp_path / "e", of='["pet", "ct"]'), ct, pet)
    assert np.allclose(found.maps[0].values, FLAIR + 100.0 * T1, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("frame", ["1.2.3.10", ""])
def test_a_series_of_another_frame_of_reference_is_refused_with_both(tmp_path, make_volume, frame):
    pet = dataclasses.replace(make_volume(FLAIR, spacing=SPACING), frame_of_reference_uid=frame)
    found = run(two_channels(tmp_path / "e"), make_volume(T1, spacing=SPACING), pet)
    assert found.outcome == Outcome.NOT_ANALYSED
    (remark,) = found.remarks
    assert remark.code == NEEDS_REGISTRATION.code
    assert f"{frame or 'none'} and 1.2.3.9" in remark.text


def test_two_series_of_no_frame_of_reference_are_not_taken_for_one(tmp_path, make_volume):
    ct, pet = (
        dataclasses.replace(make_volume(voxels, spacing=SPACING), frame_of_reference_uid="")
        for voxels in (T1, FLAIR)
    )
    found = run(two_channels(tmp_path / "e"), ct, pet)
    assert found.outcome == Outcome.NOT_ANALYSED
    assert "none and none" in found.remarks[0].text


@pytest.mark.parametrize("window", WINDOWS)
def test_over_the_device_path_it_is_the_same_and_says_what_the_host_did(tmp_path, make_volume, window):
    crop, finer = SHARED
    package = two_channels(
        tmp_path / "e", window, f"{crop}, {{ z_score = {{}} }}, {finer}", f"{crop}, {finer}"
    )
    volumes = {
        "ct": make_volume(T1, affine=affine_of(SPACING)),
        "pet": make_volume(FLAIR, affine=affine_of((2.5, 0.9, 0.5), (0.3, -0.2, 0.1))),
    }
    expected = analysed(package, volumes)
    found = analysed(package, volumes, CountingKernels())
    assert same(found, expected)
    told = found.provenance.details["on the host"]
    assert "prepare ct (it is a channel of one image of several series)" in told
    assert "prepare pet (it is a channel of one image of several series)" in told
    assert "network" in found.provenance.details["on the device"]


def test_the_gate_and_the_check_of_an_engine_take_both_channels(tmp_path):
    report = check_engine(two_channels(tmp_path / "e"), 1, RuntimeWish())
    assert report.passed
    assert {check.name for check in report.checks} >= {"y finite", "y repeated"}
