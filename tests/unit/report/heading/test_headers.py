"""Wrong headers neither break a result nor get into it; mixed ones make none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement

from dicomnode.faults import IDENTITY_UNSURE, SOURCE_HEADER_WRONG, SOURCES_DISAGREE, NodeError
from dicomnode.report.heading.headers import check_patient, read_heading
from dicomnode.store.persons import Renaming
from dicomnode.values import Findings, SourceHeaders
from tests.unit.report.sources import Series, findings, not_analysed, wrong_element


def _without(*keywords: str):
    def edit(ds: Dataset, k: int) -> None:
        for keyword in keywords:
            delattr(ds, keyword)

    return edit


def _with(**values: object):
    def edit(ds: Dataset, k: int) -> None:
        for keyword, value in values.items():
            ds[keyword] = wrong_element(keyword, value)

    return edit


def _only_on(k_wanted: int, edit):
    def edit_one(ds: Dataset, k: int) -> None:
        if k == k_wanted:
            edit(ds, k)

    return edit_one


ASCII = {"ReferringPhysicianName": "Arzt", "InstitutionName": "Klinikum"}
TYPE_2 = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@pytest.mark.parametrize("keyword", TYPE_2)
def test_a_missing_type_2_attribute_is_empty(keyword: str) -> None:
    heading = read_heading(findings(Series(edit=_without(keyword))))
    assert keyword in heading.shared
    assert not heading.shared[keyword].value
    assert heading.notes == ()


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "U"),
        ("PatientSex", "MALE"),
        ("PatientBirthDate", "1960"),
        ("PatientBirthDate", "19600230"),
        ("PatientBirthDate", "1960.02.29"),
        ("StudyDate", "00000000"),
        ("StudyTime", "256199"),
        ("StudyTime", "10:11:12"),
        ("AccessionNumber", "A2345678901234567890"),
        ("StudyID", "S" * 17),
        ("PatientName", "N" * 65),
    ],
)
def test_a_wrong_type_2_value_is_left_empty_and_noted_without_its_value(keyword: str, value: str) -> None:
    heading = read_heading(findings(Series(edit=_with(**{keyword: value}))))
    assert not heading.shared[keyword].value
    assert len(heading.notes) == 1
    assert value not in heading.notes[0]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientAge", "65"),
        ("PatientWeight", "1" * 17),
        ("StudyDescription", "D" * 65),
        ("StudyDescription", "two\rlines"),
        ("SmokingStatus", "SOMETIMES"),
    ],
)
def test_a_wrong_optional_value_is_left_out_and_noted(keyword: str, value: str) -> None:
    heading = read_heading(findings(Series(edit=_with(**{keyword: value}))))
    assert keyword not in heading.shared
    assert len(heading.notes) == 1


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyTime", "101112.123456"),
        ("StudyTime", "10"),
        ("StudyTime", "235960"),
        ("PatientSex", "O"),
        ("PatientSex", ""),
        ("AccessionNumber", "A234567890123456"),
        ("PatientWeight", "81.50"),
        ("PatientComments", ""),
        ("PatientName", "Yamada^Tarou=山田　太郎=やまだ　たろう"),
        ("PatientName", "Müller\u00a0Nuñez^José"),
        ("PatientID", "１２３　４"),
        ("StudyDescription", "胸部　ＣＴ"),
    ],
)
def test_a_valid_value_is_kept_as_it_is(keyword: str, value: str) -> None:
    written = _with(SpecificCharacterSet="ISO_IR 192", **{keyword: value})
    heading = read_heading(findings(Series(edit=written)))
    kept = heading.shared[keyword].value
    assert str(getattr(kept, "original_string", None) or kept or "") == value
    assert heading.notes == ()


def test_an_optional_sequence_that_is_empty_is_left_out() -> None:
    heading = read_heading(findings(Series(edit=_with(ReferencedStudySequence=[]))))
    assert "ReferencedStudySequence" not in heading.shared


def test_what_may_not_be_empty_is_left_out_when_it_is() -> None:
    heading = read_heading(findings(Series(edit=_with(DeidentificationMethod=""))))
    assert "DeidentificationMethod" not in heading.shared
    assert heading.notes == ()


def test_items_are_cleaned_too_and_lose_private_elements() -> None:
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "OTHER-1", "PLASTIC"
    item.add(DataElement(0x00091001, "LO", "secret"))
    heading = read_heading(findings(Series(edit=_with(OtherPatientIDsSequence=[item]))))
    (kept,) = heading.shared.OtherPatientIDsSequence
    assert [element.keyword for element in kept] == ["PatientID", "TypeOfPatientID"]
    assert kept.TypeOfPatientID == "TEXT"
    assert heading.notes


@pytest.mark.parametrize(
    ("keyword", "edit"),
    [
        ("PatientID", _without("PatientID")),
        ("PatientID", _with(PatientID="P" * 65)),
        ("IssuerOfPatientID", _with(IssuerOfPatientID="I" * 65)),
        ("PixelSpacing", _without("PixelSpacing")),
        ("ImageOrientationPatient", _without("ImageOrientationPatient")),
        ("ImagePositionPatient", _without("ImagePositionPatient")),
        ("ImagePositionPatient", _only_on(3, _without("ImagePositionPatient"))),
    ],
)
def test_without_identity_or_geometry_there_is_no_result(keyword: str, edit) -> None:
    with pytest.raises(NodeError) as caught:
        read_heading(findings(Series(edit=edit)))
    assert caught.value.fault is SOURCE_HEADER_WRONG
    assert caught.value.values["keyword"] == keyword
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "PAT-8"),
        ("IssuerOfPatientID", "ELSEWHERE"),
        ("PatientName", "Schmidt^Jörg"),
        ("PatientBirthDate", "19600228"),
        ("StudyInstanceUID", "1.2.3"),
        ("SeriesInstanceUID", "1.2.3"),
        ("FrameOfReferenceUID", "1.2.3"),
        ("Rows", 21),
        ("PixelSpacing", ["0.8", "0.71"]),
        ("ImageOrientationPatient", ["0.999", "0.01", "0", "0", "1", "0"]),
    ],
)
def test_one_instance_that_differs_makes_the_sources_disagree(keyword: str, value: object) -> None:
    with pytest.raises(NodeError) as caught:
        read_heading(findings(Series(edit=_only_on(7, _with(**{keyword: value})))))
    assert caught.value.fault is SOURCES_DISAGREE
    assert caught.value.values["keyword"] == keyword
    assert str(value) not in str(caught.value)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyInstanceUID", "1.2.3"),
        ("SeriesInstanceUID", "1.2.3"),
        ("FrameOfReferenceUID", "1.2.3"),
        ("Rows", 28),
        ("Columns", 20),
    ],
)
def test_headers_of_another_series_than_the_findings_say_disagree(keyword: str, value: object) -> None:
    with pytest.raises(NodeError) as caught:
        read_heading(findings(Series(edit=_with(**{keyword: value}))))
    assert caught.value.fault is SOURCES_DISAGREE


def test_the_same_name_in_two_character_sets_is_the_same_name() -> None:
    heading = read_heading(findings(Series(edit=_only_on(2, _with(SpecificCharacterSet="ISO_IR 192")))))
    assert str(heading.shared.PatientName) == "Müller^Jörg"


@pytest.mark.parametrize("untold", [0, 5])
@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("Müller^Jörg", "ISO_IR 100"),
        ("Müller^Jörg", "ISO_IR 192"),
        ("Иванов^Пётр", "ISO_IR 144"),
        ("王^小东", "GB18030"),
        ("Yamada^Tarou=山田^太郎", ["", "ISO 2022 IR 87"]),
    ],
)
def test_a_name_is_read_as_those_headers_say_that_tell_their_character_set(
    name: str, declared: str | list[str], untold: int
) -> None:
    series = Series(extra={**ASCII, "SpecificCharacterSet": declared, "PatientName": name})
    source = series.source()
    encoded = list(source.headers.encoded)
    encoded[untold] = _without_terms(encoded[untold])
    found = findings(series, sources=(replace(source, headers=SourceHeaders(tuple(encoded))),))
    assert str(read_heading(found, "ISO_IR 100").shared.PatientName) == name


def test_two_names_are_two_although_one_header_does_not_tell_its_character_set() -> None:
    series = Series(
        extra={**ASCII, "SpecificCharacterSet": "ISO_IR 144", "PatientName": "Иванов^Пётр"},
        edit=_only_on(5, _with(PatientName="Петров^Иван")),
    )
    source = series.source()
    encoded = list(source.headers.encoded)
    encoded[5] = _without_terms(encoded[5])
    found = findings(series, sources=(replace(source, headers=SourceHeaders(tuple(encoded))),))
    with pytest.raises(NodeError) as caught:
        read_heading(found, "ISO_IR 100")
    assert (caught.value.fault, caught.value.values["keyword"]) == (SOURCES_DISAGREE, "PatientName")


def _without_terms(encoded: bytes) -> bytes:
    """Take the character set out of a header, and leave its other bytes as they are."""
    at = encoded.index(b"\x08\0\x05\0CS") + 8
    length = int.from_bytes(encoded[at - 2 : at], "little")
    return encoded[:at] + b" " * length + encoded[at + length :]


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (_without("PatientID"), "(0010,0020) PatientID of the source is missing"),
        (_with(PatientID="P" * 70), "(0010,0020) PatientID of the source is not valid"),
        (_with(IssuerOfPatientID="I" * 70), "(0010,0021) IssuerOfPatientID of the source is not valid"),
    ],
)
def test_a_header_that_does_not_say_whose_it_is_can_be_found_before_there_are_findings(edit, problem) -> None:
    (header, *_) = Series(edit=edit).source().headers.encoded
    said = []
    for find in (lambda: check_patient(header), lambda: read_heading(findings(Series(edit=edit)))):
        with pytest.raises(NodeError) as caught:
            find()
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert problem in said[0]


def test_what_a_message_told_of_the_patient_takes_the_place_of_what_a_header_lacks() -> None:
    (header, *_) = Series(edit=_without("PatientID")).source().headers.encoded
    nobody = {"PatientID": "", "PatientName": ""}
    check_patient(header, renaming=Renaming(told={"PatientID": "PAT-7"}, former=(nobody,)))
    check_patient(Series(edit=_with(PatientID="")).source().headers.encoded[0])  # Type 2: it may be empty


A = {"PatientID": "A", "PatientName": "Doe^Jane"}


def test_a_message_on_somebody_else_is_written_over_no_header() -> None:
    """The images of a third patient lie in a study of which a message told."""
    heading = read_heading(findings(), renaming=Renaming(told={"PatientID": "B"}, former=(A,)))
    assert (heading.shared.PatientID, heading.told_id) == ("PAT-7", None)


def test_a_header_that_follows_a_message_by_its_id_alone_gets_the_name_that_was_told() -> None:
    former = {"PatientID": "OLD"}
    renaming = Renaming(told={"PatientID": "PAT-7", "PatientName": "Roe^Jane"}, former=(former,))
    heading = read_heading(findings(), renaming=renaming)
    assert (heading.shared.PatientID, str(heading.shared.PatientName)) == ("PAT-7", "Roe^Jane")


@pytest.mark.parametrize(
    "renaming",
    [
        Renaming(told={"PatientID": "B"}),
        Renaming(told={"PatientID": "B"}, former=({"PatientID": "PAT-7", "PatientName": "Doe^Jane"},)),
    ],
    ids=["a record of an earlier version", "of the replaced ID, by another name"],
)
def test_images_that_cannot_be_shown_to_be_of_whom_a_message_told_make_no_result(renaming) -> None:
    (header, *_) = Series().source().headers.encoded
    for find in (
        lambda: check_patient(header, renaming=renaming),
        lambda: read_heading(findings(), renaming=renaming),
    ):
        with pytest.raises(NodeError) as caught:
            find()
        assert caught.value.fault is IDENTITY_UNSURE


def test_a_second_input_of_another_patient_disagrees() -> None:
    other = Series(study="prior", edit=_with(PatientID="PAT-8")).source()
    found = findings()
    with pytest.raises(NodeError) as caught:
        read_heading(replace(found, sources=(*found.sources, other)))
    assert caught.value.fault is SOURCES_DISAGREE


def test_a_second_input_of_an_earlier_study_of_the_patient_is_fine() -> None:
    found = findings()
    heading = read_heading(replace(found, sources=(*found.sources, Series(study="prior").source())))
    assert [len(stubs) for stubs in heading.stubs] == [12, 12]
    assert heading.shared.StudyInstanceUID == found.sources[0].study_instance_uid


def test_geometry_may_disagree_where_no_volume_was_made() -> None:
    edit = _only_on(
        3, _with(PixelSpacing=["1", "1"], ImageOrientationPatient=None, FrameOfReferenceUID="1.2")
    )
    assert len(read_heading(not_analysed(Series(edit=edit))).stubs[0]) == 12


def test_a_frame_without_header_is_named() -> None:
    found = findings()
    source = replace(found.sources[0], headers=SourceHeaders(found.sources[0].headers.encoded[1:]))
    with pytest.raises(NodeError) as caught:
        read_heading(replace(found, sources=(source,)))
    assert caught.value.fault is SOURCE_HEADER_WRONG


@pytest.mark.parametrize(
    "edit", [_without("SliceThickness"), _with(SliceThickness=None), _with(SliceThickness="0")]
)
def test_a_missing_slice_thickness_is_the_distance_of_the_slices(edit) -> None:
    heading = read_heading(findings(Series(edit=edit)))
    assert {float(stub.SliceThickness) for stub in heading.stubs[0]} == {2.5}


def test_the_slice_thickness_of_the_source_is_kept() -> None:
    heading = read_heading(findings(Series(edit=_with(SliceThickness="3.75"))))
    assert {str(stub.SliceThickness) for stub in heading.stubs[0]} == {"3.75"}


def test_stubs_hold_nothing_of_the_patient() -> None:
    heading = read_heading(findings())
    for stub in heading.stubs[0]:
        text = str(stub)
        for secret in ("PAT-7", "Müller", "19600229", "ACC123"):
            assert secret not in text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("+0900", timezone(timedelta(hours=9))),
        ("-0330", timezone(-timedelta(hours=3, minutes=30))),
        ("+0000", timezone(timedelta())),
        ("0900", None),
        ("+9900", None),
        ("", None),
    ],
)
def test_the_zone_of_the_source_is_read_where_it_is_one(written: str, expected: timezone | None) -> None:
    assert read_heading(findings(Series(edit=_with(TimezoneOffsetFromUTC=written)))).offset == expected


def test_numbers_longer_than_the_vr_allows_are_shortened() -> None:
    def edit(ds: Dataset, k: int) -> None:
        position = ["-9.5", "-101.25", f"{-312.5 + 2.5 * k:.15f}"]
        ds["ImagePositionPatient"] = wrong_element("ImagePositionPatient", position)

    heading = read_heading(findings(Series(edit=edit)))
    assert all(len(str(value)) <= 16 for stub in heading.stubs[0] for value in stub.ImagePositionPatient)
    assert float(heading.stubs[0][4].ImagePositionPatient[2]) == pytest.approx(-302.5)


def _with_bytes(found: Findings, old: bytes, new: bytes) -> Findings:
    """The findings with other bytes in all headers."""
    assert len(old) == len(new)
    assert all(encoded.count(old) == 1 for encoded in found.sources[0].headers.encoded)
    encoded = tuple(one.replace(old, new) for one in found.sources[0].headers.encoded)
    return replace(found, sources=(replace(found.sources[0], headers=SourceHeaders(encoded)),))


def test_a_number_that_is_none_is_left_out_where_it_would_be_copied() -> None:
    heading = read_heading(_with_bytes(findings(), b"81.5", b"81,5"))
    assert "PatientWeight" not in heading.shared
    assert len(heading.notes) == 1


def test_a_number_that_is_none_does_no_harm_where_nobody_needs_it() -> None:
    assert read_heading(_with_bytes(findings(), b"120 ", b"1x0 ")).notes == ()


@pytest.mark.parametrize(
    ("keyword", "parts"),
    [
        ("ProcedureCodeSequence", {"CodeValue": "1", "CodingSchemeDesignator": "99X"}),
        ("ProcedureCodeSequence", {"CodeMeaning": "Chest", "CodingSchemeDesignator": "99X"}),
        ("ReferencedStudySequence", {"ReferencedSOPInstanceUID": "1.2.3"}),
        ("OtherPatientIDsSequence", {"IssuerOfPatientID": "X"}),
    ],
)
def test_an_item_without_what_it_needs_is_left_out_and_noted(keyword: str, parts: dict[str, str]) -> None:
    item = Dataset()
    for one, value in parts.items():
        item[one] = wrong_element(one, value)
    heading = read_heading(findings(Series(edit=_with(**{keyword: [item]}))))
    assert keyword not in heading.shared
    assert len(heading.notes) == 1


TRIAL = {"ClinicalTrialSponsorName": "S", "ClinicalTrialProtocolID": "P", "ClinicalTrialSubjectID": "7"}


@pytest.mark.parametrize("missing", sorted(TRIAL))
def test_a_trial_that_is_not_named_in_full_is_left_out(missing: str) -> None:
    heading = read_heading(findings(Series(edit=_with(**{**TRIAL, missing: ""}))))
    assert not [keyword for keyword in TRIAL if keyword in heading.shared]
    assert len(heading.notes) == 1


def test_a_trial_that_is_named_is_kept_with_its_empty_parts() -> None:
    heading = read_heading(findings(Series(edit=_with(**TRIAL))))
    assert {keyword: heading.shared[keyword].value for keyword in TRIAL} == TRIAL
    assert "ClinicalTrialSiteName" in heading.shared
    assert heading.notes == ()


@pytest.mark.parametrize(("method", "kept"), [("", False), ("by hand", True)])
def test_identity_removed_is_said_only_with_a_method(method: str, kept: bool) -> None:
    edit = _with(PatientIdentityRemoved="YES", DeidentificationMethod=method)
    assert ("PatientIdentityRemoved" in read_heading(findings(Series(edit=edit))).shared) == kept


def test_a_wrong_id_among_the_other_ids_is_no_reason_to_refuse() -> None:
    item = Dataset()
    item["PatientID"] = wrong_element("PatientID", "P" * 65)
    heading = read_heading(findings(Series(edit=_with(OtherPatientIDsSequence=[item]))))
    assert "OtherPatientIDsSequence" not in heading.shared
    assert len(heading.notes) == 1
