"""The second look finds what is left, in whatever encoding, and takes no ordinary word for a name."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset

from dicomnode.learn.deidentify.second_look import Traces, dates_in, look, look_at_text
from tests.unit.learn.deidentify.patients import item


def traces(**told: object) -> Traces:
    found = Traces()
    found.take(item(**told))
    return found


def looked(known: Traces, meant=(), pixels: bytes = b"", **left: object) -> str | None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.1"
    for keyword, value in left.items():
        setattr(dataset, keyword, value)
    if pixels:
        dataset.PixelData = pixels
        dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return look(buffer.getvalue(), pydicom.dcmread(io.BytesIO(buffer.getvalue())), known, meant)


@pytest.mark.parametrize("text", ["for Quixbury", "quixbury_ct", "QUIXBURY", "x (Quixbury)"])
def test_a_part_of_a_name_is_found_however_it_is_written(text):
    assert looked(traces(PatientName="Quixbury^Zephyrine"), ConvolutionKernel=text) == "PatientName"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["Müllerová", "MÜLLEROVÁ"])
def test_a_name_is_found_in_bytes_of_any_encoding(encoding, name):
    try:
        raw = name.encode(encoding)
    except UnicodeEncodeError:
        raw = name.encode("utf-8")
    known = traces(PatientName="Müllerová^Jana")
    assert (
        looked(known, RedPaletteColorLookupTableData=b"\0\0" + raw + b"\0" * (len(raw) % 2)) == "PatientName"
    )


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp", "iso2022_jp", "gb18030", "utf-8"])
def test_a_name_of_two_ideographs_is_found(encoding):
    raw = "山田".encode(encoding)
    known = traces(PatientName="Yamada^Tarou=山田^太郎")
    assert looked(known, RedPaletteColorLookupTableData=raw + b"\0" * (len(raw) % 2)) == "PatientName"


def test_longer_texts_are_looked_for_in_pixels_too():
    known = traces(PatientID="MRN-90210-X")
    assert looked(known, pixels=b"\1\2mrn-90210-x\3") == "PatientID"
    assert looked(known, pixels=b"\1\2\3\4") is None


def test_ids_names_within_items_uids_and_dates_are_found():
    assert looked(traces(AccessionNumber="ACC7788"), StudyComments="see ACC7788") == "AccessionNumber"
    within = traces(RequestAttributesSequence=Sequence([item(RequestingPhysician="Drumlanrig")]))
    assert looked(within, StudyComments="Drumlanrig") == "RequestingPhysician"
    assert looked(
        traces(SeriesInstanceUID="1.2.3.4.5"),
        SourceImageSequence=[item(ReferencedSOPInstanceUID="1.2.3.4.5")],
    )
    assert (
        looked(
            traces(SeriesInstanceUID="1.2.3.4.5"),
            SourceImageSequence=[item(ReferencedSOPInstanceUID="1.2.3.4.55")],
        )
        is None
    )
    assert looked(traces(StudyDate="20240115"), ContentDate="20240115") == "StudyDate"
    assert looked(traces(StudyDate="20240115"), AcquisitionDateTime="20240115101500.5") == "StudyDate"
    assert looked(traces(StudyDate="20240115"), ["20240115"], ContentDate="20240115") is None


def test_short_values_are_compared_where_such_values_stand():
    known = traces(PatientID="42", PatientName="Li^Bo")
    assert looked(known, PatientID="42") == "PatientID"
    assert looked(known, OperatorsName="Li") == "OperatorsName"
    assert looked(known, SeriesNumber=42, ImageComments="Li-poma 42") is None


def test_a_name_that_is_a_word_of_a_code_is_no_leak_unless_it_stands_elsewhere_too():
    known = traces(PatientName="Head^Liver")
    coded = Sequence([item(CodeValue="10200004", CodingSchemeDesignator="SCT", CodeMeaning="Liver")])
    assert looked(known, AnatomicRegionSequence=coded, BodyPartExamined="HEAD") is None
    assert looked(known, AnatomicRegionSequence=coded, ImageComments="Mrs Liver") == "PatientName"


def test_uids_of_the_standard_and_its_classes_are_no_traces():
    assert traces(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPClassUID="1.2.3").uids == {}


def test_a_table_that_tells_a_name_or_a_date_is_found():
    known = traces(PatientName="Quixbury^Zephyrine", StudyDate="20240115")
    assert look_at_text(b"malignant;seen by quixbury", known) == "PatientName"
    assert look_at_text(b"malignant;20240115", known) == "StudyDate"
    assert look_at_text(b"malignant;3.5", known) is None


@pytest.mark.parametrize(
    ("encoding", "text"), [("iso2022_jp", "検査山田太郎様"), ("iso2022_kr", "검사김희중님")]
)
def test_a_name_is_found_within_a_longer_text_of_iso_2022(encoding, text):
    known = traces(PatientName=f"X^Y={text[2:4]}^{text[4:]}")
    raw = text.encode(encoding)
    assert looked(known, RedPaletteColorLookupTableData=raw + b"\0" * (len(raw) % 2)) == "PatientName"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("on 15.01.2024", {"20240115"}),
        ("2024-01-15", {"20240115"}),
        ("2024/1/15", {"20240115"}),
        ("15 January 2024", {"20240115"}),
        ("15-Jan-2024", {"20240115"}),
        ("Jan 15, 2024", {"20240115"}),
        ("20240115", {"20240115"}),
        ("1.2.2024", {"20240201", "20240102"}),
        ("31.12.47", {"19471231", "20471231"}),
        ("1.25 mm, 3.5; 12/40; 2024; 123456", set()),
        ("1.2.840.10008.1.2.1", set()),
        ("20241301", set()),
    ],
)
def test_dates_are_found_in_the_ways_that_people_write_them(text, wanted):
    assert dates_in(text.encode()) == wanted


def test_a_name_is_no_leak_in_a_code_of_the_standard_and_is_one_in_a_code_of_a_site():
    known = traces(PatientName="Quixbury")
    for scheme, found in (("SCT", None), ("99HOSP", "PatientName")):
        coded = item(CodeValue="1", CodingSchemeDesignator=scheme, CodeMeaning="Quixbury")
        assert looked(known, ProcedureCodeSequence=Sequence([coded])) == found
