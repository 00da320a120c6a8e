"""Attempts to bring something of a patient out of the house: each one came through before it was mended."""

from __future__ import annotations

import pydicom
import pytest
from pydicom import Dataset, Sequence

from dicomnode.learn.deidentify import Options
from dicomnode.learn.deidentify.subjects import scrub_subject
from dicomnode.store.foreign import quiet
from tests.unit.learn.deidentify.patients import exported, item, tell_all, write_ct, write_picture, written

SECRET = "bus driver from Ghent"


def code(value: str, scheme: str = "DCM", meaning: str = "x") -> Sequence:
    return Sequence([item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)])


def export_of(tmp_path, options: Options | None = None, **told: object):
    """Export a series that says this, too; return the result and all bytes that were written."""

    def edit(header: Dataset) -> None:
        tell_all(header)
        with quiet():
            for keyword, value in told.items():
                setattr(header, keyword, value)

    write_ct(tmp_path / "data", edit=edit)
    result = exported(tmp_path / "data", tmp_path / "out", options=options or Options())
    return result, b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm"))


@pytest.mark.parametrize(
    ("told", "needle"),
    [
        ({"PatientBirthDateInAlternativeCalendar": "1366-10-10"}, "1366-10-10"),
        ({"PatientDeathDateInAlternativeCalendar": "1402-10-10"}, "1402-10-10"),
        ({"PlacerOrderNumberProcedure": "ORD-4711"}, "ORD-4711"),
        ({"FillerOrderNumberImagingServiceRequestRetired": "ORD-4711"}, "ORD-4711"),
        ({"RetrieveURL": "http://pacs.hospital.example/4711"}, "hospital.example"),
        ({"CommentsOnTheScheduledProcedureStep": SECRET}, "Ghent"),
        ({"ReferenceLocationDescription": SECRET}, "Ghent"),
        ({"Signature": SECRET.encode() + b" "}, "Ghent"),
        ({"DeviceID": "Ghent 4711"}, "Ghent"),
        ({"PatientBodyMassIndex": "41.75"}, "41.75"),
        ({"EncryptedAttributesSequence": [item(EncryptedContent=SECRET.encode() + b" ")]}, "Ghent"),
        ({"WaveformSequence": [item(ChannelDerivationDescription=SECRET)]}, "Ghent"),
        ({"StudyDate": "20240116-20240219"}, "20240219"),
        ({"AcquisitionDateTime": "20240115083000 Ghent"}, "Ghent"),
        ({"StudyTime": "seen by him"}, "seen"),
        ({"StudyInstanceUID": "1.2.840.10008.20240116.4711"}, "4711"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_table_of_the_library_leaves_out_goes_and_the_image_goes_on(tmp_path, told, needle):
    result, written_bytes = export_of(tmp_path, **told)
    assert (result.files, result.refused) == (3, ())
    assert needle.encode() not in written_bytes


def test_items_and_texts_go_that_were_written_where_the_dictionary_has_something_else(tmp_path):
    def misuse(header):
        tell_all(header)
        header.add_new(0x00181210, "SQ", Sequence([item(PatientComments=SECRET)]))  # Convolution Kernel
        header.add_new(0x00280106, "LO", SECRET)  # Smallest Image Pixel Value
        header.add_new(0x00180024, "OB", SECRET.encode() + b" ")  # Sequence Name

    write_ct(tmp_path / "data", edit=misuse)
    assert exported(tmp_path / "data", tmp_path / "out").files == 3
    for dataset in written(tmp_path / "out"):
        assert not {0x00181210, 0x00280106, 0x00180024} & set(dataset.keys())


@pytest.mark.parametrize(
    "told",
    [
        {"ProcedureCodeSequence": code("X1", "99HOSP", "CT for Quixbury")},
        {"BodyPartExamined": "QUIXBURY"},
        {"ConvolutionKernel": "ctQuixbury1"},
        {"PatientName": "Müller^Jörg", "ConvolutionKernel": "Mueller"},
        {"PatientName": "Müller^Jörg", "ConvolutionKernel": "MULLER"},
        {"PatientName": "Quixbury-Stone^Ann", "ConvolutionKernel": "Stone"},
        {"Manufacturer": "Quixbury^Zephyrine"},
        {"SoftwareVersions": "of 15.01.2024"},
    ],
    ids=lambda told: f"{'-'.join(told)}",
)
def test_a_name_in_what_stays_is_refused_however_it_is_written(tmp_path, told):
    result, written_bytes = export_of(tmp_path, SpecificCharacterSet="ISO_IR 192", **told)
    assert {one.code for one in result.refused} == {"DN-7243"}
    assert written_bytes == b""


def test_when_a_table_of_codes_was_published_does_not_tell_by_how_many_days_dates_move(tmp_path):
    coded = code("39607008", "SCT", "Lung")
    coded[0].ContextGroupVersion = "20170914"
    export_of(tmp_path, AnatomicRegionSequence=coded)
    for dataset in written(tmp_path / "out"):
        assert dataset.AnatomicRegionSequence[0].ContextGroupVersion == "19000101000000"


def numeric(concept: str, value: object, unit: str = "a") -> Dataset:
    measured = item(NumericValue=value, MeasurementUnitsCodeSequence=code(unit, "UCUM"))
    return item(
        ValueType="NUM",
        ConceptNameCodeSequence=code(concept),
        MeasuredValueSequence=Sequence([measured]),
    )


@pytest.mark.parametrize(
    ("asked", "concept", "value", "unit", "stays"),
    [
        (False, "121033", 61, "a", False),
        (True, "121033", 61, "a", True),
        (True, "121033", 93, "a", False),
        (True, "121033", 1100, "mo", False),
        (True, "121033", 800, "mo", True),
        (True, "121033", 1, "unheard of", True),
        (False, "29463-7", 61, "kg", False),
        (True, "29463-7", 61, "kg", True),
        (False, "410668003", 12, "mm", True),  # a length
    ],
)
def test_a_report_tells_age_and_weight_as_the_attributes_of_the_patient_do(
    asked, concept, value, unit, stays
):
    told = numeric(concept, value, unit)
    scrub_subject(told, characteristics=asked)
    assert bool(told.MeasuredValueSequence) == stays


def test_a_report_never_tells_the_date_of_birth_and_sex_only_if_asked_for():
    birth = item(ValueType="DATE", ConceptNameCodeSequence=code("121031"), Date="19471231")
    scrub_subject(birth, characteristics=True)
    assert birth.Date == "19000101"
    for asked, wanted in ((True, "F"), (False, "121103")):
        sex = item(ValueType="CODE", ConceptNameCodeSequence=code("121032"), ConceptCodeSequence=code("F"))
        scrub_subject(sex, characteristics=asked)
        assert sex.ConceptCodeSequence[0].CodeValue == wanted


def test_the_date_of_birth_of_a_report_stays_a_dummy_where_dates_move(tmp_path):
    birth = item(ValueType="DATE", ConceptNameCodeSequence=code("121031"), Date="19471231")
    export_of(tmp_path, ContentSequence=Sequence([birth]))
    assert {dataset.ContentSequence[0].Date for dataset in written(tmp_path / "out")} == {"19000101"}


def test_a_label_of_a_slide_is_refused_and_a_pet_image_goes(tmp_path):
    def slide(dataset):
        dataset.BurnedInAnnotation, dataset.SpecimenLabelInImage = "NO", "YES"

    def pet(dataset):
        dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.128", "PT"

    write_picture(tmp_path / "slide", slide)
    write_picture(tmp_path / "pet", pet)
    refused = exported(tmp_path / "slide", tmp_path / "out").refused
    assert [one.code for one in refused] == ["DN-7241"]
    assert exported(tmp_path / "pet", tmp_path / "out").files == 1


def test_names_that_stand_after_the_pixels_are_looked_for_too(tmp_path):
    def hide(header):
        header.PatientName = "PHANTOM"
        header.ConvolutionKernel = "Drumlanrig"
        header.add_new(0xFFFAFFFA, "SQ", Sequence([item(OperatorsName="Drumlanrig^Ann")]))

    paths = write_ct(tmp_path / "data", edit=hide)
    assert all("Drumlanrig" in str(pydicom.dcmread(path)) for path in paths)
    assert {one.code for one in exported(tmp_path / "data", tmp_path / "out").refused} == {"DN-7243"}


def test_a_date_of_birth_that_is_a_dummy_already_refuses_nothing(tmp_path):
    result, _ = export_of(tmp_path, Options(shift_dates=False), PatientBirthDate="19000101")
    assert (result.files, result.refused) == (3, ())
