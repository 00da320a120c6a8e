"""Turning, cutting, padding and scaling the grid: every voxel stays where it is in the patient."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.prepare import prepare
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.spacing import LARGEST_GRID
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_geometry import (
    CropCentre,
    CropForeground,
    Letterbox,
    Pad,
    Resample,
    Resize,
)
from dicomnode.faults import PREPARATION_FAILED, NodeError
from dicomnode.values import no_progress
from tests.unit.analyse.foreign import foreign
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation, shapes, spacings

CODES = ["".join(letters) for pairs in permutations(("LR", "PA", "SI")) for letters in product(*pairs)]
LPS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}

tilts = st.tuples(*[st.floats(-0.2, 0.2)] * 3)
counts = st.tuples(*[st.integers(1, 12)] * 3)


def done(image: Prepared, **entry) -> Prepared:
    one = Preparation(**entry)
    return PREPARATIONS[one.name].run(image, one.declared, no_progress)


def numbered(shape) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1, dtype=np.int16).reshape(shape)


def indices(shape) -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)


def taken_from(before: Prepared, after: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Index in `before` of each voxel of `after`, and which of them lie on a voxel of it."""
    back = before.grid.to_index_kji(after.grid.to_lps_mm(indices(after.voxels.shape)))
    assert np.abs(back - np.rint(back)).max() < 1e-6
    there = np.rint(back).astype(int)
    return there, ((there >= 0) & (there < before.voxels.shape)).all(axis=-1)


def test_there_are_48_orientations():
    assert len(set(CODES)) == 48


@given(shapes, spacings, st.sampled_from(TURNS), angles, st.sampled_from(CODES))
@settings(max_examples=150, deadline=None)
def test_any_orientation_moves_no_voxel_in_the_patient(shape, spacing, turn, tilt, code):
    before = Prepared(numbered(shape), grid_of(shape, spacing, (-4.0, 9.0, 2.0), turn, rotation(*tilt)))
    after = done(before, orient=code)
    there, inside = taken_from(before, after)
    assert inside.all()
    assert after.voxels.size == before.voxels.size
    assert np.array_equal(after.voxels, before.voxels[tuple(np.moveaxis(there, -1, 0))])
    assert after.voxels.dtype == np.int16


@given(shapes, spacings, st.sampled_from(TURNS), tilts, st.sampled_from(CODES))
@settings(max_examples=150, deadline=None)
def test_axes_i_j_k_run_where_the_letters_say(shape, spacing, turn, tilt, code):
    grid = grid_of(shape, spacing, turn=turn, tilt=rotation(*tilt))
    affine = done(Prepared(numbered(shape), grid), orient=code).grid.affine_lps
    for column, letter in enumerate(code):
        row, sign = LPS[letter]
        direction = affine[:3, column] / np.linalg.norm(affine[:3, column])
        assert direction[row] * sign > 0.7


@pytest.mark.parametrize("code", ["RAS", "LIA", "PSR", "SAR"])
def test_an_orientation_read_backwards_is_that_of_monai(code):
    """MONAI's arrays begin with the axis that its first letter names; a tensor here begins with k."""
    transforms, data = foreign("monai.transforms"), foreign("monai.data")
    voxels = np.random.default_rng(5).standard_normal((5, 6, 7)).astype(np.float32)
    grid = grid_of(voxels.shape, (3.0, 1.0, 0.5), (1.0, 2.0, 3.0), TURNS[21], rotation(0.1, -0.1, 0.2))
    ras = (
        np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine_lps[:, [2, 1, 0, 3]]
    )  # for an array that begins with k
    theirs = transforms.Orientation(axcodes=code, labels=(("L", "R"), ("P", "A"), ("I", "S")))(
        data.MetaTensor(voxels[None], affine=ras)
    )
    ours = done(Prepared(voxels, grid), orient=code[::-1])
    assert np.array_equal(np.asarray(theirs[0]), ours.voxels)
    expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ours.grid.affine_lps[:, [2, 1, 0, 3]]
    assert np.allclose(np.asarray(theirs.affine), expected, atol=1e-5)


