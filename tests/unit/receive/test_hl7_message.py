"""HL7 messages: what is read of an ADT, what is refused, and how it is answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.faults import MESSAGE_UNWANTED, MESSAGE_WRONG, Fault, NodeError
from dicomnode.receive.hl7_message import (
    PatientChange,
    PatientNumber,
    acknowledgment,
    parse,
    read_changes,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MSH = r"MSH|^~\&|HIS|HOSPITAL|NODE|RIS|20260301||{kind}|42|{mode}|{version}||||||{charset}"
PID = "PID|1||P1^^^HOSP&1.2.3&ISO||Right^Name^Middle^Jr^Dr^PhD||19700203|F"
MRG = "MRG|P0^^^HOSP"


def message(*segments: str, kind: str = "ADT^A08^ADT_A01", **more: str) -> bytes:
    encoding = more.pop("encoding", "latin-1")
    head = MSH.format(kind=kind, **({"mode": "P", "version": "2.5", "charset": ""} | more))
    return "\r".join((head, "EVN||20260301", *segments)).encode(encoding) + b"\r"


def changes(content: bytes) -> list[PatientChange]:
    return read_changes(parse(content, "8859/1", "10.0.0.1"), "10.0.0.1")


def test_an_update_says_whose_the_studies_of_an_id_are() -> None:
    (change,) = changes(message(PID))
    assert change.known_as == (PatientNumber("P1", "HOSP"),)
    assert change.successors == ()
    assert change.values == {
        "PatientName": "Right^Name^Middle^Dr^Jr",  # PN has the prefix before the suffix, and no degree
        "PatientBirthDate": "19700203",
        "PatientSex": "F",
    }


def test_a_merge_names_the_old_id_and_the_new_one() -> None:
    (change,) = changes(message(PID, "PD1|", MRG, kind="ADT^A40^ADT_A39"))
    assert change.known_as == (PatientNumber("P0", "HOSP"),)
    assert change.successors == (PatientNumber("P1", "HOSP"),)


def test_several_patients_in_one_merge_stay_apart() -> None:
    two = message(PID, MRG, PID.replace("P1", "P3"), MRG.replace("P0", "P2"), kind="ADT^A40^ADT_A39")
    assert [(c.known_as[0].number, c.successors[0].number) for c in changes(two)] == [
        ("P0", "P1"),
        ("P2", "P3"),
    ]


@pytest.mark.parametrize(
    ("new", "old", "becomes"),
    [
        ("756^^^AHV^SS~NEW^^^HOSP^MR", "OLD^^^^MR", ["NEW"]),
        ("NEW^^^HOSP^MR~N2^^^MPI^PI", "OLD^^^HOSP^MR~O2^^^MPI^PI", ["NEW", "N2"]),
        ("N2^^^MPI^PI~NEW^^^HOSP^MR", "OLD^^^HOSP", ["NEW"]),
        ("N2^^^MPI^PI~NEW^^^HOSP^MR", "OLD^^^^MR", ["NEW"]),
        ("NEW~N2^^^MPI^PI", "OLD", ["NEW"]),
        ("NEW^^^HOSP^MR~NEW^^^HOSP^PI", "OLD", ["NEW"]),
        ("NEW^^^^PT", "OLD^^^HOSP", ["NEW"]),
    ],
    ids=[
        "no social security number",
        "each of its kind",
        "of its issuer",
        "of its type",
        "neither said",
        "one of two types",
        "nothing against it",
    ],
)
def test_an_old_id_becomes_the_one_of_its_type_and_issuer(new: str, old: str, becomes: list[str]) -> None:
    (change,) = changes(message(f"PID|||{new}", f"MRG|{old}", kind="ADT^A40^ADT_A39"))
    assert [one.number for one in change.successors] == becomes


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("A^^^HOSP^MR~B^^^MPI^PI", "OLD"),
        ("A^^^HOSP^MR~B^^^HOSP^PI", "OLD^^^HOSP"),
        ("A^^^ELSEWHERE^MR", "OLD^^^HOSP^MR"),
        ("A^^^HOSP^PI", "OLD^^^HOSP^MR"),
        ("A^^^HOSP^SS", "OLD"),
        ("A", "OLD^^^HOSP^AN"),
    ],
    ids=[
        "two that could",
        "two of the issuer",
        "another issuer",
        "another type",
        "no ID of a patient",
        "no old ID of a patient",
    ],
)
def test_a_merge_that_does_not_say_what_an_old_id_becomes_is_wrong(new: str, old: str) -> None:
    with pytest.raises(NodeError) as caught:
        changes(message(f"PID|||{new}", f"MRG|{old}", kind="ADT^A40^ADT_A39"))
    assert caught.value.fault is MESSAGE_WRONG


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("NEW^^^HOSP^MR", "OLD^^^HOSP^MR~O2^^^MPI^PI"),
        ("N2^^^OTHER^PI~NEW^^^HOSP^MR", "O2^^^MPI^PI~OLD^^^HOSP^MR"),
    ],
)
def test_one_old_id_that_becomes_nothing_is_left_out_of_the_merge(new: str, old: str) -> None:
    (change,) = changes(message(f"PID|||{new}", f"MRG|{old}", kind="ADT^A40^ADT_A39"))
    assert [one.number for one in change.known_as] == ["OLD"]
    assert [one.number for one in change.successors] == ["NEW"]
    assert change.left_out == (PatientNumber("O2", "MPI", "PI"),)


def test_an_old_id_that_could_become_two_refuses_the_merge_also_where_another_is_plain() -> None:
    two = message("PID|||A^^^HOSP^MR~B^^^HOSP^MR~C^^^MPI^PI", "MRG|O1^^^HOSP^MR~O2^^^MPI^PI", kind="ADT^A40")
    with pytest.raises(NodeError, match="PID-3 has 2 IDs"):
        changes(two)


@pytest.mark.parametrize("kind", ["AN", "SS", "VN", "NI", "mr"])
def test_an_id_of_another_type_is_no_patient_id(kind: str) -> None:
    (change,) = changes(message(f"PID|||P1^^^HOSP^MR~N7^^^HOSP^{kind}"))
    assert [one.number for one in change.known_as] == ["P1"]


@pytest.mark.parametrize(
    ("pid", "values"),
    [
        ("PID|||P1", {}),
        ('PID|||P1||""||""|""', {"PatientName": "", "PatientBirthDate": "", "PatientSex": ""}),
        ("PID|||P1||A^B~C^D||1970|U", {"PatientName": "A^B", "PatientSex": ""}),
        ("PID|||P1||Smith\\T\\Sons^A||197002031230|M", None),
        ("PID|||P1||van Gogh&van&Gogh^V", {"PatientName": "van Gogh^V"}),
        ('PID|||P1||A^""^C||', {"PatientName": "A^^C"}),
    ],
    ids=["nothing", "deleted", "a year, unknown sex", "escaped", "subcomponents", "deleted part"],
)
def test_what_a_patient_segment_says(pid: str, values: dict[str, str] | None) -> None:
    (change,) = changes(message(pid))
    if values is None:
        values = {"PatientName": "Smith&Sons^A", "PatientBirthDate": "19700203", "PatientSex": "M"}
    assert change.values == values


@pytest.mark.parametrize(
    ("charset", "encoding"), [("", "latin-1"), ("UNICODE UTF-8", "utf-8"), ("8859/5", "iso8859-5")]
)
def test_a_name_is_read_in_the_character_set_of_the_message(charset: str, encoding: str) -> None:
    name = "Иванов" if encoding == "iso8859-5" else "Müller"
    (change,) = changes(message(f"PID|||P1||{name}^A", charset=charset, encoding=encoding))
    assert change.values == {"PatientName": f"{name}^A"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", MESSAGE_WRONG),
        (b"PID|1", MESSAGE_WRONG),
        (b"MSH|||||||||", MESSAGE_WRONG),
        (message(PID, kind="ADT^A01"), MESSAGE_UNWANTED),
        (message(PID, kind="ORU^R01"), MESSAGE_UNWANTED),
        (message(PID, mode="T"), MESSAGE_UNWANTED),
        (message(PID, version="3.0"), MESSAGE_UNWANTED),
        (message(PID, version=""), MESSAGE_UNWANTED),
        (message(), MESSAGE_WRONG),
        (message("PID|||"), MESSAGE_WRONG),
        (message('PID|||""'), MESSAGE_WRONG),
        (message("PID|||" + "9" * 65), MESSAGE_WRONG),
        (message("PID|||P1||" + "A" * 65), MESSAGE_WRONG),
        (message("PID|||P1||A=B"), MESSAGE_WRONG),
        (message("PID|||P1||A\\X00\\B"), MESSAGE_WRONG),
        (message("PID|||P1||||19701301"), MESSAGE_WRONG),
        (message("PID|||P1|||||X"), MESSAGE_WRONG),
        (message(PID, kind="ADT^A40"), MESSAGE_WRONG),
        (message(MRG, kind="ADT^A40"), MESSAGE_WRONG),
        (message(PID, PID, MRG, kind="ADT^A40"), MESSAGE_WRONG),
        (message(PID, "MRG|", kind="ADT^A40"), MESSAGE_WRONG),
        (message(PID, charset="GB 18030-2000"), MESSAGE_WRONG),
        (message("PID|||P1||M\xfcller", charset="UNICODE UTF-8"), MESSAGE_WRONG),
    ],
)
def test_what_is_not_understood_is_refused_without_a_value(content: bytes, fault: Fault) -> None:
    with pytest.raises(NodeError) as caught:
        changes(content)
    assert caught.value.fault is fault
    for value in ("P1", "Right", "Name", "1970", "ller"):
        assert value not in str(caught.value)


def test_an_acknowledgment_goes_back_to_who_sent_with_its_number() -> None:
    answer = acknowledgment(parse(message(PID), "8859/1", "x"), "AA", "", "NODE1", NOW).decode()
    header, told = (line.split("|") for line in answer.strip("\r").split("\r"))
    assert header[:3] == ["MSH", "^~\\&", "NODE1"]
    assert header[4:6] == ["HIS", "HOSPITAL"]
    assert (header[8], header[9], header[11]) == ("ACK^A08", "42", "2.5")
    assert told == ["MSA", "AA", "42", ""]


def test_what_cannot_be_read_at_all_is_answered_too() -> None:
    answer = acknowledgment(None, "AE", "no | MSH\r", "NODE1", NOW).decode()
    assert answer.split("\r")[1] == "MSA|AE||no   MSH "


@given(st.binary(max_size=400))
def test_no_bytes_do_harm(noise: bytes) -> None:
    for content in (noise, message(PID)[: len(noise)], message(PID)[:60] + noise):
        try:
            read_changes(parse(content, "8859/1", "x"), "x")
        except NodeError as error:
            assert error.fault in (MESSAGE_WRONG, MESSAGE_UNWANTED)  # noqa: PT017
