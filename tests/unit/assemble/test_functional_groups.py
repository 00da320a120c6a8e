"""Enhanced objects: each frame is read as the image that it is."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.assemble import load_volume, macros, read_studies, source_of
from dicomnode.assemble.functional_groups import frames_of
from dicomnode.assemble.headers import read_headers
from dicomnode.phantom import SeriesForm, write_enhanced, write_series
from dicomnode.store.foreign import quiet
from dicomnode.values import Grid, SourceFrame
from tests.unit.assemble.multi_frame import ENHANCED_MR, NM, enhanced, headers_of, item, whole
from tests.unit.assemble.series import PLANES, affine_of, write_all

Z = (4.0, 0.0, 2.0, 6.0)


def stacks_of(folder):
    return [s for study in read_studies([folder]).studies for series in study.series for s in series.stacks]


def test_a_frame_has_the_geometry_and_the_rescale_of_its_groups(tmp_path):
    headers = headers_of(enhanced(Z), tmp_path)
    assert [header.frame_number for header in headers] == [1, 2, 3, 4]
    assert [header.position_lps_mm for header in headers] == [(-10.5, 20.25, z) for z in Z]
    for header in headers:
        assert header.frames == 4
        assert header.orientation == (1, 0, 0, 0, 1, 0)
        assert header.spacing_ji_mm == pytest.approx((0.7, 0.9))
        assert header.rescale == (2, -5)
        assert header.tags["SliceThickness"] == 3
    assert sorted(headers, key=lambda header: header.order) == list(headers)


def test_the_group_of_a_frame_goes_before_the_shared_one(tmp_path):
    frames = [
        {"PixelValueTransformationSequence": [item(RescaleSlope=n, RescaleIntercept=0, RescaleType="US")]}
        for n in (1, 2, 3, 4)
    ]
    headers = headers_of(enhanced(Z, frames=frames), tmp_path)
    assert [header.rescale for header in headers] == [(1, 0), (2, 0), (3, 0), (4, 0)]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_groups_are_read_from_every_way_to_write_a_data_set(tmp_path, syntax):
    headers = headers_of(enhanced(Z, syntax=syntax), tmp_path)
    assert [header.position_lps_mm for header in headers] == [(-10.5, 20.25, z) for z in Z]


@pytest.mark.parametrize("is_undefined", [False, True])
def test_groups_of_many_frames_are_read_although_they_are_long(tmp_path, is_undefined):
    ds = enhanced([float(z) for z in range(300)])
    ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = is_undefined
    headers = headers_of(ds, tmp_path)
    assert [header.position_lps_mm[2] for header in headers] == list(range(300))


def test_what_tells_frames_apart_has_the_names_that_classic_images_use(tmp_path):
    frames = [
        {
            "MREchoSequence": [item(EffectiveEchoTime=10.0 * n)],
            "MRDiffusionSequence": [
                item(
                    DiffusionBValue=500.0 * n,
                    DiffusionDirectionality="DIRECTIONAL",
                    DiffusionGradientDirectionSequence=[item(DiffusionGradientOrientation=[0.0, 0.0, 1.0])],
                )
            ],
            "FrameContentSequence": [
                item(
                    StackID="2",
                    TemporalPositionIndex=n,
                    FrameAcquisitionNumber=7,
                    FrameAcquisitionDateTime=f"2026010110000{n}",
                    DimensionIndexValues=[1, n, n],
                )
            ],
            "CardiacSynchronizationSequence": [item(NominalPercentageOfCardiacPhase=10.0 * n)],
            "MRImageFrameTypeSequence": [item(FrameType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"])],
        }
        for n in (1, 2, 3, 4)
    ]
    shared = {"MRTimingAndRelatedParametersSequence": [item(FlipAngle=30.0, RepetitionTime=400.0)]}
    ds = enhanced(Z, frames=frames, shared=shared)
    ds.DimensionIndexSequence = [
        item(DimensionIndexPointer=0x00209056, FunctionalGroupPointer=0x00209111),  # Stack ID
        item(DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111),  # In-Stack Position
        item(DimensionIndexPointer=0x00189087, FunctionalGroupPointer=0x00189117),  # b-value
    ]
    third = headers_of(ds, tmp_path)[2]
    assert third.image_type == ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")
    expected = {
        "EchoTime": 30.0,
        "DiffusionBValue": 1500.0,
        "DiffusionGradientOrientation": (0.0, 0.0, 1.0),
        "StackID": "2",
        "TemporalPositionIdentifier": 3,
        "AcquisitionNumber": 7,
        "AcquisitionDateTime": "20260101100003",
        "NominalPercentageOfCardiacPhase": 30.0,
        "FlipAngle": 30.0,
        "RepetitionTime": 400.0,
        "DimensionIndexValues": (1.0, 3.0),  # not the place in the stack
    }
    assert {keyword: third.tags.get(keyword) for keyword in expected} == expected


def test_a_group_cannot_change_which_object_or_patient_a_frame_is_of(tmp_path):
    wrong = item(SOPInstanceUID="1.2.3.4", PatientID="SOMEBODY", Rows=1, SeriesInstanceUID="1.2.3.5")
    ds = enhanced(Z, shared={"UnassignedSharedConvertedAttributesSequence": [wrong]})
    plain = headers_of(enhanced(Z), tmp_path / "plain")[0]
    header = headers_of(ds, tmp_path / "wrong")[0]
    for name in ("sop_instance_uid", "series_instance_uid", "patient_key", "rows"):
        assert getattr(header, name) == getattr(plain, name)


@pytest.mark.parametrize("left", [0, 3])
def test_an_object_without_a_group_for_each_frame_is_refused_and_says_so(tmp_path, left):
    ds = enhanced(Z)
    ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[:left]
    write_all([ds], tmp_path)
    (stack,) = stacks_of(tmp_path)
    assert stack.facts.refusal.code == "DN-3050"
    assert "has 4 frame(s)" in stack.facts.refusal.text
    assert "(5200,9230) PerFrameFunctionalGroupsSequence" in stack.facts.refusal.text
    assert source_of(stack, "x").frames == (SourceFrame(ds.SOPInstanceUID, None),)


def test_frames_without_a_position_are_refused_by_its_tag(tmp_path):
    ds = enhanced(Z)
    del ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    write_all([ds], tmp_path)
    (stack,) = stacks_of(tmp_path)
    assert stack.facts.refusal.code == "DN-3003"
    assert "(0020,0032) ImagePositionPatient" in stack.facts.refusal.text


def test_a_number_of_frames_that_no_object_has_costs_nothing(tmp_path):
    ds = whole(ENHANCED_MR, 3)
    ds.NumberOfFrames = 2**31 - 1
    assert len(headers_of(ds, tmp_path)) == 1


@pytest.mark.parametrize("sop_class", [ENHANCED_MR, NM])
def test_more_frames_than_are_taken_apart_are_refused_by_their_number(tmp_path, sop_class):
    ds = whole(sop_class, 3, ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO"])
    ds.Rows = ds.Columns = 1
    ds.NumberOfFrames, ds.PixelData = 20_001, bytes(2 * 20_001)
    write_all([ds], tmp_path)
    (stack,) = stacks_of(tmp_path)
    assert stack.facts.refusal.code == "DN-3053"
    assert stack.facts.refusal.text.startswith("(0028,0008) NumberOfFrames is 20001")


def many(frames: int, *, undefined: bool, syntax=ExplicitVRLittleEndian):
    """An object whose frames agree in most and differ in some of what their groups say."""
    groups = [
        {
            "FrameContentSequence": [item(StackID=str(n // 20), DimensionIndexValues=[1 + n // 20, n])],
            "PlaneOrientationSequence": [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            "MRDiffusionSequence": [
                item(
                    DiffusionBValue=float(n % 3),
                    DiffusionGradientDirectionSequence=[item(DiffusionGradientOrientation=[0.0, 0.6, 0.8])],
                )
            ],
            "RealWorldValueMappingSequence": [
                item(
                    RealWorldValueIntercept=0.0,
                    RealWorldValueSlope=1.0 + n % 2,
                    MeasurementUnitsCodeSequence=[
                        item(CodeValue="1", CodingSchemeDesignator="UCUM", CodeMeaning="no units")
                    ],
                )
            ],
        }
        for n in range(frames)
    ]
    ds = enhanced([float(n) for n in range(frames)], frames=groups, syntax=syntax)
    ds.DimensionIndexSequence = [
        item(DimensionIndexPointer=0x00209056),
        item(DimensionIndexPointer=0x00209057),
    ]
    if undefined:
        ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
        for group in ds.PerFrameFunctionalGroupsSequence:
            group.is_undefined_length_sequence_item = True
            for macro in group:
                macro.is_undefined_length = True
    return ds


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_groups_say_the_same_however_they_are_found(tmp_path, monkeypatch, syntax, undefined):
    path = write_all([many(60, undefined=undefined, syntax=syntax)], tmp_path)[0]
    with quiet():
        scanned = read_headers(path)
        monkeypatch.setattr(macros, "_scan", lambda dataset, keyword: None)
        by_pydicom = read_headers(path)
    assert scanned == by_pydicom
    assert len(scanned) == 60
    last = scanned[-1]
    assert last.tags["DiffusionGradientOrientation"] == (0.0, 0.6, 0.8)
    assert last.tags["DimensionIndexValues"] == 3  # not the place in the stack
    assert [(one.slope, one.unit.value) for one in last.mappings] == [(2.0, "1")]


def texts_in_groups(syntax):
    """An object with texts beyond ASCII everywhere: its own, in the groups of all frames and of each."""
    unit = item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="Flüsse µ")
    mapping = item(RealWorldValueIntercept=0.0, RealWorldValueSlope=2.0, MeasurementUnitsCodeSequence=[unit])
    return enhanced(
        Z,
        syntax=syntax,
        shared={"RealWorldValueMappingSequence": [mapping]},
        frames=[
            {
                "FrameContentSequence": [item(StackID=f"Größe {n}")],
                "MRModifierSequence": [item(InversionTimes=[float(n)])],
            }
            for n in range(4)
        ],
        SpecificCharacterSet="ISO_IR 192",
        SeriesDescription="Лёгкие",
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_texts_of_groups_are_in_the_character_set_of_their_object(tmp_path, monkeypatch, syntax):
    path = write_all([texts_in_groups(syntax)], tmp_path)[0]
    with quiet():
        scanned = read_headers(path)
        monkeypatch.setattr(macros, "_scan", lambda dataset, keyword: None)
        monkeypatch.setattr("dicomnode.assemble.headers.scanned", lambda *_: None)
        by_pydicom = read_headers(path)
    assert scanned == by_pydicom
    assert [one.tags["StackID"] for one in scanned] == [f"Größe {n}" for n in range(4)]
    assert {one.tags["SeriesDescription"] for one in scanned} == {"Лёгкие"}
    assert {mapping.unit.meaning for one in scanned for mapping in one.mappings} == {"Flüsse µ"}


def test_a_group_that_is_not_plain_is_read_by_pydicom_and_the_others_stay_as_they_are(tmp_path):
    path = write_all([enhanced(Z)], tmp_path)[0]
    content = path.read_bytes()
    at = [found.start() for found in re.finditer(rb"\x20\x00\x32\x00DS", content)][2]
    path.write_bytes(content[: at + 4] + b"ZZ" + content[at + 6 :])
    with quiet():
        headers = read_headers(path)
    places = [header.position_lps_mm for header in headers]
    assert places == [(-10.5, 20.25, 4.0), (-10.5, 20.25, 0.0), None, (-10.5, 20.25, 6.0)]


def test_what_frames_share_is_taken_apart_once(tmp_path, monkeypatch):
    taken = []
    take_apart = macros._take_apart
    monkeypatch.setattr(macros, "_take_apart", lambda *one: taken.append(one[1]) or take_apart(*one))
    headers_of(many(100, undefined=False), tmp_path)
    assert taken.count("PlanePositionSequence") == 100
    assert taken.count("PlaneOrientationSequence") == 1  # and its bytes are those of the shared group
    assert taken.count("MRDiffusionSequence") == 3
    assert taken.count("RealWorldValueMappingSequence") == 2


def test_what_is_remembered_of_groups_stays_bounded_and_right(tmp_path, monkeypatch):
    monkeypatch.setattr(macros, "_REMEMBERED", 4)
    sizes = []

    class Watched(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            sizes.append(len(self))

    class Lifting(macros.Lifting):
        def __init__(self):
            super().__init__()
            self._seen = Watched()

    monkeypatch.setattr("dicomnode.assemble.functional_groups.Lifting", Lifting)
    headers = headers_of(enhanced([float(z) for z in range(30)]), tmp_path)
    assert [header.position_lps_mm[2] for header in headers] == list(range(30))
    assert len(sizes) > 4
    assert max(sizes) == 4


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
def test_a_group_says_of_no_frame_whose_it_is(tmp_path, keyword):
    """The object says it, once for all its frames."""
    content = [{"FrameContentSequence": [item(StackID=str(n), **{keyword: f"ELSE-{n}"})]} for n in range(4)]
    (path,) = write_all([enhanced(Z, frames=content, **{keyword: "OWN"})], tmp_path)
    frames = list(frames_of(dcmread(path, stop_before_pixels=True)))
    assert [frame.StackID for frame in frames] == ["0", "1", "2", "3"]
    assert {frame[keyword].value for frame in frames} == {"OWN"}


def test_groups_that_are_no_sequence_of_data_sets_are_a_refusal(tmp_path):
    path = write_all([enhanced(Z)], tmp_path)[0]
    content = path.read_bytes()
    at = content.index(b"\x20\x00\x13\x91SQ")  # the first Plane Position Sequence
    path.write_bytes(content[: at + 12] + b"\xff" * 8 + content[at + 20 :])
    with quiet():
        read_headers(path)  # an answer of whatever kind
    outcome = read_studies([tmp_path])
    assert len(outcome.set_aside) + sum(s.instances for t in outcome.studies for s in t.series) == 1


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("plane", list(PLANES))
def test_a_volume_of_frames_is_that_of_single_images(tmp_path, plane, legacy):
    """Shuffled frames, pixels that are not square, no two axes alike."""
    grid = Grid((6, 9, 7), affine_of(*PLANES[plane]), "1.2.826.0.1.3680043.10.1.5")
    voxels = (np.arange(6 * 9 * 7).reshape(6, 9, 7) ** 2 % 1999 - 999).astype(np.int16)
    form = SeriesForm(instance_order="shuffled")
    write_enhanced(voxels, grid, tmp_path / "multi" / "x.dcm", seed=1, form=form, legacy=legacy)
    write_series(voxels, grid, tmp_path / "single", seed=1, form=form)
    (multi,), (single,) = stacks_of(tmp_path / "multi"), stacks_of(tmp_path / "single")
    one, other = load_volume(multi), load_volume(single)
    assert np.array_equal(one.voxels, other.voxels)
    assert np.array_equal(one.affine_lps, other.affine_lps)
    assert (one.unit, one.repairs) == (other.unit, ())
    assert multi.facts.facts == single.facts.facts
    assert {frame.sop_instance_uid for frame in one.frames} == {multi.headers[0].sop_instance_uid}
    assert sorted(frame.frame_number for frame in one.frames) == [1, 2, 3, 4, 5, 6]
    assert [frame.frame_number for frame in one.frames] != [1, 2, 3, 4, 5, 6]


def test_an_object_is_one_instance_with_one_encoded_header_that_keeps_its_groups(tmp_path):
    grid = Grid((6, 9, 7), affine_of(*PLANES["axial"]), "1.2.826.0.1.3680043.10.1.5")
    write_enhanced(np.zeros((6, 9, 7)) + np.arange(7), grid, tmp_path / "x.dcm", seed=1)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    (stack,) = series.stacks
    assert (series.instances, len(stack.headers), len(stack.files)) == (1, 6, 1)
    (encoded,) = load_volume(stack).headers.encoded
    assert source_of(stack, "x").headers.encoded == (encoded,)
    assert encoded.count(b"\x00\x52\x30\x92") == 1
    assert encoded.count(b"\x20\x00\x13\x91") == 6


def test_a_localizer_of_several_frames_is_set_aside_once(tmp_path):
    write_all([enhanced(Z, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])], tmp_path)
    reading = read_studies([tmp_path])
    assert [aside.code for aside in reading.set_aside] == ["DN-3013"]
