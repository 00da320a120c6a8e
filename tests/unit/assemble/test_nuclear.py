"""NM objects: slices of a reconstruction are placed along the normal, projections are no slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.assemble import load_volume, read_studies
from dicomnode.assemble.nuclear import nuclear_frames
from dicomnode.values.codes import NO_UNIT
from tests.unit.assemble.multi_frame import NM, headers_of, item, whole
from tests.unit.assemble.series import PLANES, write_all

RECON = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]


def recon(frames=4, distance=4.5, plane="axial", image_type=RECON, **tags):
    row, column = PLANES[plane]
    detector = item(ImageOrientationPatient=[*row, *column], ImagePositionPatient=[-10.0, 20.0, 30.0])
    return whole(
        NM,
        frames,
        Modality="NM",
        ImageType=image_type,
        PixelSpacing=[0.7, 0.9],
        SpacingBetweenSlices=distance,
        DetectorInformationSequence=[detector],
        **tags,
    )


def volume_of(ds, folder):
    write_all([ds], folder)
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    return load_volume(stack)


@pytest.mark.parametrize("distance", [4.5, -4.5])
@pytest.mark.parametrize("plane", list(PLANES))
def test_the_slices_follow_the_first_along_the_normal_and_against_it_where_the_distance_is_negative(
    tmp_path, plane, distance
):
    volume = volume_of(recon(plane=plane, distance=distance), tmp_path)
    normal = np.cross(*PLANES[plane])
    for k, frame in enumerate(volume.frames):
        expected = np.array([-10.0, 20.0, 30.0]) + (frame.frame_number - 1) * distance * normal
        assert volume.grid.to_lps_mm((k, 0, 0)) == pytest.approx(expected)
        assert volume.voxels[k, 0, 0] == frame.frame_number
    assert [frame.frame_number for frame in volume.frames] == ([1, 2, 3, 4] if distance > 0 else [4, 3, 2, 1])
    assert volume.unit == NO_UNIT


def test_a_text_of_a_nuclear_frame_is_in_the_character_set_of_its_object(tmp_path):
    ds = recon(SpecificCharacterSet="ISO_IR 192", SeriesDescription="Лёгкие")
    assert {one.tags["SeriesDescription"] for one in headers_of(ds, tmp_path)} == {"Лёгкие"}


def test_the_slice_vector_says_which_slice_a_frame_is(tmp_path):
    volume = volume_of(recon(SliceVector=[3, 1, 4, 2]), tmp_path)
    assert [frame.frame_number for frame in volume.frames] == [2, 4, 1, 3]
    assert volume.grid.spacing_kji_mm == pytest.approx((4.5, 0.7, 0.9))


@settings(max_examples=30)
@given(vector=st.permutations(range(1, 7)), distance=st.floats(0.5, 9) | st.floats(-9, -0.5))
def test_every_slice_lies_its_number_of_steps_from_the_first(vector, distance):
    frames = list(nuclear_frames(recon(6, distance, "oblique", SliceVector=vector), 6))
    for number, frame in zip(vector, frames, strict=True):
        along = (np.array(frame.ImagePositionPatient, float) - [-10, 20, 30]) @ np.cross(*PLANES["oblique"])
        assert along == pytest.approx((number - 1) * distance, abs=1e-9)


def test_time_slots_of_a_gated_reconstruction_tell_frames_at_one_place_apart(tmp_path):
    ds = recon(6, SliceVector=[1, 2, 3, 1, 2, 3], TimeSlotVector=[1, 1, 1, 2, 2, 2])
    headers = headers_of(ds, tmp_path)
    assert [header.tags["TimeSlotVector"] for header in headers] == [1, 1, 1, 2, 2, 2]
    assert headers[0].position_lps_mm == headers[3].position_lps_mm


@pytest.mark.parametrize("kind", ["STATIC", "TOMO", "GATED TOMO", "WHOLE BODY", "DYNAMIC"])
def test_planar_images_and_projections_are_no_slices(tmp_path, kind):
    write_all([recon(image_type=["ORIGINAL", "PRIMARY", kind, "EMISSION"])], tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal.code == "DN-3012"
    assert "planar images or projections" in stack.facts.refusal.text


@pytest.mark.parametrize("missing", ["DetectorInformationSequence", "SpacingBetweenSlices"])
def test_a_reconstruction_that_does_not_say_where_it_lies_is_refused(tmp_path, missing):
    ds = recon()
    del ds[missing]
    write_all([ds], tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert "(0020,0032) ImagePositionPatient is missing" in series.stacks[0].facts.refusal.text


GATES = [gate for gate in range(1, 9) for _ in range(10)]


@pytest.mark.parametrize(
    "vectors",
    [
        {"TimeSlotVector": GATES},
        {"TimeSlotVector": GATES, "SliceVector": [*range(1, 11)] * 7 + [*range(1, 10)]},
        {"TimeSlotVector": GATES[:-1], "SliceVector": [*range(1, 11)] * 8},
        {"EnergyWindowVector": [1] * 40 + [2] * 40},
    ],
    ids=["no Slice Vector", "Slice Vector one short", "Time Slot Vector one short", "two windows"],
)
def test_frames_of_which_it_is_not_told_which_slices_they_are_have_no_place(tmp_path, vectors):
    write_all([recon(80, image_type=["ORIGINAL", "PRIMARY", "RECON GATED TOMO"], **vectors)], tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert all("ImagePositionPatient is missing" in stack.facts.refusal.text for stack in series.stacks)


def test_a_vector_of_one_value_tells_nothing_apart(tmp_path):
    ds = recon(4, EnergyWindowVector=[1] * 4, DetectorVector=[1] * 4)
    assert [header.position_lps_mm[2] for header in headers_of(ds, tmp_path)] == [30.0, 34.5, 39.0, 43.5]
