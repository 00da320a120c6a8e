"""Sending over real sockets: to DCMTK, Orthanc and pynetdicom, and to peers that misbehave."""

from __future__ import annotations

import socket
import struct
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pynetdicom import AllStoragePresentationContexts

from dicomnode.deliver import FileOutcome, differing_tags, send_files
from dicomnode.net import Peer
from tests.wire.peers import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    VERIFICATION,
    free_port,
    orthanc,
    peer_at,
    silent,
    socket_peer,
    store_scp,
    storescp,
)
from tests.wire.small_objects import CT, SEG, STUDY, write_object, write_objects

pytestmark = pytest.mark.wire

RLE = "1.2.840.10008.1.2.5"
J2K = "1.2.840.10008.1.2.4.90"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def words(outcomes: list[FileOutcome]) -> list[str]:
    return [outcome.outcome for outcome in outcomes]


def data_set(content: bytes) -> bytes:
    """What follows the File Meta Information of a Part 10 file."""
    length = struct.unpack_from("<L", content, 140)[0]  # (0002,0000) stands first and is a UL
    return content[144 + length :]


# ── peers of others ───────────────────────────────────────────────────────────────────────────────


def test_storescp_gets_each_object_byte_for_byte(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 12)
    there = tmp_path / "there"
    there.mkdir()
    with storescp(there, "+B") as peer:  # +B: write the bytes as they came
        outcomes = send_files(peer, "DICOMNODE", files)
    assert words(outcomes) == ["stored"] * 12
    assert [outcome.path for outcome in outcomes] == files
    sent = {dcmread(path).SOPInstanceUID: data_set(path.read_bytes()) for path in files}
    got = {dcmread(path).SOPInstanceUID: data_set(path.read_bytes()) for path in there.iterdir()}
    assert got == sent


def test_orthanc_holds_what_it_was_sent_once_also_when_it_is_sent_twice(tmp_path: Path) -> None:
    files = [
        write_object(tmp_path / "ct.dcm", 1),
        write_object(tmp_path / "seg.dcm", 2, sop_class=SEG),
        write_object(tmp_path / "implicit.dcm", 3, syntax=IMPLICIT_LE),
        write_object(tmp_path / "rle.dcm", 4, syntax=RLE, pixels=encapsulate([bytes(64)])),
    ]
    with orthanc(tmp_path) as archive:
        first = send_files(archive.peer, "DICOMNODE", files)
        second = send_files(archive.peer, "DICOMNODE", files)
        held = archive.files()
    assert words(first) == words(second) == ["stored"] * 4
    assert held.keys() == {f"{STUDY}.1.{n}" for n in (1, 2, 3, 4)}
    for n, path in enumerate(files, start=1):
        copy = tmp_path / f"copy-{n}.dcm"
        copy.write_bytes(held[f"{STUDY}.1.{n}"])
        assert differing_tags(path, copy) == ()


# ── presentation contexts ─────────────────────────────────────────────────────────────────────────


def test_the_contexts_proposed_are_those_of_the_files_and_no_others(tmp_path: Path) -> None:
    files = [
        write_object(tmp_path / "a.dcm", 1),
        write_object(tmp_path / "b.dcm", 2),
        write_object(tmp_path / "c.dcm", 3, sop_class=SEG, syntax=RLE, pixels=encapsulate([bytes(64)])),
    ]
    with store_scp(contexts=((CT, (EXPLICIT_LE,)), (SEG, (RLE,)))) as scp:
        assert words(send_files(scp.peer, "DICOMNODE", files)) == ["stored"] * 3
    assert scp.contexts == [[(CT, [EXPLICIT_LE]), (CT, [IMPLICIT_LE]), (SEG, [RLE])]]


@pytest.mark.parametrize("own", [EXPLICIT_LE, IMPLICIT_LE])
def test_an_uncompressed_object_goes_as_it_is_where_the_peer_takes_both(tmp_path: Path, own: str) -> None:
    file = write_object(tmp_path / "a.dcm", 1, syntax=own)
    with store_scp() as scp:
        assert words(send_files(scp.peer, "DICOMNODE", [file])) == ["stored"]
    (content,) = scp.datasets.values()
    assert dcmread(BytesIO(content)).file_meta.TransferSyntaxUID == own
    assert data_set(content) == data_set(file.read_bytes())


@pytest.mark.parametrize(("own", "other"), [(EXPLICIT_LE, IMPLICIT_LE), (IMPLICIT_LE, EXPLICIT_LE)])
def test_an_uncompressed_object_is_converted_for_a_peer_that_takes_the_other_only(
    tmp_path: Path, own: str, other: str
) -> None:
    file = write_object(tmp_path / "a.dcm", 1, syntax=own)
    with store_scp(contexts=((CT, (other,)),)) as scp:
        assert words(send_files(scp.peer, "DICOMNODE", [file])) == ["stored"]
    (content,) = scp.datasets.values()
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(content)
    assert dcmread(copy).file_meta.TransferSyntaxUID == other
    assert dcmread(copy).AnatomicRegionSequence[0].CodeMeaning == "Lung"
    assert dcmread(copy).SmallestImagePixelValue == -5
    assert differing_tags(file, copy) == ()


