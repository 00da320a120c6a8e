"""Interpolated grids: the same numbers as those of the packages that networks were trained with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.regrid import thick_axis
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.analyse.spacing import axis_to_count, axis_to_spacing
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import Letterbox, Resample, Resize
from dicomnode.values import no_progress
from tests.unit.analyse.foreign import foreign
from tests.unit.analyse.test_grids import grid_of

NNUNET = {"interpolation": "cubic", "align": "extent", "blur": False, "thick_slices": "nearest"}

# shape, spacing of the source, spacing wanted
GRIDS = [
    ((20, 31, 27), (2.5, 0.8, 0.8), (1.0, 1.0, 1.0)),  # thick slices along k
    ((9, 31, 27), (5.0, 0.8, 0.8), (2.5, 1.0, 1.0)),
    ((9, 31, 27), (5.0, 0.8, 0.8), (10.0, 1.0, 1.0)),  # thick and made coarser: ties between planes
    ((31, 9, 27), (0.8, 5.0, 0.8), (1.0, 2.0, 1.3)),  # along j
    ((20, 31, 27), (1.0, 1.0, 1.0), (1.0, 1.0, 4.0)),  # along i, of the new grid only
    ((12, 31, 27), (1.0, 1.0, 1.0), (0.5, 0.7, 1.3)),  # in three dimensions
    ((12, 31, 27), (4.0, 4.0, 1.0), (1.0, 1.0, 1.0)),  # two thick axes are none
    ((5, 31, 27), (5.0, 1.0, 1.0), (5.0, 1.3, 1.1)),  # planes stay
    ((5, 6, 7), (5.0, 1.0, 1.0), (5.0, 1.0, 1.0)),  # nothing changes
]


def image_of(shape, spacing, seed=3) -> Prepared:
    voxels = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return Prepared(voxels, grid_of(shape, spacing, (1.0, 2.0, 3.0)))


def done(image: Prepared, **entry) -> Prepared:
    one = Preparation(**entry)
    return PREPARATIONS[one.name].run(image, one.declared, no_progress)


@pytest.mark.parametrize(("shape", "have", "want"), GRIDS, ids=str)
def test_a_new_spacing_is_that_of_nnunet(shape, have, want):
    theirs = foreign("nnunetv2.preprocessing.resampling.default_resampling")
    image = image_of(shape, have)
    expected = theirs.resample_data_or_seg_to_shape(
        image.voxels[None],
        theirs.compute_new_shape(shape, have, want),
        have,
        want,
        is_seg=False,
        order=3,
        order_z=0,
        force_separate_z=None,
    )
    found = done(image, resample=Resample(spacing_kji_mm=want, **NNUNET))
    assert found.voxels.shape == expected.shape[1:]
    assert np.abs(found.voxels - expected[0]).max() < 1e-6


@pytest.mark.parametrize(("shape", "have", "want"), GRIDS[:7], ids=str)
def test_a_cubic_spline_is_scikit_images_resize_of_the_same_shape(shape, have, want):
    from skimage.transform import resize

    image = image_of(shape, have)
    new = tuple(round(h / w * n) for n, h, w in zip(shape, have, want, strict=True))
    expected = resize(image.voxels.astype(float), new, order=3, mode="edge", anti_aliasing=False)
    found = done(image, resize=Resize(shape_kji=new, interpolation="cubic", blur=False))
    assert np.abs(found.voxels - expected).max() < 1e-6
    assert found.voxels.max() <= image.voxels.max()


@pytest.mark.parametrize(("shape", "have", "want"), GRIDS[:6], ids=str)
def test_a_new_spacing_from_the_first_centre_on_is_that_of_monai(shape, have, want):
    transforms, data = foreign("monai.transforms"), foreign("monai.data")
    image = image_of(shape, have)
    theirs = transforms.Spacing(want, mode="bilinear", padding_mode="border")(
        data.MetaTensor(image.voxels[None], affine=np.diag([*have, 1.0]))
    )
    found = done(image, resample=Resample(spacing_kji_mm=want, align="first_centre", blur=False))
    assert found.voxels.shape == tuple(theirs.shape[1:])
    assert np.abs(found.voxels - np.asarray(theirs[0])).max() < 1e-5
    assert np.allclose(found.grid.to_lps_mm([0, 0, 0]), image.grid.to_lps_mm([0, 0, 0]))
    assert np.allclose(found.grid.spacing_kji_mm, np.abs(np.diag(theirs.affine)[:3]))


@pytest.mark.parametrize(
    ("mode", "corners", "own"),
    [
        ("trilinear", False, {"interpolation": "linear"}),
        ("trilinear", True, {"interpolation": "linear", "align": "corners"}),
        ("area", None, {"interpolation": "area"}),
        ("nearest-exact", None, {"interpolation": "nearest"}),
    ],
    ids=["trilinear", "by corners", "area", "nearest"],
)
@pytest.mark.parametrize("shape", [(17, 40, 13), (6, 9, 7), (24, 62, 54)], ids=str)
def test_a_fixed_shape_is_that_of_torch(shape, mode, corners, own):
    torch = foreign("torch")
    image = image_of((12, 31, 27), (2.0, 1.0, 1.0))
    given = torch.from_numpy(image.voxels.astype(np.float64))[None, None]
    theirs = torch.nn.functional.interpolate(given, shape, mode=mode, align_corners=corners)[0, 0].numpy()
    found = done(image, resize=Resize(shape_kji=shape, blur=False, **own))
    assert np.abs(found.voxels - theirs).max() < 1e-6


@pytest.mark.parametrize("want", [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (1.25, 1.25, 3.0)], ids=str)
def test_the_short_form_is_the_long_form_with_its_defaults(want):
    image = image_of((15, 31, 27), (2.5, 0.8, 0.9))
    short, long = done(image, resample_mm=want), done(image, resample=Resample(spacing_kji_mm=want))
    assert np.array_equal(short.voxels, long.voxels)
    assert np.array_equal(short.grid.affine_lps, long.grid.affine_lps)
    assert np.array_equal(short.voxels, resample(image, want).voxels)


def test_a_blur_comes_before_what_becomes_coarser_only():
    image = image_of((20, 20, 20), (1.0, 1.0, 1.0))
    want = (3.0, 0.5, 1.0)
    found = done(image, resample=Resample(spacing_kji_mm=want, interpolation="cubic"))
    blurred = ndimage.gaussian_filter1d(image.voxels.astype(np.float64), 0.6, axis=0, mode="nearest")
    plain = {"spacing_kji_mm": want, "interpolation": "cubic", "blur": False}
    expected = done(Prepared(blurred, image.grid), resample=Resample(**plain))
    inside = np.abs(expected.voxels) < np.abs(blurred).max() * 0.99  # each is limited to its own range
    assert np.abs(found.voxels - expected.voxels)[inside].max() < 1e-5
    assert done(image, resample=Resample(**plain)).voxels.std() > 1.2 * found.voxels.std()


def test_what_lies_half_way_goes_to_the_later_voxel():
    image = Prepared(np.arange(8, dtype=np.int16).reshape(1, 1, 8), grid_of((1, 1, 8), (1, 1, 1)))
    found = done(image, resize=Resize(shape_kji=(1, 1, 4), interpolation="nearest"))
    assert found.voxels.ravel().tolist() == [1, 3, 5, 7]
    assert found.voxels.dtype == np.int16


@pytest.mark.parametrize(
    ("old", "new", "axis"),
    [
        ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        ((1.0, 1.0, 3.5), (1.0, 1.0, 1.0), 2),
        ((1.0, 1.0, 1.0), (1.0, 4.0, 1.0), 1),
        ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
        ((4.0, 4.0, 1.0), (1.0, 1.0, 9.0), None),
    ],
)
def test_thick_slices_are_those_over_three_times_the_smallest_spacing(old, new, axis):
    assert thick_axis(old, new) == axis


@pytest.mark.parametrize("align", ["faces", "extent", "first_centre", "corners"])
@pytest.mark.parametrize(("size", "have", "want"), [(1, 0.2, 5.0), (2, 0.3, 9.0), (1, 5.0, 1.0)])
def test_an_axis_keeps_a_voxel_within_itself(align, size, have, want):
    plan = axis_to_spacing(size, have, want, align)
    assert plan.count >= 1
    assert plan.linear(blur=True).size == plan.count
    assert ((plan.nearest >= 0) & (plan.nearest < size)).all()


def test_a_single_voxel_by_corners_stands_in_the_middle():
    plan = axis_to_count(9, 1, "corners")
    assert (plan.first, plan.step) == (4.0, 9.0)


def test_a_letterbox_of_a_wide_picture_has_bars_above_and_below():
    picture = np.arange(1, 9, dtype=np.float32).reshape(1, 2, 4)
    image = Prepared(picture, grid_of((1, 2, 4), (1.0, 1.0, 1.0)))
    found = done(image, letterbox=Letterbox(shape_ji=(8, 8), interpolation="nearest", value=-1.0))
    assert found.voxels[0, :2].tolist() == found.voxels[0, 6:].tolist() == [[-1.0] * 8] * 2
    assert np.array_equal(found.voxels[0, 2:6], picture[0].repeat(2, axis=0).repeat(2, axis=1))


def test_progress_is_told_of_every_plane():
    seen: list[tuple[str, int, int]] = []
    one = Preparation(resample=Resample(spacing_kji_mm=(1.0, 1.0, 1.0), **NNUNET))
    PREPARATIONS["resample"].run(
        image_of((6, 8, 8), (5.0, 0.8, 0.8)), one.declared, lambda *call: seen.append(call)
    )
    assert [call[1] for call in seen] == list(range(1, 7))
    assert seen[-1] == ("preparing", 6, 6)
