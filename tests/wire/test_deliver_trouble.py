"""Destinations that are dead, silent, hostile or break off: each costs a bounded time, and loses nothing."""

from __future__ import annotations

import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from pynetdicom import AllStoragePresentationContexts

from dicomnode.deliver import FileOutcome, send_files
from dicomnode.net import Peer, association
from dicomnode.net.connection import connect
from tests.wire.floods import accept_first_context
from tests.wire.peers import DEADLINE_S, free_port, peer_at, silent, socket_peer, store_scp
from tests.wire.small_objects import CT, write_object, write_objects

pytestmark = pytest.mark.wire


def words(outcomes: list[FileOutcome]) -> list[str]:
    return [outcome.outcome for outcome in outcomes]


def test_a_dead_destination_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Peer] = []

    def counted(peer: Peer, deadline: float) -> socket.socket:
        asked.append(peer)
        return connect(peer, deadline)

    monkeypatch.setattr(association, "connect", counted)
    files = write_objects(tmp_path, 2)
    outcomes = send_files(peer_at(free_port(), timeout_s=120), "DICOMNODE", files)
    assert len(asked) == 1
    assert words(outcomes) == ["retry", "retry"]
    assert "connection refused" in outcomes[0].text
    assert {outcome.fault.fault.code for outcome in outcomes if outcome.fault} == {"DN-2001"}


def test_a_host_that_nobody_knows_is_unreachable(tmp_path: Path) -> None:
    peer = Peer("PACS1", "ARCHIVE", "no-such-host.invalid", 104, 5.0)
    (outcome,) = send_files(peer, "DICOMNODE", write_objects(tmp_path, 1))
    assert outcome.outcome == "retry"
    assert "the name 'no-such-host.invalid' is not known" in outcome.text


def test_a_destination_that_never_answers_costs_its_time_limit_and_no_more(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)
    asked: list[socket.socket] = []
    with socket_peer(asked.append, timeout_s=1.0) as peer:
        outcomes = send_files(peer, "DICOMNODE", files)
    assert words(outcomes) == ["retry"] * 3
    assert "did not answer the association request within 1 s" in outcomes[0].text
    assert len(asked) == 1


def test_a_silent_destination_is_asked_once_also_where_128_contexts_do_not_suffice(tmp_path: Path) -> None:
    classes = [str(c.abstract_syntax) for c in AllStoragePresentationContexts[:150]]
    files = [write_object(tmp_path / f"{n}.dcm", n, sop_class=c) for n, c in enumerate(classes)]
    asked: list[socket.socket] = []
    with socket_peer(asked.append, timeout_s=0.5) as peer:
        outcomes = send_files(peer, "DICOMNODE", files)
    assert words(outcomes) == ["retry"] * 150
    assert len(asked) == 1


def _drip(connection: socket.socket) -> None:
    """Send the beginning of a long A-ASSOCIATE-AC, and then a byte now and then, as long as it is taken."""
    try:
        connection.sendall(b"\x02\x00\x00\x00\xff\x00")
        while True:
            connection.sendall(b"\x00")
            time.sleep(0.05)
    except OSError:
        return


