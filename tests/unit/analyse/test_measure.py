"""What is measured, on shapes whose measures are known."""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.analyse.acquisition import Acquisition, acquisition_of, low_attenuation_refused
from dicomnode.analyse.axes import axes_of
from dicomnode.analyse.concepts import CONCEPTS
from dicomnode.analyse.measure import core_hu, is_solid, measure
from dicomnode.values import Grid, Mask, SourceHeaders
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation


def ellipse(shape, spacing, centre, half_axes, angle) -> np.ndarray:
    """A plane (1, j, i) with a filled ellipse; centre and half axes in mm."""
    _, j, i = np.ogrid[:1, : shape[1], : shape[2]]
    y, x = j * spacing[1] - centre[0], i * spacing[2] - centre[1]
    u = x * math.cos(angle) + y * math.sin(angle)
    v = -x * math.sin(angle) + y * math.cos(angle)
    return (u / half_axes[0]) ** 2 + (v / half_axes[1]) ** 2 <= 1


@given(
    st.floats(6.0, 14.0),
    st.floats(0.5, 0.95),
    st.floats(0.0, math.pi),
    st.floats(0.4, 0.9),
    st.floats(0.4, 0.9),
    st.sampled_from(TURNS),
    angles,
)
@settings(max_examples=60, deadline=None)
def test_axes_of_an_ellipse_are_its_axes_on_any_grid(long, ratio, angle, j_mm, i_mm, turn, tilt):
    shape, spacing = (1, 90, 90), (2.0, j_mm, i_mm)
    plane = ellipse(shape, spacing, (45 * j_mm, 45 * i_mm), (long, ratio * long), angle)
    grid = grid_of(shape, spacing, (7.0, -3.0, 5.0), turn, rotation(*tilt))
    axes = axes_of(Mask.from_array(plane), grid)
    voxel = max(j_mm, i_mm)
    assert axes.long_mm == pytest.approx(2 * long, abs=1.2 * voxel)
    assert axes.short_mm == pytest.approx(2 * ratio * long, abs=1.6 * voxel)
    assert axes.short_mm <= axes.long_mm + 1e-9


