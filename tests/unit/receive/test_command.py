"""Command sets: what comes is read with bounds, what goes is what pynetdicom reads."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode

from dicomnode.receive.command import Answer, Command, CommandError, read_command, write_response


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


def us(value: int) -> bytes:
    return struct.pack("<H", value)


BASE = element(0x100, us(1)) + element(0x110, us(7)) + element(0x800, us(1))


def test_a_request_as_pynetdicom_writes_it_is_read() -> None:
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    primitive.AffectedSOPInstanceUID = "1.2.3"
    primitive.Priority = 2
    primitive.DataSet = BytesIO(b"1234")
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    encoded = encode(message.command_set, is_implicit_vr=True, is_little_endian=True)
    assert encoded is not None
    assert read_command(encoded) == Command(
        field=1,
        message_id=7,
        has_data_set=True,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3",
    )


@pytest.mark.parametrize(
    ("encoded", "title"),
    [(b"", None), (element(0x1030, b"DICOMNODE "), "DICOMNODE"), (element(0x1030, b""), "")],
)
def test_who_asked_for_it_by_c_move_is_read(encoded: bytes, title: str | None) -> None:
    assert read_command(BASE + encoded).move_originator == title


def test_a_missing_uid_is_told_from_an_empty_one() -> None:
    assert read_command(BASE).sop_instance_uid is None
    assert read_command(BASE + element(0x1000, b"")).sop_instance_uid == ""
    assert read_command(BASE + element(0x1000, b"\0\0")).sop_instance_uid == ""


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (b"", "no Command Field"),
        (element(0x100, us(1)), "no Message ID"),
        (element(0x100, us(1)) + element(0x110, us(1)), "no Command Data Set Type"),
        (element(0x100, b"\x01") + BASE[10:], "no Command Field"),
        (BASE[:-1], "longer than the command set"),
        (BASE + b"\0\0", "ends within"),
        (BASE + element(0x10, b"", group=8), "group 0008"),
        (b"".join(element(0x2000 + n, b"") for n in range(100)) + BASE, "more than 64 elements"),
    ],
)
def test_what_is_no_command_set_is_refused(encoded: bytes, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_command(encoded)
    assert words in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(encoded: bytes) -> None:
    try:
        command = read_command(BASE + encoded)
    except CommandError:
        return
    write_response(command, Answer(status=0))


def test_a_response_is_what_the_standard_wants() -> None:
    command = Command(field=1, message_id=9, has_data_set=True, sop_class_uid="1.2", sop_instance_uid="1.2.3")
    answer = Answer(status=0xA900, comment="DN-1005 UIDs differ", offending=(0x00080018, 0x0020000D))
    encoded = write_response(command, answer)
    ds = decode(BytesIO(encoded), True, True)
    assert ds.CommandGroupLength == len(encoded) - 12
    assert (ds.CommandField, ds.MessageIDBeingRespondedTo, ds.Status) == (0x8001, 9, 0xA900)
    assert (ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID) == ("1.2", "1.2.3")
    assert ds.CommandDataSetType == 0x0101
    assert ds.ErrorComment == "DN-1005 UIDs differ"
    assert list(ds.OffendingElement) == [0x00080018, 0x0020000D]
    assert [element.tag for element in ds] == sorted(element.tag for element in ds)


def test_a_response_gives_back_no_uid_where_none_came() -> None:
    command = Command(field=0x30, message_id=1, has_data_set=False)
    ds = decode(BytesIO(write_response(command, Answer(status=0))), True, True)
    assert "AffectedSOPInstanceUID" not in ds
    assert ds.CommandField == 0x8030


@pytest.mark.parametrize("comment", ["x" * 65, "a\\b", "Gerät"])
def test_an_error_comment_that_cannot_be_sent_is_a_bug(comment: str) -> None:
    with pytest.raises(ValueError, match="Error Comment"):
        Answer(status=0xA700, comment=comment)