@pytest.mark.parametrize("syntax", [RLE, J2K, DEFLATED, BIG_ENDIAN])
def test_nothing_else_is_ever_converted(tmp_path: Path, syntax: str) -> None:
    pixels = encapsulate([bytes(64)]) if syntax in (RLE, J2K) else bytes(2048)
    file = write_object(tmp_path / "a.dcm", 1, syntax=syntax, pixels=pixels)
    with store_scp() as scp:
        (outcome,) = send_files(scp.peer, "DICOMNODE", [file])
    assert outcome.outcome == "refused"
    assert outcome.fault is not None
    assert outcome.fault.fault.code == "DN-2003"
    assert scp.stored == []


def test_an_object_without_a_context_is_refused_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    seg = write_object(tmp_path / "0.dcm", 10, sop_class=SEG)
    files = [seg, *write_objects(tmp_path, 2)]
    with store_scp() as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert words(outcomes) == ["refused", "stored", "stored"]
    assert str(outcomes[0].fault) == (
        "DN-2003 PACS1 does not accept Segmentation Storage (transfer syntax Explicit VR Little Endian)."
    )
    assert len(scp.contexts) == 1  # no second association for what was refused


def test_a_peer_that_accepts_no_context_at_all_refuses_each_object(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)
    with store_scp(contexts=((VERIFICATION, (IMPLICIT_LE,)),)) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert words(outcomes) == ["refused"] * 3
    assert {outcome.fault.fault.code for outcome in outcomes if outcome.fault} == {"DN-2003"}
    assert len(scp.contexts) == 1


def test_more_than_128_contexts_go_over_several_associations(tmp_path: Path) -> None:
    classes = [str(c.abstract_syntax) for c in AllStoragePresentationContexts[:70]]  # two contexts each
    files = [write_object(tmp_path / f"{n}.dcm", n, sop_class=c) for n, c in enumerate(classes)]
    supported = [(sop_class, (EXPLICIT_LE,)) for sop_class in classes]
    with store_scp(contexts=supported) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert [len(proposed) for proposed in scp.contexts] == [128, 12]
    assert words(outcomes) == ["stored"] * 70


# ── answers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (0x0000, "stored", None),
        (0xB000, "stored", None),
        (0xB006, "stored", None),
        (0xB007, "stored", None),
        (0x0111, "stored", None),
        (0xA700, "retry", "DN-2005"),
        (0xA7FE, "retry", "DN-2005"),
        (0x0110, "retry", "DN-2005"),
        (0xA900, "refused", "DN-2004"),
        (0xC123, "refused", "DN-2004"),
        (0x0122, "refused", "DN-2004"),
        (0x0124, "refused", "DN-2004"),
        (0x7777, "refused", "DN-2004"),
    ],
)
def test_each_status_has_its_outcome(tmp_path: Path, status: int, word: str, code: str | None) -> None:
    files = write_objects(tmp_path, 2)
    with store_scp(lambda _event, number: status if number == 0 else 0) as scp:
        first, second = send_files(scp.peer, "DICOMNODE", files)
    assert (first.outcome, first.status) == (word, status)
    assert (first.fault.fault.code if first.fault else None) == code
    assert second.outcome == "stored"  # the association went on
    assert bool(first.note) == (word == "stored" and status != 0)


def test_each_file_is_told_as_soon_as_it_is_settled(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)
    arrived: list[tuple[str, int]] = []
    with store_scp() as scp:
        send_files(
            scp.peer,
            "DICOMNODE",
            files,
            on_outcome=lambda outcome: arrived.append((outcome.sop_instance_uid, len(scp.stored))),
        )
    assert arrived == [(f"{STUDY}.1.{n}", n) for n in (1, 2, 3)]


def test_a_file_that_is_no_dicom_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM at all, but long enough to have a preamble" * 10)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(write_object(tmp_path / "a.dcm", 1).read_bytes()[:300])
    gone = tmp_path / "gone.dcm"
    files = [text, cut, gone, *write_objects(tmp_path, 1)]
    with store_scp() as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert words(outcomes) == ["refused", "refused", "refused", "stored"]
    assert {outcome.fault.fault.code for outcome in outcomes if outcome.fault} == {"DN-2008"}


