"""The scanner of encoded data sets."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_partial
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dicomnode.receive.scan import (
    EXPLICIT_BE,
    IMPLICIT_LE,
    ScanError,
    check_bounds,
    check_whole,
    scan_ids,
)

EXPLICIT_LE = "1.2.840.10008.1.2.1"
_SYNTAXES = [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE]
_IDS = ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.1", "1.2.3.2", "1.2.3.3")


def data_set(**more: object) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = _IDS
    ds.PatientName = "A^B"
    ds.Rows = 1  # behind
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def nested(depth: int) -> Dataset:
    inner = Dataset()
    inner.CodeValue = "1"
    if depth > 1:
        inner.ConceptNameCodeSequence = Sequence([nested(depth - 1)])
    inner.is_undefined_length_sequence_item = True
    return inner


def encode(ds: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT_LE
    buffer.is_little_endian = syntax != EXPLICIT_BE
    for element in ds.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = True
    write_dataset(buffer, ds)
    return buffer.getvalue()


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"OB", b"SQ", b"UN"):
        return struct.pack("<HH2s2xL", group, number, vr, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


def found(encoded: bytes, syntax: str) -> tuple[str, str, str, str]:
    ids = scan_ids(encoded, syntax)
    return ids.sop_class_uid, ids.sop_instance_uid, ids.study_instance_uid, ids.series_instance_uid


@pytest.mark.parametrize("syntax", _SYNTAXES)
def test_the_four_uids_are_found_in_each_encoding(syntax: str) -> None:
    encoded = encode(data_set(), syntax)
    assert found(encoded, syntax) == _IDS
    assert scan_ids(encoded, syntax).end < len(encoded)


@pytest.mark.parametrize("syntax", _SYNTAXES)
def test_sequences_in_front_of_them_are_walked_over(syntax: str) -> None:
    item = Dataset()
    item.StudyInstanceUID = "9.9.9"  # not the one of the data set
    ds = data_set(ReferencedStudySequence=Sequence([item, nested(3)]), ReferencedImageSequence=Sequence())
    assert found(encode(ds, syntax), syntax) == _IDS


def test_a_private_sequence_of_unknown_vr_is_implicit_inside() -> None:
    inner = encode(nested(2), IMPLICIT_LE)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    unknown = element(0x0009, 0x1001, b"UN", item, 0xFFFFFFFF) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    encoded = encode(data_set(), EXPLICIT_LE)
    cut = encoded.index(struct.pack("<HH", 0x0010, 0x0010))
    assert found(encoded[:cut] + unknown + encoded[cut:], EXPLICIT_LE) == _IDS


def test_what_is_missing_is_empty_and_padding_is_not_part_of_a_uid() -> None:
    ds = data_set()
    del ds.StudyInstanceUID
    ds.SeriesInstanceUID = ""
    assert found(encode(ds, EXPLICIT_LE), EXPLICIT_LE) == (_IDS[0], _IDS[1], "", "")
    encoded = element(0x0008, 0x0018, b"UI", b"1.2.3  ") + element(0x0020, 0x000D, b"UI", b"1.2\0")
    assert found(encoded, EXPLICIT_LE) == ("", "1.2.3", "1.2", "")


@pytest.mark.parametrize(
    ("encoded", "syntax", "words"),
    [
        (b"\x08\x00\x16", EXPLICIT_LE, "more was due"),
        (element(8, 0x16, b"UI", b"1.2", 400), EXPLICIT_LE, "(0008,0016) has 400 bytes, 3 of them came"),
        (element(8, 0x16, b"??", b"1.2"), EXPLICIT_LE, "no VR"),
        (element(8, 0x16, b"OB", b"1.2", 0xFFFFFFFF), EXPLICIT_LE, "no length"),
        (element(8, 0x1111, b"SQ", b"xxxxxxxx", 0xFFFFFFFF), EXPLICIT_LE, "no item"),
        (element(8, 0x1111, b"SQ", b"", 0xFFFFFFFF), EXPLICIT_LE, "more was due"),
        (encode(data_set(), IMPLICIT_LE), EXPLICIT_LE, "no VR"),
        (encode(data_set(), EXPLICIT_LE), IMPLICIT_LE, "bytes"),
    ],
)
def test_what_is_no_data_set_is_refused_with_the_reason(encoded: bytes, syntax: str, words: str) -> None:
    with pytest.raises(ScanError) as caught:
        scan_ids(encoded, syntax)
    assert words in str(caught.value)


@pytest.mark.parametrize("syntax", _SYNTAXES)
def test_nesting_is_bounded(syntax: str) -> None:
    deep = nested(15)
    assert found(encode(data_set(ProcedureCodeSequence=Sequence([deep])), syntax), syntax) == _IDS
    start = struct.pack(">HH" if syntax == EXPLICIT_BE else "<HH", 8, 0x1111)
    # 5,000 levels by hand: the writer would end in its own recursion
    order = ">" if syntax == EXPLICIT_BE else "<"
    sequence = start + (b"" if syntax == IMPLICIT_LE else b"SQ\0\0") + b"\xff\xff\xff\xff"
    item = struct.pack(f"{order}HH", 0xFFFE, 0xE000) + b"\xff\xff\xff\xff"
    with pytest.raises(ScanError, match="nested more than 16 deep"):
        scan_ids((sequence + item) * 5000, syntax)


def test_the_number_of_elements_is_bounded() -> None:
    with pytest.raises(ScanError, match="more than 50000 elements"):
        scan_ids(element(9, 0x10, b"LO", b"") * 60_000, EXPLICIT_LE)


def test_pixels_are_not_looked_at() -> None:
    encoded = memoryview(encode(data_set(), EXPLICIT_LE) + b"\xe0\x7f\x10\x00OW\0\0" + b"\xff" * 100)
    assert scan_ids(encoded, EXPLICIT_LE).study_instance_uid == _IDS[2]


def fragments(*parts: bytes, end: bool = True) -> bytes:
    items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    return element(0x7FE0, 0x10, b"OB", items, 0xFFFFFFFF) + (
        struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if end else b""
    )


@pytest.mark.parametrize(
    ("tail", "whole"),
    [
        (b"", True),
        (element(0x7FE0, 0x10, b"OB", b"12345678"), True),
        (element(0x7FE0, 0x10, b"OB", b"12345678", 9), False),
        (element(0x7FE0, 0x10, b"OB", b"12345678", 1 << 30), False),
        (element(0x7FE0, 0x10, b"OB", b"")[:5], False),
        (fragments(b"", b"12345678"), True),
        (fragments(b"", b"12345678", end=False), False),
        (fragments(b"", b"12345678")[:-12], False),
        (fragments(b"1234") + element(0xFFFC, 0xFFFC, b"OB", b"\0" * 64), True),
        # odd, but all of it is there: kept as it came
        (element(0x7FE0, 0x10, b"??", b"12345678"), True),
        (element(0x5400, 0x100, b"SQ", b"xxxxxxxxxxxxxxxx", 0xFFFFFFFF), True),
        (element(0x0099, 0x10, b"LO", b"") * 60_000, True),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_a_data_set_that_is_cut_is_told_from_one_that_is_odd(tail: bytes, whole: bool) -> None:
    encoded = encode(data_set(), EXPLICIT_LE) + tail
    start = scan_ids(encoded, EXPLICIT_LE).end
    if whole:
        check_whole(encoded, EXPLICIT_LE, start)
    else:
        with pytest.raises(ScanError):
            check_whole(encoded, EXPLICIT_LE, start)


def deep_of_defined_length(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value
        value = element(0x0008, 0x1140, b"SQ", item)
    return value


@pytest.mark.parametrize(("depth", "refused"), [(1, False), (16, False), (17, True), (900, True)])
def test_sequences_of_defined_length_are_bounded_where_they_are_going_to_be_read(
    depth: int, refused: bool
) -> None:
    encoded = deep_of_defined_length(depth)
    check_bounds(encoded, EXPLICIT_LE, ())
    if refused:
        with pytest.raises(ScanError, match="more than 16 deep"):
            check_bounds(encoded, EXPLICIT_LE, (0x00081140,))
    else:
        check_bounds(encoded, EXPLICIT_LE, (0x00081140,))


@given(st.binary(max_size=300), st.sampled_from(_SYNTAXES))
def test_any_bytes_are_read_or_refused(encoded: bytes, syntax: str) -> None:
    try:
        ids = scan_ids(encoded, syntax)
        check_whole(encoded, syntax, ids.end)
    except ScanError:
        return
    assert 0 <= ids.end <= len(encoded)


@given(st.data(), st.sampled_from(_SYNTAXES))
def test_a_data_set_that_was_tampered_with_is_read_or_refused(data: st.DataObject, syntax: str) -> None:
    encoded = bytearray(encode(data_set(ProcedureCodeSequence=Sequence([nested(3)])), syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    del encoded[data.draw(st.integers(0, len(encoded))) :]
    try:
        ids = scan_ids(bytes(encoded), syntax)
        check_whole(bytes(encoded), syntax, ids.end)
    except ScanError:
        return
    assert ids.end <= len(encoded)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "folder", ["odd-pydicom-data", "codecs-wg04", "charsets-fo-dicom", "seg-sr-pm-dcmqi"]
)
def test_real_data_sets_give_what_pydicom_reads(real_data: Callable[[str], Path], folder: str) -> None:
    seen = 0
    for path in sorted(real_data(folder).rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        if content[128:132] != b"DICM":
            continue
        stream = BytesIO(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some UIDs are none: read all the same
            meta = read_partial(stream, stop_when=lambda *_: True).file_meta
            ds = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
            wanted = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
            expected = tuple(str(ds.get(keyword, ""))[:66] for keyword in wanted)
        assert found(content[stream.tell() :], meta.TransferSyntaxUID) == expected, path.name
        seen += 1
    assert seen > 3
