"""Derived images: of the source's kind, never taken for the source, with the values that the engine made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    NuclearMedicineImageStorage,
)

from dicomnode.report.fields import limits
from dicomnode.report.fields.left_out import left_out
from dicomnode.report.heading.identity import to_bytes
from dicomnode.values import Code, Findings
from dicomnode.values.codes import BECQUEREL_PER_ML, NO_UNIT, PERCENT
from tests.unit.report.fields.fields import MR, SOURCES, grid_of, images_of, imprint_of, with_image
from tests.unit.report.sources import Series
from tests.unit.report.test_multi_frame import on_frames

KINDS = sorted(SOURCES)


def values_of(images: tuple[Dataset, ...]) -> np.ndarray:
    """As a reader makes values: rescaled, or mapped where there is no rescale (MR)."""
    planes = []
    for one in images:
        stored = np.frombuffer(one.PixelData, dtype="<i2")[: one.Rows * one.Columns].reshape(
            one.Rows, one.Columns
        )
        slope, intercept = float(one.get("RescaleSlope", 1)), float(one.get("RescaleIntercept", 0))
        if "RescaleSlope" not in one and "RealWorldValueMappingSequence" in one:
            mapping = one.RealWorldValueMappingSequence[0]
            slope, intercept = mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept
        planes.append(stored * slope + intercept)
    return np.stack(planes)


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_of_the_class_of_their_source_and_hold_its_values(kind: str) -> None:
    found = with_image(kind)
    made = images_of(found)
    assert {one.SOPClassUID for one in made} == {imprint_of(found).heading.stubs[0][0].SOPClassUID}
    assert {one.Modality for one in made} == {kind}
    off = np.abs(values_of(made) - found.images[0].values).max()
    assert off <= 0.5 * {"CT": 1.0, "MR": 1.0, "PT": 17.5 / 32767}[kind] * (1 + 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_takes_them_for_what_a_scanner_made(kind: str) -> None:
    for one in images_of(with_image(kind)):
        assert one.ImageType[0] == "DERIVED"
        assert one.ImageType[1] == ("PRIMARY" if kind == "PT" else "SECONDARY")  # PET knows no SECONDARY
        assert one.ImageComments.startswith("Derived by software, not an original image: noise reduced.")
        assert one.ImageComments.endswith("Not for clinical use.")
        assert one.DerivationDescription.startswith("Noise reduced (clean), step denoise 2, by lung-ct 1.0.0")
        assert one.DerivationCodeSequence[0].CodeMeaning == "Smoothing"
        assert one.ContentQualification == "RESEARCH"
        assert one.Manufacturer == "dicomnode"
        assert one.SeriesDescription == "lung-ct 1.0.0 IMAGES"


def test_images_for_a_look_say_so() -> None:
    (one, *_) = images_of(with_image(), for_a_look=True)
    assert one.ImageComments.startswith("Made for a look at findings")


def test_images_are_one_series_in_the_order_of_its_planes() -> None:
    found = with_image()
    made = images_of(found)
    assert [one.InstanceNumber for one in made] == list(range(1, 13))
    assert len({one.SOPInstanceUID for one in made}) == 12
    assert {one.SeriesInstanceUID for one in made} == {made[0].SeriesInstanceUID}
    assert made[0].SeriesInstanceUID != found.sources[0].series_instance_uid
    assert {one.FrameOfReferenceUID for one in made} == {found.sources[0].grid.frame_of_reference_uid}  # type: ignore[union-attr]


def test_the_same_image_gives_the_same_bytes() -> None:
    first, second = (b"".join(map(to_bytes, images_of(with_image("PT")))) for _ in range(2))
    assert first == second


# ── Where ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("plane", ["axial", "oblique", "tilted"])
def test_planes_of_the_source_are_where_the_source_says(plane: str) -> None:
    made = images_of(with_image(plane=plane))
    for one, own in zip(made, Series(plane=plane).datasets(), strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert one[keyword].value == own[keyword].value
        (named,) = one.SourceImageSequence
        assert (named.ReferencedSOPInstanceUID, named.SpatialLocationsPreserved) == (
            own.SOPInstanceUID,
            "YES",
        )


def test_planes_between_slices_name_both() -> None:
    made = images_of(with_image(onto="finer"))
    frames = [frame.sop_instance_uid for frame in with_image().sources[0].frames]
    assert len(made) == 23
    assert [one.ReferencedSOPInstanceUID for one in made[5].SourceImageSequence] == frames[2:4]
    assert {one.SpatialLocationsPreserved for one in made[5].SourceImageSequence} == {"NO"}
    assert (made[5].SliceThickness, made[5].SpacingBetweenSlices) == (1.25, 1.25)


def test_planes_across_name_all_slices() -> None:
    made = images_of(with_image(onto="across"))
    assert {len(one.SourceImageSequence) for one in made} == {12}


# ── What the source says of its making ────────────────────────────────────────────────────────────
def test_contrast_and_technique_are_the_sources_and_what_is_unknown_is_empty_or_not_there() -> None:
    more = {"ContrastBolusAgent": "Iohexol", "ConvolutionKernel": "B30f", "KVP": "100"}
    one = images_of(with_image(**more))[4]
    assert (one.KVP, one.ContrastBolusAgent, one.ConvolutionKernel, one.PatientPosition) == (
        100,
        "Iohexol",
        "B30f",
        "HFS",
    )
    for keyword in ("KVP", "AcquisitionNumber", "PositionReferenceIndicator"):
        assert keyword in images_of(with_image(**{keyword: None}))[0]
    assert "ConvolutionKernel" not in images_of(with_image())[0]
    assert one.RescaleType == "HU"


def test_nothing_of_the_patient_comes_from_the_list_of_the_technique() -> None:
    one = images_of(with_image(PatientName="A^B", PatientComments="secret"))[0]
    assert one.PatientName == "A^B"  # of the identity
    assert "OperatorsName" not in images_of(with_image(OperatorsName="Somebody"))[0]


def test_each_pet_image_has_the_times_of_its_slice() -> None:
    def later(ds: Dataset, k: int) -> None:
        ds.AcquisitionTime, ds.FrameReferenceTime = f"1015{k:02}", str(1000 + k)

    found = with_image("PT")
    series = Series(extra=SOURCES["PT"][0], edit=later)
    made = images_of(replace(found, sources=(series.source(),)))
    assert [one.AcquisitionTime for one in made] == [f"1015{k:02}" for k in range(12)]
    assert [float(one.FrameReferenceTime) for one in made] == [1000 + k for k in range(12)]
    assert [one.ImageIndex for one in made] == list(range(1, 13))
    assert {(one.NumberOfSlices, one.Units, one.SUVType, float(one.RescaleIntercept)) for one in made} == {
        (12, "GML", "BW", 0.0)
    }


def test_the_drug_of_a_pet_scan_is_told_and_its_nuclide_left_empty_where_nobody_says_it() -> None:
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideCodeSequence = "370000000", []
    (told,) = images_of(with_image("PT", RadiopharmaceuticalInformationSequence=[drug]))[
        0
    ].RadiopharmaceuticalInformationSequence
    assert (told.RadionuclideTotalDose, list(told.RadionuclideCodeSequence)) == (370000000, [])


def test_a_time_of_nothing_is_a_time() -> None:
    made = images_of(with_image("PT", FrameReferenceTime="0"))
    assert {float(one.FrameReferenceTime) for one in made} == {0.0}


def test_pet_says_in_codes_how_the_patient_lies() -> None:
    one = images_of(with_image("PT", PatientPosition="FFP"))[0]
    (lying,) = one.PatientOrientationCodeSequence
    assert lying.PatientOrientationModifierCodeSequence[0].CodeMeaning == "prone"
    assert one.PatientGantryRelationshipCodeSequence[0].CodeMeaning == "feet-first"
    assert "PatientPosition" not in one
    assert images_of(with_image("PT", PatientPosition="HFDL"))[0].PatientOrientationCodeSequence == []


def enhanced(kind: str, edit) -> Findings:
    """The findings of `with_image`, on the frames of one object."""
    on = on_frames(tuple(range(1, 13)), Series(extra=SOURCES[kind][0]), edit)
    return replace(with_image(kind), sources=on.sources)


def test_an_enhanced_source_gives_images_of_single_frames_that_name_its_frames() -> None:
    def edit(ds: Dataset) -> None:
        ds.SOPClassUID, ds.EchoPulseSequence, ds.EchoPlanarPulseSequence = (
            EnhancedMRImageStorage,
            "SPIN",
            "YES",
        )
        del ds.ScanningSequence, ds.SequenceVariant

    made = images_of(enhanced("MR", edit))
    assert made[3].SOPClassUID == "1.2.840.10008.5.1.4.1.1.4"
    assert (list(made[3].ScanningSequence), made[3].SequenceVariant) == (["SE", "EP"], "NONE")
    assert "EchoPulseSequence" not in made[3]
    assert made[3].SourceImageSequence[0].ReferencedFrameNumber == 4
    assert made[3].ImagePositionPatient == pytest.approx(
        list(grid_of(Series()).to_lps_mm((3, 0, 0))), abs=1e-6
    )


def test_what_stands_in_functional_groups_is_found_there() -> None:
    def edit(ds: Dataset) -> None:
        ds.SOPClassUID = LegacyConvertedEnhancedMRImageStorage
        converted = Dataset()
        for keyword in ("ScanningSequence", "SequenceVariant", "EchoTime"):
            setattr(converted, keyword, MR[keyword])
            delattr(ds, keyword)
        ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [converted]

    made = images_of(enhanced("MR", edit))
    assert (made[0].ScanningSequence, made[0].SequenceVariant, made[0].EchoTime) == ("SE", "SK", 12)


# ── Values and windows ────────────────────────────────────────────────────────────────────────────
def test_values_beyond_sixteen_bits_are_clipped_and_said() -> None:
    found = with_image()
    values = found.images[0].values.copy()
    values[2, 3, 4:7] = 99999.0
    made = images_of(replace(found, images=(replace(found.images[0], values=values),)))
    assert "3 values beyond -32768 to 32767 HU were clipped to it." in made[0].ImageComments
    assert values_of(made)[2, 3, 5] == 32767
    assert "clipped" not in images_of(found)[0].ImageComments


def test_steps_that_are_coarser_than_the_sources_are_said() -> None:
    assert "rounded to steps of 1" in images_of(with_image(RescaleSlope="0.1"))[0].ImageComments
    assert "rounded" not in images_of(with_image())[0].ImageComments


def test_mr_without_a_scale_of_its_own_keeps_its_numbers_by_a_mapping() -> None:
    found = with_image("MR")
    small = replace(found.images[0], values=(found.images[0].values / 4000).astype(np.float32))
    made = images_of(replace(found, images=(small,)))
    assert "RescaleSlope" not in made[0]  # PS3.3 A.4.3
    assert np.abs(values_of(made) - small.values).max() <= 0.75 / 32767
    low = float(made[0].WindowCenter) - float(made[0].WindowWidth) / 2
    assert low < 0.1 * 32767 < float(made[0].WindowCenter)  # of stored values


def test_the_window_is_the_sources_for_hounsfield_units() -> None:
    one = images_of(with_image(WindowCenter=["-600", "40"], WindowWidth=["1500", "400"]))[0]
    assert (one.WindowCenter, one.WindowWidth) == (-600, 1500)
    one = images_of(with_image())[0]
    assert (one.WindowCenter, one.WindowWidth) == (40, 400)


def test_loss_in_the_source_stays() -> None:
    one = images_of(with_image(LossyImageCompression="01", LossyImageCompressionRatio="9"))[0]
    assert (one.LossyImageCompression, one.LossyImageCompressionRatio) == ("01", 9)
    assert "LossyImageCompression" not in images_of(with_image())[0]


# ── What is left out, and said ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (with_image(SOPClassUID=NuclearMedicineImageStorage), "neither CT nor MR nor PET"),
        (with_image("MR", ScanningSequence=None), "does not say ScanningSequence"),
        (with_image("PT", SeriesType=["DYNAMIC", "IMAGE"]), "a PET series of the type DYNAMIC"),
        (with_image("PT", FrameReferenceTime=None, CountsSource=None), "CountsSource, FrameReferenceTime"),
    ],
    ids=["nuclear", "mr", "dynamic", "pet"],
)
def test_what_cannot_be_written_is_left_out_with_the_reason(found: Findings, reason: str) -> None:
    assert images_of(found) == ()
    (sentence,) = left_out(found)
    assert reason in sentence
    assert sentence.startswith("Derived image clean: no DICOM object holds it")


@pytest.mark.parametrize(
    ("unit", "word"), [(BECQUEREL_PER_ML, "BQML"), (NO_UNIT, "NONE"), (PERCENT, "PCNT"), (None, None)]
)
def test_pet_has_words_for_some_units_only(unit: Code | None, word: str | None) -> None:
    found = with_image("PT")
    of_unit = replace(found.images[0], unit=unit or Code("mm", "UCUM", "mm"))
    made = images_of(replace(found, images=(of_unit,)))
    assert [one.Units for one in made[:1]] == ([word] if word else [])


@pytest.mark.parametrize("name", ["MOST_IMAGES", "MOST_IMAGE_BYTES"])
def test_too_many_planes_and_too_many_bytes_are_left_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, name, 11)
    assert images_of(with_image()) == ()
    assert "more than" in left_out(with_image())[0]
