"""Values of another kind than the dictionary says: left out or refused by name, and never a raw exception."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag

from dicomnode.faults import SOURCE_HEADER_WRONG, SOURCES_DISAGREE, NodeError
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.shared_modules import IDENTIFYING, SHARED
from dicomnode.values import Findings, SourceHeaders
from tests.unit.report.sources import SALT, Series, findings

SHAPE = (3, 20, 28)
FOUND = findings(Series(shape_kji=SHAPE), segments=())
OTHERS = ("Manufacturer", "SoftwareVersions", "DeviceSerialNumber", "BodyPartExamined", "StationName")
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio")
GATE = ("Modality", "SOPClassUID", "Rows", "PixelSpacing", "ImageOrientationPatient", "FrameOfReferenceUID")
READ = ("InstanceNumber", "SliceThickness", "TimezoneOffsetFromUTC", "SpecificCharacterSet")
OF_EACH_KIND = {dictionary_VR(keyword): keyword for keyword in reversed(SHARED)}
ALL = (*OF_EACH_KIND.values(), *IDENTIFYING, *OTHERS, *LOSSY, *GATE, *READ)

SECRET = b"7391"  # must be in no message; as US 14647, as text itself
KINDS = {
    "US": SECRET[:2],
    "OB": SECRET,
    "IS": b"1e400 ",
    "SQ": b"\xfe\xff\x00\xe0",  # the beginning of an item
    "PN": SECRET,
    "FD": b"\0\0\0\0\0\0\xf8\x7f",  # not a number
}


LONG = ("OB", "SQ")  # whose lengths have four bytes (PS3.5 7.1.2)
AHEAD = 132  # bytes of the preamble, and DICM


def spliced(encoded: bytes, keyword: str, vr: str, value: bytes) -> bytes:
    """Put an element, as it is, into a header in place of the one it has: pydicom would not write it."""
    tag = Tag(tag_for_keyword(keyword))
    length = struct.pack("<HL", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))
    element = struct.pack("<HH", tag.group, tag.element) + vr.encode() + length + value
    at = AHEAD
    while at < len(encoded):
        group, number = struct.unpack_from("<HH", encoded, at)
        is_long = encoded[at + 4 : at + 6].decode() in LONG
        (size,) = struct.unpack_from("<L" if is_long else "<H", encoded, at + (8 if is_long else 6))
        end = at + (12 if is_long else 8) + size
        if (group, number) >= (tag.group, tag.element):
            return encoded[:at] + element + encoded[end if (group, number) == tag else at :]
        at = end
    return encoded + element


def wrong(keyword: str, vr: str, only_last: bool = False, value: bytes | None = None) -> Findings:
    """Findings whose headers, all or the last one, have an element of another kind."""
    (source,) = FOUND.sources
    encoded = [
        spliced(one, keyword, vr, KINDS[vr] if value is None else value)
        if k == SHAPE[0] - 1 or not only_last
        else one
        for k, one in enumerate(source.headers.encoded)
    ]
    return replace(FOUND, sources=(replace(source, headers=SourceHeaders(tuple(encoded))),))


def said_of(keyword: str, vr: str, only_last: bool) -> str:
    """What is said of it; it is no value of the result unless it is of the dictionary's kind."""
    meant = set(dictionary_VR(keyword).split(" or "))
    try:
        heading = read_heading(wrong(keyword, vr, only_last))
    except NodeError as error:
        refused = error
    else:
        kept = heading.shared.get(keyword) or heading.equipment.get(keyword)
        # A name in place of another text is one
        assert only_last or not kept or vr in meant or vr == "PN", keyword
        return " ".join(heading.notes)
    assert refused.fault in {SOURCE_HEADER_WRONG, SOURCES_DISAGREE}, keyword
    assert refused.values["keyword"] == keyword
    return str(refused)


@pytest.mark.parametrize("vr", KINDS)
@pytest.mark.parametrize("only_last", [False, True], ids=["all slices", "the last slice"])
def test_an_attribute_of_another_kind_is_left_out_or_refused_by_its_name(vr: str, only_last: bool) -> None:
    for keyword in ALL:
        said = said_of(keyword, vr, only_last)
        assert SECRET.decode() not in said
        assert str(int.from_bytes(SECRET[:2], "little")) not in said


WRITTEN = (
    ("PatientName", "US"),
    ("PatientBirthDate", "US"),
    ("StudyTime", "US"),
    ("PatientWeight", "OB"),
    ("BodyPartExamined", "US"),
    ("Manufacturer", "US"),
    ("InstanceNumber", "IS"),
    ("SliceThickness", "IS"),
    ("ReferencedStudySequence", "SQ"),
    ("EthnicGroup", "US"),
)


@pytest.mark.parametrize(("keyword", "vr"), WRITTEN, ids=[f"{keyword} as {vr}" for keyword, vr in WRITTEN])
def test_objects_are_made_without_it(keyword: str, vr: str) -> None:
    (report,) = make_objects(wrong(keyword, vr), ReportProfile(kinds=("SR",)), SALT)
    assert report.content


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID", "StudyInstanceUID"])
@pytest.mark.parametrize("vr", ["US", "OB", "FD"])
def test_who_it_is_may_not_be_of_another_kind(keyword: str, vr: str) -> None:
    with pytest.raises(NodeError) as caught:
        read_heading(wrong(keyword, vr))
    assert caught.value.fault is SOURCE_HEADER_WRONG
    assert caught.value.values["keyword"] == keyword


@pytest.mark.parametrize(
    ("keyword", "vr"), [("StudyID", "LO"), ("PatientAge", "LO"), ("AccessionNumber", "CS")]
)
def test_a_text_of_another_kind_of_text_is_checked_as_what_it_is_meant_for(keyword: str, vr: str) -> None:
    heading = read_heading(wrong(keyword, vr, value=b"065Y"))
    assert (heading.shared[keyword].value, heading.shared[keyword].VR) == ("065Y", dictionary_VR(keyword))
    assert len(read_heading(wrong(keyword, vr, value=b"065Y" * 5)).notes) == 1