@given(st.sampled_from(TURNS), angles, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_end_points_lie_on_the_slice_at_the_distance_that_is_said(turn, tilt, seed):
    grid = grid_of((3, 12, 14), (2.5, 0.6, 0.9), (1.0, 2.0, 3.0), turn, rotation(*tilt))
    mask = np.random.default_rng(seed).random((3, 12, 14)) < 0.2
    mask[1, 5:9, 4:9] = True
    axes = axes_of(Mask.from_array(mask), grid)
    ends = np.array([*axes.long_lps_mm, *axes.short_lps_mm])
    index = grid.to_index_kji(ends)
    assert np.allclose(index[:, 0], axes.k, atol=1e-6)
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(axes.long_mm)
    assert np.linalg.norm(ends[2] - ends[3]) == pytest.approx(axes.short_mm)
    assert np.dot(ends[1] - ends[0], ends[3] - ends[2]) == pytest.approx(0.0, abs=1e-6)
    assert axes.k == mask.sum(axis=(1, 2)).argmax()


def test_one_voxel_is_as_long_as_its_longer_side():
    mask = np.zeros((2, 5, 5), dtype=bool)
    mask[1, 2, 3] = True
    axes = axes_of(Mask.from_array(mask), grid_of((2, 5, 5), (3.0, 0.8, 0.5)))
    assert axes.long_mm == pytest.approx(0.8)
    assert axes.short_mm == pytest.approx(0.5)
    assert np.mean(axes.long_lps_mm, axis=0) == pytest.approx([1.5, 1.6, 3.0])


def test_a_row_of_voxels_is_as_long_as_it_is():
    mask = np.zeros((1, 5, 20), dtype=bool)
    mask[0, 2, 3:13] = True
    axes = axes_of(Mask.from_array(mask), grid_of((1, 5, 20), (1.0, 1.0, 1.0)))
    assert axes.long_mm == pytest.approx(10.0)
    assert axes.short_mm == pytest.approx(1.0)


ALL = tuple(CONCEPTS)


def test_measures_of_a_box_are_those_by_hand(make_volume):
    voxels = np.full((4, 6, 8), -1000, dtype=np.int16)
    voxels[1:3, 2:4, 2:6] = np.array([-960, -940, -100, 0], dtype=np.int16)
    mask = np.zeros(voxels.shape, dtype=bool)
    mask[1:3, 2:4, 2:6] = True
    volume = make_volume(voxels, spacing=(2.0, 0.5, 0.5))
    found = measure(Mask.from_array(mask), volume, ALL)
    values = {one.name: one.value for one in found.measurements}
    assert [one.name for one in found.measurements] == list(ALL)
    assert values["volume_mm3"] == pytest.approx(8.0)
    assert values["volume_ml"] == pytest.approx(0.008)
    assert values["mean_hu"] == pytest.approx(-500.0)
    assert values["sd_hu"] == pytest.approx(np.std([-960, -940, -100, 0]))
    assert values["laa950_percent"] == pytest.approx(25.0)
    assert values["perc15_hu"] == pytest.approx(-960.0)
    assert values["equivalent_diameter_mm"] == pytest.approx((48 / math.pi) ** (1 / 3))
    # The hull of the faces' midpoints: the corners of the voxels are not reached
    assert values["long_axis_mm"] == pytest.approx(math.hypot(2.0, 0.5))
    assert found.centre_lps_mm == pytest.approx((1.75, 1.25, 3.0))


def test_only_what_is_asked_for_is_measured_and_in_that_order(make_volume):
    volume = make_volume(np.zeros((2, 2, 2), np.int16))
    found = measure(Mask.from_array(np.ones((2, 2, 2))), volume, ["sd_hu", "volume_ml"])
    assert [one.name for one in found.measurements] == ["sd_hu", "volume_ml"]
    assert found.axes is None


def test_an_empty_mask_is_a_bug(make_volume):
    with pytest.raises(ValueError, match="empty mask"):
        measure(Mask.from_array(np.zeros((2, 2, 2))), make_volume(np.zeros((2, 2, 2), np.int16)), ALL)


@pytest.mark.parametrize(("inner", "solid"), [(-40, True), (-290, True), (-310, False), (-600, False)])
def test_solid_is_decided_by_the_core_and_not_by_the_rim(make_volume, inner, solid):
    k, j, i = np.ogrid[:21, :21, :21]
    apart = np.sqrt((k - 10) ** 2 + (j - 10) ** 2 + (i - 10) ** 2)
    voxels = np.where(apart < 5, inner, np.where(apart < 9, -700, -870)).astype(np.int16)
    core = core_hu(Mask.from_array(apart < 9), make_volume(voxels))
    assert core == pytest.approx(inner)
    assert is_solid(core) is solid


def test_the_core_of_one_voxel_is_that_voxel(make_volume):
    voxels = np.full((3, 3, 3), -800, np.int16)
    voxels[1, 1, 1] = 12
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[1, 1, 1] = True
    assert core_hu(Mask.from_array(mask), make_volume(voxels)) == 12.0


@pytest.mark.parametrize(
    ("kernel", "thickness", "spacing", "why"),
    [
        ("STANDARD", 1.25, 1.0, None),
        ("SOFT", 3.0, 3.0, None),
        ("B30f", 1.0, 0.7, None),
        ("Br36d", 1.0, 0.7, None),
        ("Qr40f", 1.0, 0.7, None),
        ("FC08", 1.0, 0.8, None),
        ("B", 2.0, 1.0, None),
        ("FC51", 2.0, 2.0, "FC51"),
        ("LUNG", 1.25, 1.25, "LUNG"),
        ("B70f", 1.0, 1.0, "B70f"),
        ("Br59d", 1.0, 1.0, "Br59d"),
        ("YA", 1.0, 1.0, "YA"),
        ("SOFT", 3.75, 3.27, "3.8 mm"),
        ("SOFT", None, 5.0, "5.0 mm"),
        ("SOFT", 2.0, 4.0, "4.0 mm"),
        (None, 1.0, 1.0, "not known"),
    ],
)
def test_low_attenuation_is_given_for_thin_slices_of_soft_kernels_only(kernel, thickness, spacing, why):
    found = low_attenuation_refused(Acquisition(kernel, thickness), spacing)
    assert (found is None) if why is None else (why in (found or ""))


def header(**values: object) -> SourceHeaders:
    dataset = Dataset()
    dataset.SOPInstanceUID, dataset.SOPClassUID = "1.2.3", CTImageStorage
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return SourceHeaders((stream.getvalue(),))


def damaged(thickness: bytes, kernel: bytes) -> SourceHeaders:
    """A header whose values are not what their VR allows."""
    (plain,) = header().encoded
    elements = ((b"\x18\x00\x50\x00DS", thickness), (b"\x18\x00\x10\x12SH", kernel))
    return SourceHeaders((plain + b"".join(tag + len(v).to_bytes(2, "little") + v for tag, v in elements),))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (header(ConvolutionKernel="FC51", SliceThickness="2.0"), Acquisition("FC51", 2.0)),
        (header(ConvolutionKernel=["Br40d", "3"], SliceThickness="1"), Acquisition("Br40d", 1.0)),
        (header(ConvolutionKernel="", SliceThickness=None), Acquisition(None, None)),
        (header(), Acquisition(None, None)),
        (SourceHeaders(()), Acquisition(None, None)),
        (damaged(b"abc ", b"B30f\\3 "), Acquisition("B30f", None)),
        (damaged(b"1\\2 ", b"B\x1b\x0030"), Acquisition("B30", 1.0)),
        (damaged(b"nan ", b"K" * 6000), Acquisition("K" * 64, None)),
        (damaged(b"-1", b""), Acquisition(None, None)),
    ],
    ids=["one value", "two values", "empty", "absent", "no header", "text", "two", "long", "negative"],
)
def test_kernel_and_thickness_are_read_from_the_first_header(headers, expected):
    assert acquisition_of(headers) == expected


def test_every_public_code_is_that_of_the_dictionary():
    known = {
        "118565006": codes.SCT.Volume,
        "103339001": codes.SCT.LongAxis,
        "103340004": codes.SCT.ShortAxis,
        "112031": codes.DCM.AttenuationCoefficient,
        "373098007": codes.SCT.Mean,
        "386136009": codes.SCT.StandardDeviation,
    }
    for concept in CONCEPTS.values():
        for code in (concept.code, concept.derivation):
            if code is not None and code.scheme != "99DICOMNODE":
                expected = known[code.value]
                assert (code.value, code.scheme) == (expected.value, expected.scheme_designator)
                assert code.meaning == expected.meaning


def test_a_grid_for_axes_may_be_left_handed():
    affine = np.diag([-0.5, 0.5, 2.0, 1.0])
    mask = np.zeros((1, 9, 9), dtype=bool)
    mask[0, 4, 1:8] = True
    axes = axes_of(Mask.from_array(mask), Grid((1, 9, 9), affine, "1.2.3"))
    assert axes.long_mm == pytest.approx(3.5)
    assert {round(end[0], 6) for end in axes.long_lps_mm} == {-0.25, -3.75}
