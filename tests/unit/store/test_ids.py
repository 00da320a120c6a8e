"""Reading ids: what a file says of itself, with bounded work and no surprise for any bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.faults import (
    DATASET_UNREADABLE,
    STORE_WRITE_FAILED,
    UID_INVALID,
    UID_MISMATCH,
    Fault,
    NodeError,
)
from dicomnode.store import InstanceIds, read_ids
from tests.unit.store.part10 import (
    BIG_ENDIAN,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    SERIES,
    STUDY,
    data_set,
    element,
    meta,
)

PREAMBLE = bytes(128)
UNDEFINED = 0xFFFFFFFF


def write(folder: Path, content: bytes) -> Path:
    path = folder / "x.dcm"
    path.write_bytes(content)
    return path


def item(content: bytes, *, undefined: bool) -> bytes:
    if undefined:
        return (
            struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED) + content + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
        )
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def sequence(*items: bytes, vr: bytes = b"SQ", implicit: bool = False) -> bytes:
    """(0008,1115), of undefined length."""
    head = struct.pack("<HH", 0x0008, 0x1115)
    head += b"" if implicit else vr + b"\0\0"
    return head + struct.pack("<L", UNDEFINED) + b"".join(items) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = sequence(item(content, undefined=True))
    return content


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.4.80"])
def test_the_ids_are_read_in_every_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    plain = EXPLICIT if syntax.endswith("80") else syntax
    path = write(tmp_path, PREAMBLE + meta(syntax=syntax) + data_set(syntax=plain))
    assert read_ids(path) == InstanceIds(
        sop_instance_uid=INSTANCE,
        sop_class_uid=CT,
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        transfer_syntax_uid=syntax,
        accession_number="A17",
        modality="CT",
    )


def test_what_the_data_set_does_not_say_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path, PREAMBLE + meta() + data_set(accession="", modality=""))
    ids = read_ids(path)
    assert (ids.accession_number, ids.modality) == ("", "")


@pytest.mark.parametrize(
    ("accession", "text"),
    [("  A 1 ", "A 1"), ("№7", "№7"), ("x" * 200, "x" * 64)],
    ids=["spaces", "utf-8", "long"],
)
def test_the_accession_number_is_text(tmp_path: Path, accession: str, text: str) -> None:
    path = write(tmp_path, PREAMBLE + meta() + data_set(accession=accession))
    assert read_ids(path).accession_number == text


@pytest.mark.parametrize(
    "extra",
    [
        sequence(),
        sequence(item(b"", undefined=True), item(b"", undefined=False)),
        sequence(item(data_set("9.9.9"), undefined=True)),
        sequence(item(data_set("9.9.9"), undefined=False)),
        sequence(item(data_set("9.9.9", syntax=IMPLICIT), undefined=True), vr=b"UN"),
        nested(16),
        element(0x0009, 0x1001, "UN", b"x" * 100_000),
        element(0x0008, 0x103E, "ZZ", b"") + b"\0\0\0\0",  # a VR of a later edition has a long length
    ],
    ids=["empty", "empty items", "items", "items of known length", "UN", "16 deep", "private", "unknown VR"],
)
def test_what_stands_between_is_passed_over(tmp_path: Path, extra: bytes) -> None:
    whole = data_set()
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    path = write(tmp_path, PREAMBLE + meta() + whole[:at] + extra + whole[at:])
    assert read_ids(path).study_instance_uid == STUDY


def test_sequences_in_implicit_vr_are_passed_over(tmp_path: Path) -> None:
    whole = data_set(syntax=IMPLICIT)
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    inner = sequence(item(data_set("9.9", syntax=IMPLICIT), undefined=True), implicit=True)
    path = write(tmp_path, PREAMBLE + meta(syntax=IMPLICIT) + whole[:at] + inner + whole[at:])
    assert read_ids(path).sop_instance_uid == INSTANCE


def test_an_accession_number_of_any_length_is_cut_and_no_reason_to_put_the_instance_aside(
    tmp_path: Path,
) -> None:
    ids = read_ids(write(tmp_path, PREAMBLE + meta() + data_set(accession="7" * 5000)))
    assert (ids.accession_number, ids.series_instance_uid) == ("7" * 64, SERIES)


def test_nothing_behind_group_0020_is_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path, PREAMBLE + meta() + data_set() + b"what is this?")
    assert read_ids(path).sop_instance_uid == INSTANCE


BAD: list[tuple[str, bytes, Fault, str]] = [
    ("nothing", b"", DATASET_UNREADABLE, "DICM is missing"),
    ("no preamble", meta() + data_set(), DATASET_UNREADABLE, "DICM is missing"),
    ("short", PREAMBLE, DATASET_UNREADABLE, "DICM is missing"),
    ("text", b"hello" * 100, DATASET_UNREADABLE, "DICM is missing"),
    ("prefix only", PREAMBLE + b"DICM", DATASET_UNREADABLE, "Transfer Syntax UID"),
    ("meta cut", PREAMBLE + meta()[:50], DATASET_UNREADABLE, "ends|reaches"),
    ("no data set", PREAMBLE + meta(), DATASET_UNREADABLE, "has no SOP Instance UID"),
    ("data set cut", PREAMBLE + meta() + data_set()[:40], DATASET_UNREADABLE, "ends|reaches"),
    ("no syntax", PREAMBLE + meta(syntax="") + data_set(), DATASET_UNREADABLE, "no Transfer Syntax UID"),
    ("syntax no uid", PREAMBLE + meta(syntax="abc") + data_set(), UID_INVALID, "Transfer Syntax UID"),
    ("deflated", PREAMBLE + meta(syntax=DEFLATED) + b"\x78\x9c", DATASET_UNREADABLE, "deflated"),
    ("no study", PREAMBLE + meta() + data_set(study=""), DATASET_UNREADABLE, "no Study Instance UID"),
    ("no series", PREAMBLE + meta() + data_set(series=""), DATASET_UNREADABLE, "no Series Instance UID"),
    ("path", PREAMBLE + meta("../../up") + data_set("../../up"), UID_INVALID, "SOP Instance UID"),
    ("study path", PREAMBLE + meta() + data_set(study="1.2/../3"), UID_INVALID, "Study Instance UID"),
    ("leading zero", PREAMBLE + meta() + data_set(series="1.02"), UID_INVALID, "Series Instance UID"),
    ("65 characters", PREAMBLE + meta() + data_set(study="1." + "1" * 63), UID_INVALID, "Study Instance UID"),
    ("two values", PREAMBLE + meta() + data_set(study="1.2\\1.3"), UID_INVALID, "Study Instance UID"),
    ("2 kB uid", PREAMBLE + meta() + data_set(study="1." + "1" * 2000), UID_INVALID, "Study Instance UID"),
    ("other instance", PREAMBLE + meta("1.2.9") + data_set(), UID_MISMATCH, "1.2.9"),
    ("other class", PREAMBLE + meta(sop_class_uid="1.2.9") + data_set(), UID_MISMATCH, "SOP Class UID"),
    ("17 deep", PREAMBLE + meta() + nested(17) + data_set(), DATASET_UNREADABLE, "more than 16 deep"),
    ("5000 deep", PREAMBLE + meta() + nested(5000) + data_set(), DATASET_UNREADABLE, "more than 16 deep"),
    (
        "60 000 elements",
        PREAMBLE + meta() + element(0x0008, 0x0001, "LO", b"") * 60_000 + data_set(),
        DATASET_UNREADABLE,
        "more than 50000 elements",
    ),
    (
        "wrong vr",
        PREAMBLE + meta() + b"\x08\0\x16\0\0\0\x02\0" + data_set(),
        DATASET_UNREADABLE,
        "no VR",
    ),
    ("implicit as explicit", PREAMBLE + meta() + data_set(syntax=IMPLICIT), DATASET_UNREADABLE, "no VR"),
    (
        "length behind the end",
        PREAMBLE + meta() + element(8, 8, "CS", b"AB")[:-4] + struct.pack("<H", 60_000) + b"AB",
        DATASET_UNREADABLE,
        "reaches behind",
    ),
    ("no item", PREAMBLE + meta() + sequence(data_set()) + data_set(), DATASET_UNREADABLE, "is no item"),
    ("endless pixels", PREAMBLE + meta() + sequence(vr=b"OB") + data_set(), DATASET_UNREADABLE, "no length"),
]


@pytest.mark.parametrize(
    ("content", "fault", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_cannot_be_read_is_a_fault_that_says_why(
    tmp_path: Path, content, fault: Fault, says: str
) -> None:
    with pytest.raises(NodeError, match=says) as caught:
        read_ids(write(tmp_path, content))
    assert caught.value.fault is fault


def test_a_file_that_is_not_there_is_a_fault_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        read_ids(tmp_path / "none")
    assert caught.value.fault is STORE_WRITE_FAILED


@settings(max_examples=300, deadline=None)
@given(noise=st.binary(max_size=300), at=st.integers(0, 600), cut=st.booleans())
def test_no_bytes_whatever_give_anything_but_ids_or_a_fault(tmp_path_factory, noise, at, cut) -> None:
    whole = PREAMBLE + meta() + sequence(item(data_set("9.9"), undefined=True)) + data_set()
    at = min(at, len(whole))
    path = write(
        tmp_path_factory.mktemp("noise"), whole[:at] + noise + (b"" if cut else whole[at + len(noise) :])
    )
    try:
        assert read_ids(path)
    except NodeError as error:
        assert error.remedy  # noqa: PT017  either outcome is right; anything else is an error of the test
    path.unlink()


@pytest.mark.real_data
def test_real_files_of_many_makers_give_what_pydicom_reads(real_data: Callable[[str], Path]) -> None:
    import pydicom

    root = real_data("README.md").parent
    keywords = {
        "sop_instance_uid": "SOPInstanceUID",
        "sop_class_uid": "SOPClassUID",
        "study_instance_uid": "StudyInstanceUID",
        "series_instance_uid": "SeriesInstanceUID",
        "modality": "Modality",
    }
    count = 0
    for folder in sorted({path.parent for path in root.rglob("*.dcm")}):
        path = min(folder.glob("*.dcm"))
        expected = pydicom.dcmread(path, stop_before_pixels=True)
        said = expected.file_meta.get("MediaStorageSOPInstanceUID")
        if not expected.get("StudyInstanceUID") or said != expected.SOPInstanceUID:
            continue  # a receiver writes the meta information itself
        ids = read_ids(path)
        for name, keyword in keywords.items():
            assert getattr(ids, name) == str(expected.get(keyword) or ""), f"{path} {keyword}"
        count += 1
    assert count > 3