def test_a_destination_that_sends_a_byte_now_and_then_does_not_hold_us(tmp_path: Path) -> None:
    drips: list[threading.Thread] = []

    def trickle(connection: socket.socket) -> None:
        drips.append(threading.Thread(target=_drip, args=(connection,), daemon=True))
        drips[-1].start()

    with socket_peer(trickle, timeout_s=1.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", write_objects(tmp_path, 1))
        (drip,) = drips
        drip.join(DEADLINE_S)
        assert not drip.is_alive(), "the connection is closed: the peer would have gone on for ever"
    assert outcome.outcome == "retry"
    assert "did not answer the association request within 1 s" in outcome.text


@pytest.mark.parametrize(
    ("answer", "words_of_it"),
    [
        (b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x03", "it does not know the calling AE title"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07", "it does not go by the called AE title"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02", "as many associations as it allows"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x05", "a reason that the standard does not define"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00", "it aborted the association"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06", "had a value that it does not allow"),
        (b"\x03\x00\x00\x00\x00\x04\x00\x09\x09\x09", "a reason that the standard does not define"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x01\x03", "it aborted the association"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x03", "a reason that the standard does not define"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "instead of answering"),
        (b"", "it closed the connection instead of answering the association request"),
    ],
)
def test_a_refusal_of_the_association_is_told_in_words(
    tmp_path: Path, answer: bytes, words_of_it: str
) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    with socket_peer(behave, timeout_s=30.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", write_objects(tmp_path, 1))
    assert outcome.outcome == "retry"
    assert words_of_it in outcome.text


def test_an_abort_costs_the_object_in_hand_another_try_and_the_others_nothing(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 4)

    def abort_at_second(event: object, number: int) -> int:
        if number == 1:
            event.assoc.abort()  # type: ignore[attr-defined]
        return 0

    with store_scp(abort_at_second) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert words(outcomes) == ["stored", "retry", "stored", "stored"]
    assert outcomes[1].fault is not None
    assert outcomes[1].fault.fault.code == "DN-2006"
    assert "it aborted the association" in outcomes[1].text
    assert len(scp.contexts) == 2


def test_after_a_second_abort_the_rest_waits(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 5)

    def abort(event: object, _number: int) -> int:
        event.assoc.abort()  # type: ignore[attr-defined]
        return 0

    with store_scp(abort) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert words(outcomes) == ["retry"] * 5
    assert len(scp.contexts) == 2


def test_a_peer_that_does_not_answer_an_object_is_left_alone_with_the_rest(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)
    release = threading.Event()

    def hang(_event: object, number: int) -> int:
        if number == 1:
            release.wait(DEADLINE_S)
        return 0

    with store_scp(hang, timeout_s=2.0) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
        assert not release.is_set(), "it is not the peer that ended it"
        release.set()
    assert words(outcomes) == ["stored", "retry", "retry"]
    assert "no answer within 2 s" in outcomes[1].text
    assert len(scp.contexts) == 1, "the third one is not even tried"


def test_a_peer_that_stops_reading_does_not_hold_us(tmp_path: Path) -> None:
    """It accepts the association, and then never reads again: our buffers fill up."""
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(32 << 20))

    taken: list[socket.socket] = []

    def accept_then_sleep(connection: socket.socket) -> None:
        taken.append(connection)
        connection.recv(65536)
        connection.sendall(accept_first_context())

    with socket_peer(accept_then_sleep, timeout_s=1.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", [file])
    assert outcome.outcome == "retry"
    assert "it read nothing for 1 s" in outcome.text
    assert len(taken) == 1


def test_a_peer_that_hangs_up_in_mid_object_is_tried_again_later(tmp_path: Path) -> None:
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(32 << 20))

    def accept_then_close(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(accept_first_context())
        connection.recv(65536)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    with socket_peer(accept_then_close, timeout_s=30.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", [file])
    assert outcome.outcome == "retry"
    assert "it closed the connection" in outcome.text


def test_a_pdu_of_four_gigabytes_is_not_waited_for(tmp_path: Path) -> None:
    def announce(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x02\x00\xff\xff\xff\xf0")

    with socket_peer(announce, timeout_s=120.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", write_objects(tmp_path, 1))
    assert outcome.outcome == "retry"
    assert "within 120 s" not in outcome.text, "its length is refused, not waited for"


@pytest.mark.parametrize(
    ("message_id", "command_field", "word"),
    [
        (1, 0x8001, "stored"),  # so the others fail for what is wrong with them
        (2, 0x8001, "retry"),  # answers another request
        (1, 0x8030, "retry"),  # a C-ECHO-RSP
    ],
)
def test_only_an_answer_to_this_very_request_counts(
    tmp_path: Path, message_id: int, command_field: int, word: str
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(accept_first_context())
        with connection.makefile("rb") as stream:
            last = 0
            while last != 0x02:  # the last fragment of the data set
                length = struct.unpack(">xxL", stream.read(6))[0]
                last = stream.read(length)[5]
        connection.sendall(_response(message_id, command_field))

    with socket_peer(answer, timeout_s=2.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", write_objects(tmp_path, 1))
    assert outcome.outcome == word


def _response(message_id: int, command_field: int) -> bytes:
    """A response with status 0x0000 (PS3.7 9.3.1.2) on context 1."""
    elements = [(0x0002, CT.encode() + b"\0"), (0x0100, struct.pack("<H", command_field))]
    elements += [(0x0120, struct.pack("<H", message_id)), (0x0800, struct.pack("<H", 0x0101))]
    elements += [(0x0900, struct.pack("<H", 0)), (0x1000, b"1.2.3\0")]
    body = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)
    command = struct.pack("<HHLL", 0, 0, 4, len(body)) + body
    return struct.pack(">BBLLBB", 4, 0, len(command) + 6, len(command) + 2, 1, 3) + command


def test_no_thread_and_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 2)
    with store_scp() as scp, socket_peer(silent, timeout_s=0.3) as hole:
        send_files(scp.peer, "DICOMNODE", files)  # what is made once and kept
        before = (set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir())))
        for _ in range(5):
            send_files(hole, "DICOMNODE", files)
            send_files(peer_at(free_port()), "DICOMNODE", files)
        ours = [t for t in set(threading.enumerate()) - before[0] if "Requestor" in t.name]
        descriptors = len(list(Path("/proc/self/fd").iterdir())) - 5  # the hole keeps its side open
    assert ours == []
    assert descriptors <= before[1]
