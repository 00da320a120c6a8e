"""The bytes of a C-STORE request, read back by code that did not write them."""

from __future__ import annotations

import socket
import struct
from io import BytesIO
from types import SimpleNamespace

import pytest
from pydicom.filereader import read_dataset
from pynetdicom.pdu import P_DATA_TF

from dicomnode.deliver import stream
from dicomnode.net import NoAnswer

UID_EVEN, UID_ODD = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.2"


def request(message_id: int = 7) -> stream.StoreRequest:
    return stream.StoreRequest(
        context_id=5, message_id=message_id, sop_class_uid=UID_ODD, sop_instance_uid=UID_EVEN
    )


def test_the_command_set_says_what_a_c_store_request_must() -> None:
    encoded = stream.command_set(request(65535))
    command = read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert command.CommandGroupLength == len(encoded) - 12
    assert command.CommandField == 0x0001
    assert command.MessageID == 65535
    assert command.Priority == 0
    assert command.CommandDataSetType != 0x0101  # there is a data set
    assert command.AffectedSOPClassUID == UID_ODD
    assert command.AffectedSOPInstanceUID == UID_EVEN
    assert list(command.keys()) == sorted(command.keys())  # in the order in which they were read
    assert len(encoded) % 2 == 0


def sent(content: bytes, longest_pdu: int) -> list[P_DATA_TF]:
    """What goes over the connection for a data set, as PDUs that pynetdicom decodes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for one in (ours, theirs):
            one.settimeout(10)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        link = SimpleNamespace(connection=ours, longest_pdu=longest_pdu, drop=lambda: None)
        stream._write_data(link, 5, BytesIO(content))  # type: ignore[arg-type]
        ours.shutdown(socket.SHUT_WR)
        raw = b"".join(iter(lambda: theirs.recv(1 << 16), b""))
    pdus = []
    while raw:
        length = 6 + struct.unpack_from(">L", raw, 2)[0]
        pdu = P_DATA_TF()
        pdu.decode(raw[:length])
        pdus.append(pdu)
        raw = raw[length:]
    return pdus


@pytest.mark.parametrize("length", [2, 10, 100, 101 * 2, 4096 - 6, 4096, 3 * (4096 - 6), 50_000])
@pytest.mark.parametrize("longest_pdu", [8, 4096, 16384, 0, 1 << 30])
def test_a_data_set_goes_out_whole_in_fragments_no_longer_than_the_peer_takes(
    length: int, longest_pdu: int
) -> None:
    if longest_pdu == 8:
        length = min(length, 200)  # a fragment of two bytes each
    content = bytes(range(256)) * (length // 256 + 1)
    pdus = sent(content[:length], longest_pdu)
    items = [item for pdu in pdus for item in pdu.presentation_data_value_items]
    assert all(pdu.pdu_length <= (longest_pdu or 131072) for pdu in pdus)
    assert [item.presentation_context_id for item in items] == [5] * len(items)
    headers = [item.presentation_data_value[0] for item in items]
    assert headers == [0x00] * (len(items) - 1) + [0x02]
    assert b"".join(bytes(item.presentation_data_value[1:]) for item in items) == content[:length]


def test_a_peer_that_takes_no_data_at_all_is_told_so() -> None:
    with pytest.raises(NoAnswer, match="PDUs of 7 bytes only"):
        sent(b"12", 7)