PADS = st.builds(
    Pad,
    shape_kji=counts,
    mode=st.sampled_from(["constant", "edge", "reflect"]),
    where=st.sampled_from(["symmetric", "end"]),
)
MULTIPLES = st.builds(
    Pad, multiple_kji=counts, mode=st.sampled_from(["constant", "edge", "reflect"]), where=st.just("end")
)


@given(shapes, spacings, st.sampled_from(TURNS), angles, st.one_of(PADS, MULTIPLES))
@settings(max_examples=100, deadline=None)
def test_padding_leaves_every_voxel_where_it_was(shape, spacing, turn, tilt, how):
    before = Prepared(numbered(shape), grid_of(shape, spacing, (3.0, 1.0, 2.0), turn, rotation(*tilt)))
    after = done(before, pad=how)
    wanted = how.shape_kji or [-(-n // m) * m for n, m in zip(shape, how.multiple_kji, strict=True)]
    assert after.voxels.shape == tuple(max(n, want) for n, want in zip(shape, wanted, strict=True))
    there, inside = taken_from(before, after)
    assert inside.sum() == before.voxels.size
    assert np.array_equal(after.voxels[inside], before.voxels[tuple(there[inside].T)])
    if how.mode == "constant":
        assert (after.voxels[~inside] == 0).all()
    elif how.mode == "edge":
        near = np.clip(there, 0, np.array(shape) - 1)
        assert np.array_equal(after.voxels, before.voxels[tuple(np.moveaxis(near, -1, 0))])
    assert after.voxels.dtype == np.int16


@given(shapes, counts, st.sampled_from(["constant", "edge", "reflect"]))
@settings(max_examples=60, deadline=None)
def test_padding_on_both_sides_is_that_of_monai(shape, wanted, mode):
    transforms = foreign("monai.transforms")
    missing = [max(want - n, 0) for n, want in zip(shape, wanted, strict=True)]
    assume(mode != "reflect" or all(one - one // 2 < n for one, n in zip(missing, shape, strict=True)))
    voxels = numbered(shape).astype(np.float32)
    theirs = transforms.SpatialPad(wanted, mode=mode)(voxels[None])
    ours = done(Prepared(voxels, grid_of(shape, (1, 1, 1))), pad=Pad(shape_kji=wanted, mode=mode))
    assert np.array_equal(np.asarray(theirs[0]), ours.voxels)


@pytest.mark.parametrize(
    ("value", "dtype"), [(-1000.0, np.int16), (0.5, np.float32), (-1e5, np.float32)], ids=str
)
def test_what_is_padded_has_the_value_and_the_type_follows_it(value, dtype):
    image = Prepared(numbered((2, 2, 2)), grid_of((2, 2, 2), (1, 1, 1)))
    after = done(image, pad=Pad(shape_kji=(2, 2, 3), value=value, where="end"))
    assert after.voxels.dtype == dtype
    assert (after.voxels[:, :, 2] == dtype(value)).all()
    assert np.array_equal(after.voxels[:, :, :2], image.voxels)


@given(shapes, spacings, st.sampled_from(TURNS), angles, counts)
@settings(max_examples=60, deadline=None)
def test_the_middle_is_cut_out_as_monai_does_and_stays_in_place(shape, spacing, turn, tilt, wanted):
    before = Prepared(numbered(shape), grid_of(shape, spacing, (3.0, 1.0, 2.0), turn, rotation(*tilt)))
    after = done(before, crop_centre=CropCentre(shape_kji=wanted))
    there, inside = taken_from(before, after)
    assert inside.all()
    assert after.voxels.shape == tuple(min(a, b) for a, b in zip(shape, wanted, strict=True))
    assert np.array_equal(after.voxels, before.voxels[tuple(np.moveaxis(there, -1, 0))])
    theirs = foreign("monai.transforms").CenterSpatialCrop(wanted)(before.voxels[None])
    assert np.array_equal(np.asarray(theirs[0]), after.voxels)


boxes = st.tuples(*[st.tuples(st.integers(0, 8), st.integers(1, 8))] * 3)


@given(boxes, st.integers(0, 4), st.integers(1, 5), st.sampled_from(TURNS))
@settings(max_examples=80, deadline=None)
def test_the_foreground_is_cut_out_as_monai_does_and_stays_in_place(box, margin, multiple, turn):
    shape = (14, 15, 16)
    voxels = np.full(shape, -5, dtype=np.int16)
    part = tuple(slice(start, min(start + size, n)) for (start, size), n in zip(box, shape, strict=True))
    voxels[part] = numbered(shape)[part]
    before = Prepared(voxels, grid_of(shape, (2.0, 0.7, 0.9), (3.0, 1.0, 2.0), turn))
    how = CropForeground(above=0.0, margin_voxels=margin, multiple=multiple, outside="pad", value=-7.0)
    after = done(before, crop_foreground=how)
    there, inside = taken_from(before, after)
    assert np.array_equal(after.voxels[inside], before.voxels[tuple(there[inside].T)])
    assert (after.voxels[~inside] == -7).all()
    assert all(size % multiple == 0 for size in after.voxels.shape)
    theirs = foreign("monai.transforms").CropForeground(
        margin=margin, k_divisible=multiple, mode="constant", constant_values=-7
    )(voxels[None])
    assert np.array_equal(np.asarray(theirs[0]), after.voxels)


def test_what_is_not_zero_is_cut_out_as_nnunet_does():
    cropping = foreign("nnunetv2.preprocessing.cropping.cropping")
    voxels = np.zeros((9, 10, 11), np.float32)
    voxels[2:5, 3:9, 1:10] = -3.0
    voxels[3, 4:6, 4:6] = 0.0
    theirs, _, _ = cropping.crop_to_nonzero(voxels[None])
    ours = done(Prepared(voxels, grid_of(voxels.shape, (1, 1, 1))), crop_foreground=CropForeground())
    assert np.array_equal(theirs[0], ours.voxels)
    assert np.allclose(ours.grid.to_lps_mm([0, 0, 0]), [1, 3, 2])


def test_a_box_that_stops_ends_where_the_volume_does():
    voxels = np.zeros((5, 5, 5), np.int16)
    voxels[0, 2, 4] = 9
    image = Prepared(voxels, grid_of(voxels.shape, (1, 1, 1)))
    after = done(image, crop_foreground=CropForeground(margin_voxels=1))
    assert after.voxels.shape == (2, 3, 2)
    assert after.voxels[0, 1, 1] == 9


def test_a_volume_of_background_alone_stays_whole():
    image = Prepared(np.zeros((3, 4, 5), np.int16), grid_of((3, 4, 5), (1, 1, 1)))
    assert done(image, crop_foreground=CropForeground()) is image


@given(shapes, spacings, spacings, st.sampled_from(TURNS), angles, st.data())
@settings(max_examples=150, deadline=None)
def test_a_linear_field_stays_linear_however_the_grid_is_made_finer(shape, spacing, other, turn, tilt, data):
    grid = grid_of(shape, spacing, (2.0, 3.0, 4.0), turn, rotation(*tilt))
    slope = np.array([1.0, -0.4, 0.25])
    field = (grid.to_lps_mm(indices(shape)) @ slope).astype(np.float32)
    interpolation = data.draw(st.sampled_from(["linear", "cubic"]))
    if data.draw(st.booleans()):
        finer = tuple(min(a, b) for a, b in zip(spacing, other, strict=True))
        align = data.draw(st.sampled_from(["faces", "extent", "first_centre", "corners"]))
        how = {
            "resample": Resample(spacing_kji_mm=finer, interpolation=interpolation, align=align, blur=False)
        }
    else:
        align = data.draw(st.sampled_from(["extent", "corners"]))
        more = tuple(n + data.draw(st.integers(0, 9)) for n in shape)
        how = {"resize": Resize(shape_kji=more, interpolation=interpolation, align=align, blur=False)}
    after = done(Prepared(field, grid), **how)
    at = after.grid.to_lps_mm(indices(after.voxels.shape))
    back = grid.to_index_kji(at)
    # A spline whose edge is held bends near it: one of four voxels is straight in its middle only
    away = 0.0 if interpolation == "linear" else 3.0
    near_edge = ((back < away - 1e-6) | (back > np.array(shape) - 1 - away + 1e-6)).any(axis=-1)
    allowed = 1e-3 if interpolation == "linear" else 0.08 * max(spacing)
    assert np.abs(np.where(near_edge, 0.0, after.voxels - at @ slope)).max() < allowed * max(
        1.0, float(np.abs(at @ slope).max()) if interpolation == "linear" else 1.0
    )


@given(
    shapes, spacings, spacings, st.sampled_from(TURNS), st.sampled_from(["faces", "extent", "first_centre"])
)
@settings(max_examples=80, deadline=None)
def test_the_nearest_voxel_is_never_further_than_half_a_voxel(shape, spacing, other, turn, align):
    before = Prepared(numbered(shape), grid_of(shape, spacing, (1.0, 2.0, 3.0), turn))
    how = Resample(spacing_kji_mm=other, interpolation="nearest", align=align)
    after = done(before, resample=how)
    assert after.voxels.dtype == np.int16
    back = before.grid.to_index_kji(after.grid.to_lps_mm(indices(after.voxels.shape)))
    taken = np.stack(np.unravel_index(after.voxels.astype(int) - 1, shape), -1)
    # Beyond the last centre the edge is held
    assert np.abs(np.clip(back, 0, np.array(shape) - 1) - taken).max() < 0.5 + 1e-5


@given(shapes, spacings, st.sampled_from(TURNS), angles, counts)
@settings(max_examples=60, deadline=None)
def test_a_fixed_shape_keeps_the_outer_faces(shape, spacing, turn, tilt, wanted):
    grid = grid_of(shape, spacing, (1.0, 2.0, 3.0), turn, rotation(*tilt))
    after = done(Prepared(numbered(shape), grid), resize=Resize(shape_kji=wanted))
    assert after.voxels.shape == wanted
    for old, new in (((-0.5,) * 3, (-0.5,) * 3), (np.array(shape) - 0.5, np.array(wanted) - 0.5)):
        assert np.allclose(grid.to_lps_mm(old), after.grid.to_lps_mm(new))


@given(shapes, spacings, spacings, st.sampled_from(TURNS), angles)
@settings(max_examples=60, deadline=None)
def test_corners_keep_the_first_and_the_last_centre(shape, spacing, other, turn, tilt):
    grid = grid_of(shape, spacing, (1.0, 2.0, 3.0), turn, rotation(*tilt))
    how = Resample(spacing_kji_mm=other, align="corners")
    after = done(Prepared(numbered(shape), grid), resample=how)
    last = np.array(after.voxels.shape) - 1
    middle_only = np.array(after.voxels.shape) == 1
    first_at, last_at = grid.to_index_kji(after.grid.to_lps_mm([[0, 0, 0], last]))
    assert np.allclose(np.where(middle_only, (np.array(shape) - 1) / 2.0, 0.0), first_at, atol=1e-9)
    assert np.allclose(np.where(middle_only, (np.array(shape) - 1) / 2.0, np.array(shape) - 1), last_at)


@given(shapes, spacings, st.sampled_from(TURNS), st.tuples(st.integers(1, 20), st.integers(1, 20)))
@settings(max_examples=100, deadline=None)
def test_a_letterbox_stretches_nothing_and_shows_all(shape, spacing, turn, box):
    grid = grid_of(shape, spacing, (1.0, 2.0, 3.0), turn)
    image = Prepared(np.ones(shape, np.float32), grid)
    after = done(image, letterbox=Letterbox(shape_ji=box, value=-1.0))
    assert after.voxels.shape == (shape[0], *box)
    k_mm, j_mm, i_mm = after.grid.spacing_kji_mm
    assert k_mm == pytest.approx(spacing[0])
    assert j_mm == pytest.approx(i_mm)
    middle = grid.to_lps_mm((np.array(shape) - 1) / 2.0)
    found = after.grid.to_lps_mm((np.array(after.voxels.shape) - 1) / 2.0)
    assert np.abs(after.grid.to_index_kji(middle) - after.grid.to_index_kji(found)).max() < 0.5 + 1e-9
    covered = (after.voxels > 0.5).sum() * j_mm * i_mm
    plane = shape[0] * shape[1] * spacing[1] * shape[2] * spacing[2]
    edges = shape[0] * (box[0] + box[1]) * j_mm * i_mm
    assert abs(covered - plane) <= edges
    # The longer side, measured in boxes, fills the box
    rows, columns = (np.flatnonzero((after.voxels[0] > 0).any(axis=axis)) for axis in (1, 0))
    assert len(rows) == box[0] or len(columns) == box[1]


PIPELINES = {
    "resampled": ({"orient": "LPS"}, {"resample_mm": (1.5, 1.5, 1.5)}),
    "as MONAI": (
        {"orient": "SAR"},
        {"resample": Resample(spacing_kji_mm=(1.0, 1.0, 1.4), align="first_centre", blur=False)},
        {"crop_foreground": CropForeground(above=0.2, margin_voxels=6, outside="pad")},
        {"pad": Pad(multiple_kji=(16, 16, 16))},
    ),
    "as nnU-Net": (
        {"crop_foreground": CropForeground()},
        {
            "resample": Resample(
                spacing_kji_mm=(1.25, 1.0, 1.0),
                interpolation="cubic",
                align="extent",
                blur=False,
                thick_slices="nearest",
            )
        },
        {"pad": Pad(shape_kji=(70, 60, 90))},
    ),
    "to a fixed shape": (
        {"orient": "AIL"},
        {"resize": Resize(shape_kji=(64, 64, 64))},
        {"crop_centre": CropCentre(shape_kji=(60, 58, 62))},
    ),
    "by corners": ({"resample": Resample(spacing_kji_mm=(1.3, 1.3, 1.3), align="corners")},),
    "in a letterbox": ({"orient": "LPI"}, {"letterbox": Letterbox(shape_ji=(96, 96))}),
}


@pytest.mark.parametrize("name", list(PIPELINES))
@pytest.mark.parametrize("turn", [0, 13, 46])
def test_what_is_found_on_the_prepared_grid_goes_back_to_where_it_lies(make_volume, name, turn):
    """An ellipsoid with an off-centre ball at one end, oblique, in voxels that are 2.5 × 0.7 × 0.9 mm."""
    shape = (36, 90, 80)
    grid = grid_of(shape, (2.5, 0.7, 0.9), (11.0, -7.0, 5.0), TURNS[turn], rotation(0.15, -0.1, 0.2))
    away = (grid.to_lps_mm(indices(shape)) - grid.to_lps_mm([17, 42, 43])) @ rotation(0.3, 0.2, 0.1)
    apart = np.minimum(
        np.linalg.norm(away / [24.0, 18.0, 28.0], axis=-1),
        np.linalg.norm(away - [17.0, 9.0, 11.0], axis=-1) / 12.0,
    )
    # Partial volume: a border as wide as a voxel, half way up on the surface
    soft = np.clip(0.5 - (apart - 1.0) * 12.0, 0.0, 1.0).astype(np.float32)
    truth = soft > 0.5
    entries = [Preparation(**entry) for entry in PIPELINES[name]]
    image = prepare(make_volume(soft, affine=grid.affine_lps), entries)
    found = onto_source(image.voxels > 0.5, image.grid, grid).to_array()
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) >= 0.98


@pytest.mark.parametrize(
    "entry",
    [
        {"resample_mm": (1e-3, 1e-3, 1e-3)},
        {"resample": Resample(spacing_kji_mm=(1e-3, 1e-3, 1e-3))},
        {"resize": Resize(shape_kji=(4096, 4096, 4096))},
        {"pad": Pad(shape_kji=(4096, 4096, 4096))},
    ],
    ids=lambda entry: next(iter(entry)),
)
def test_a_grid_that_no_memory_holds_is_refused_before_it_is_made(entry):
    image = Prepared(np.zeros((20, 20, 20), np.int16), grid_of((20, 20, 20), (1, 1, 1)))
    with pytest.raises(NodeError) as caught:
        done(image, **entry)
    assert caught.value.fault is PREPARATION_FAILED
    assert str(LARGEST_GRID) in str(caught.value)