def test_a_stop_leaves_what_was_not_tried_for_later(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 4)
    stop = threading.Event()

    def second_sets_stop(_event: object, number: int) -> int:
        if number == 1:
            stop.set()
        return 0

    with store_scp(second_sets_stop) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files, stop=stop)
        again = send_files(scp.peer, "DICOMNODE", files, stop=stop)
    assert words(outcomes) == ["stored", "stored", "retry", "retry"]
    assert [outcome.fault for outcome in outcomes] == [None] * 4
    assert words(again) == ["retry"] * 4
    assert len(scp.contexts) == 1


@pytest.mark.parametrize("longest_pdu", [0, 17, 4096, 1 << 20])
def test_an_object_reaches_a_peer_of_any_pdu_length_whole(tmp_path: Path, longest_pdu: int) -> None:
    pixels = bytes(range(256)) * (2000 if longest_pdu != 17 else 4)
    file = write_object(tmp_path / "a.dcm", 1, pixels=pixels)
    with store_scp(longest_pdu=longest_pdu) as scp:
        assert words(send_files(scp.peer, "DICOMNODE", [file])) == ["stored"]
    assert data_set(scp.datasets[f"{STUDY}.1.1"]) == data_set(file.read_bytes())


# ── peers that fail ───────────────────────────────────────────────────────────────────────────────


def test_a_dead_destination_is_known_at_once(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 2)
    began = time.monotonic()
    outcomes = send_files(peer_at(free_port(), timeout_s=20), "DICOMNODE", files)
    assert time.monotonic() - began < 10
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
    with socket_peer(silent, timeout_s=1.0) as peer:
        began = time.monotonic()
        outcomes = send_files(peer, "DICOMNODE", files)
        took_s = time.monotonic() - began
    assert words(outcomes) == ["retry"] * 3
    assert "did not answer the association request within 1 s" in outcomes[0].text
    assert took_s < 5


def trickle(connection: socket.socket) -> None:
    """Send the beginning of a long A-ASSOCIATE-AC, and then a byte now and then."""
    threading.Thread(target=_drip, args=(connection,), daemon=True).start()


def _drip(connection: socket.socket) -> None:
    try:
        connection.sendall(b"\x02\x00\x00\x00\xff\x00")
        while True:
            connection.sendall(b"\x00")
            time.sleep(0.05)
    except OSError:
        return


def test_a_destination_that_sends_a_byte_now_and_then_does_not_hold_us(tmp_path: Path) -> None:
    with socket_peer(trickle, timeout_s=1.0) as peer:
        began = time.monotonic()
        (outcome,) = send_files(peer, "DICOMNODE", write_objects(tmp_path, 1))
        took_s = time.monotonic() - began
    assert outcome.outcome == "retry"
    assert took_s < 8


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

    with socket_peer(behave, timeout_s=5.0) as peer:
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
            release.wait(20)
        return 0

    with store_scp(hang, timeout_s=1.0) as scp:
        began = time.monotonic()
        outcomes = send_files(scp.peer, "DICOMNODE", files)
        took_s = time.monotonic() - began
        release.set()
    assert words(outcomes) == ["stored", "retry", "retry"]
    assert "no answer within 1 s" in outcomes[1].text
    assert took_s < 6


def test_a_peer_that_stops_reading_does_not_hold_us(tmp_path: Path) -> None:
    """It accepts the association, and then never reads again: our buffers fill up."""
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(32 << 20))

    def accept_then_sleep(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(_accept_first_context())

    with socket_peer(accept_then_sleep, timeout_s=1.0) as peer:
        began = time.monotonic()
        (outcome,) = send_files(peer, "DICOMNODE", [file])
        took_s = time.monotonic() - began
    assert outcome.outcome == "retry"
    assert "it read nothing for 1 s" in outcome.text
    assert took_s < 8


def test_a_peer_that_hangs_up_in_mid_object_is_tried_again_later(tmp_path: Path) -> None:
    file = write_object(tmp_path / "a.dcm", 1, pixels=bytes(32 << 20))

    def accept_then_close(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(_accept_first_context())
        connection.recv(65536)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    with socket_peer(accept_then_close, timeout_s=5.0) as peer:
        (outcome,) = send_files(peer, "DICOMNODE", [file])
    assert outcome.outcome == "retry"
    assert "it closed the connection" in outcome.text


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _accept_first_context() -> bytes:
    """An A-ASSOCIATE-AC (PS3.8 9.3.3) that accepts context 1 with Explicit VR Little Endian."""
    context = bytes([1, 0, 0, 0]) + _item(0x40, EXPLICIT_LE.encode())
    user = _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3")
    body = (
        struct.pack(">HH", 1, 0)
        + b"ARCHIVE".ljust(16)
        + b"DICOMNODE".ljust(16)
        + bytes(32)
        + _item(0x10, b"1.2.840.10008.3.1.1.1")
        + _item(0x21, context)
        + _item(0x50, user)
    )
    return struct.pack(">BBL", 2, 0, len(body)) + body


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
