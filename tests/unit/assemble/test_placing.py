"""Geometry decisions on records: no file, no pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.assemble.placing import Placement, axes, place
from dicomnode.assemble.record import Header
from dicomnode.values import Refusal
from tests.unit.assemble.series import CT, PLANES, affine_of


def record(position, *, row=(1, 0, 0), column=(0, 1, 0), spacing_ji=(0.7, 0.9), number=0) -> Header:
    return Header(
        path=Path(f"{number}.dcm"),
        sop_instance_uid=f"1.2.{number}",
        sop_class_uid=CT,
        study_instance_uid="1.3",
        series_instance_uid="1.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        frame_of_reference_uid="1.5",
        photometric="MONOCHROME2",
        rows=9,
        columns=7,
        spacing_ji_mm=spacing_ji,
        orientation=(*map(float, row), *map(float, column)),
        position_lps_mm=tuple(map(float, position)),
        rescale=(1.0, 0.0),
        instance_number=number,
    )


def records(affine, count=6):
    """Records of the slices of a grid."""
    row = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    column = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    spacing = (np.linalg.norm(affine[:3, 1]), np.linalg.norm(affine[:3, 0]))
    return [
        record(affine[:3, 3] + k * affine[:3, 2], row=row, column=column, spacing_ji=spacing, number=k)
        for k in range(count)
    ]


def at(*positions_z):
    """Axial records at these z."""
    return [record((0, 0, z), number=n) for n, z in enumerate(positions_z)]


rotations = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 1e-2)
spacings = st.floats(0.2, 8)


def rotation(quaternion):
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@given(
    rotations,
    st.tuples(spacings, spacings, spacings),
    st.tuples(*[st.floats(-900, 900)] * 3),
    st.integers(3, 40),
)
def test_the_affine_is_the_grid_that_the_slices_were_cut_from(quaternion, spacing_kji, origin, count):
    turn = rotation(quaternion)
    affine = affine_of(turn[:, 0], turn[:, 1], spacing_kji, origin)
    placement = place(records(affine, count))
    assert isinstance(placement, Placement)
    assert np.allclose(placement.affine_lps, affine, atol=1e-9)
    assert np.linalg.det(placement.affine_lps[:3, :3]) > 0
    assert placement.repairs == ()


@pytest.mark.parametrize("plane", list(PLANES))
def test_columns_of_the_affine_follow_rows_columns_and_slices_in_every_plane(plane):
    affine = affine_of(*PLANES[plane])
    placement = place(records(affine))
    assert np.allclose(placement.affine_lps, affine, atol=1e-9)


def test_slice_thickness_plays_no_part_in_the_affine():
    thick = [replace(one, tags={"SliceThickness": 99.0, "SpacingBetweenSlices": 77.0}) for one in at(0, 2, 4)]
    assert place(thick).affine_lps[2, 2] == 2.0


REFUSED = {
    "one of many is missing": (
        [0, 2, 4, 8, 10, 12],
        "DN-3005",
        "1 place(s): the distance is 4.000 mm after slice 2",
    ),
    "two in a row are missing": (
        [0, 2, 4, 10, 12, 14],
        "DN-3005",
        "6.000 mm after slice 2 (position 4.00 mm",
    ),
    "the second is missing": ([0, 4, 6, 8, 10], "DN-3005", "after slice 0"),
    "the last but one is missing": ([0, 2, 4, 6, 10], "DN-3005", "after slice 3"),
    "two places": ([0, 2, 6, 8, 12, 14], "DN-3005", "2 place(s)"),
    "only three are left": (
        [0, 2, 6],
        "DN-3005",
        "4.000 mm after slice 1 (position 2.00 mm along the normal), 2.000",
    ),
    "a gap that is rounded": ([0, 2, 4, 7.9, 9.9], "DN-3005", "3.900 mm"),
    "one of 120": (
        [1.6 * n for n in range(120) if n != 57],
        "DN-3005",
        "3.200 mm after slice 56 (position 89.60 mm",
    ),
    "two intervals": ([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5], "DN-3006", "from 2.500 to 5.000 mm"),
    "no multiple": ([0, 2, 4, 7, 9], "DN-3006", "2.000 to 3.000"),
    "one slice is off its place": ([0, 2, 4.3, 6, 8], "DN-3006", "tolerance 0.100 mm"),
    "a drift that no step shows": (
        [*range(0, 40, 2), *(40 + 2.04 * n for n in range(20))],
        "DN-3006",
        "from 2.000 to 2.040",
    ),
}


@pytest.mark.parametrize(("positions", "code", "words"), REFUSED.values(), ids=list(REFUSED))
def test_uneven_slices_are_refused_with_what_was_found(positions, code, words):
    refusal = place(at(*positions))
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert words in refusal.text


ACCEPTED = {
    "even": ([0, 2, 4, 6], 0),
    "decimal rounding": ([0, 2.001, 3.999, 6], 0),
    "within 5 %": ([0, 2.05, 3.95, 6], 1),
    "0.625 mm written with one decimal": ([0, 0.6, 1.3, 1.9, 2.5, 3.1, 3.8, 4.4, 5.0], 1),
}


@pytest.mark.parametrize(("positions", "repairs"), ACCEPTED.values(), ids=list(ACCEPTED))
def test_small_jitter_is_accepted_and_told(positions, repairs):
    placement = place(at(*positions))
    assert isinstance(placement, Placement)
    assert [repair.kind for repair in placement.repairs] == ["jitter"] * repairs
    expected = (positions[-1] - positions[0]) / (len(positions) - 1)
    assert placement.affine_lps[2, 2] == pytest.approx(expected)


@pytest.mark.parametrize("degrees", [0.5, -5.0, 18.5])
def test_a_tilted_stack_is_placed_exactly_and_told_with_its_angle_whatever_its_sign(degrees):
    shift = np.tan(np.radians(degrees))
    slices = [record((0, 3 * k * shift, 3 * k), number=k) for k in range(20)]
    placement = place(slices)
    assert [repair.kind for repair in placement.repairs] == ["tilt"]
    assert f"tilted by {abs(degrees):.1f} degrees" in placement.repairs[0].text
    assert placement.grid.is_sheared
    assert placement.grid.slice_distance_mm == pytest.approx(3.0)
    for k, one in enumerate(slices):
        assert placement.grid.to_lps_mm((k, 0, 0)) == pytest.approx(one.position_lps_mm, abs=1e-9)
        assert placement.grid.to_lps_mm((k, 5, 2)) == pytest.approx(
            np.add(one.position_lps_mm, (1.8, 3.5, 0)), abs=1e-9
        )


@given(
    rotations,
    st.tuples(spacings, spacings, spacings),
    st.floats(-0.8, 0.8),
    st.floats(-0.3, 0.3),
    st.integers(3, 40),
)
def test_the_affine_of_any_sheared_grid_is_that_which_the_slices_were_cut_from(
    quaternion, spacing_kji, down, across, count
):
    turn = rotation(quaternion)
    affine = affine_of(turn[:, 0], turn[:, 1], spacing_kji)
    affine[:3, 2] += spacing_kji[0] * (down * turn[:, 1] + across * turn[:, 0])
    placement = place(records(affine, count))
    assert isinstance(placement, Placement)
    assert np.allclose(placement.affine_lps, affine, atol=1e-9)
    assert [repair.kind for repair in placement.repairs] == ["tilt"] * placement.grid.is_sheared


def test_a_tilted_stack_with_uneven_slices_is_refused_for_its_distances():
    shift = np.tan(np.radians(10))
    refusal = place([record((0, z * shift, z), number=n) for n, z in enumerate([0, 4, 8, 15, 22])])
    assert refusal.code == "DN-3006"
    assert "from 4.000 to 7.000 mm" in refusal.text


def test_slices_that_lean_more_than_any_gantry_are_refused():
    refusal = place([record((0, 3.1 * k, 3 * k), number=k) for k in range(20)])
    assert refusal.code == "DN-3009"
    assert "45.9 degrees, more than any gantry tilts (45 degrees)" in refusal.text


def test_an_oblique_series_is_not_taken_for_a_tilted_one():
    assert isinstance(place(records(affine_of(*PLANES["oblique"]))), Placement)


def test_a_slice_that_is_shifted_within_its_plane_is_refused():
    slices = [record((3.0 if k == 2 else 0.0, 0, 2 * k), number=k) for k in range(6)]
    refusal = place(slices)
    assert refusal.code == "DN-3017"
    assert refusal.sop_instance_uids == ("1.2.2",)
    assert "3.000 mm" in refusal.text


def test_a_shift_of_a_tenth_of_a_pixel_is_tolerated_and_told():
    slices = [record((0.07 if k == 2 else 0.0, 0, 2 * k), number=k) for k in range(6)]
    assert [repair.kind for repair in place(slices).repairs] == ["jitter"]


def test_jitter_is_told_where_it_is():
    """Beside the line the distances are all the same, and no reason to speak of them."""
    within = [record((0.07 if k == 2 else 0.0, 0, 2.5 * k), number=k) for k in range(6)]
    (beside,) = place(within).repairs
    assert beside.text.startswith(
        "Slices lie up to 0.070 mm beside the line of the others, within their planes"
    )
    (along,) = place(at(0, 2.55, 5, 7.5)).repairs
    assert along.text.startswith("The distance between slices varies from 2.450 to 2.550 mm")
    assert "no slice lies more than 0.050 mm along the normal" in along.text
    both = [record((0.07 if k == 2 else 0.0, 0, 2.5 * k + (k == 3) / 20), number=k) for k in range(6)]
    (one,) = place(both).repairs
    assert one.text.startswith("The distance between slices varies")
    assert "mm along the normal. Slices lie up to 0.070 mm beside" in one.text


@pytest.mark.parametrize(
    ("row", "column"),
    [((1, 0, 0), (1, 0, 0)), ((2, 0, 0), (0, 1, 0)), ((0, 0, 0), (0, 1, 0)), ((1, 0, 0), (0.1, 0.9, 0))],
    ids=["parallel", "too long", "no length", "not perpendicular"],
)
def test_directions_that_are_no_axes_are_not_accepted(row, column):
    assert axes(record((0, 0, 0), row=row, column=column)) is None


def test_direction_cosines_of_three_decimals_are_made_perpendicular_and_told():
    row, column = (0.966, 0.0, -0.259), (0.0, 1.0, 0.0)
    normal = np.cross(row, column)
    slices = [record(2 * k * normal, row=row, column=column, number=k) for k in range(4)]
    placement = place(slices)
    assert [repair.kind for repair in placement.repairs] == ["orientation"]
    directions = placement.affine_lps[:3, :3] / np.linalg.norm(placement.affine_lps[:3, :3], axis=0)
    assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-12)
