"""Sending over real sockets, to DCMTK, Orthanc and pynetdicom: contexts, conversion, and what is answered."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pynetdicom import AE, AllStoragePresentationContexts, evt

from dicomnode.deliver import FileOutcome, differing_tags, send_files
from dicomnode.faults import COMMITMENT_REFUSED, LEASE_LOST, NO_PRESENTATION_CONTEXT, NodeError
from dicomnode.net.commitment import request_commitment
from dicomnode.net.query import list_instances
from tests.wire.peers import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    VERIFICATION,
    free_port,
    orthanc,
    peer_at,
    program,
    running,
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


def test_the_contexts_proposed_are_those_of_the_files_and_verification_and_no_others(tmp_path: Path) -> None:
    files = [
        write_object(tmp_path / "a.dcm", 1),
        write_object(tmp_path / "b.dcm", 2),
        write_object(tmp_path / "c.dcm", 3, sop_class=SEG, syntax=RLE, pixels=encapsulate([bytes(64)])),
    ]
    with store_scp(contexts=((CT, (EXPLICIT_LE,)), (SEG, (RLE,)))) as scp:
        assert words(send_files(scp.peer, "DICOMNODE", files)) == ["stored"] * 3
    of_files = [(CT, [EXPLICIT_LE]), (CT, [IMPLICIT_LE]), (SEG, [RLE])]
    assert scp.contexts == [[*of_files, (VERIFICATION, [EXPLICIT_LE, IMPLICIT_LE])]]


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


DCMRECV = """[[TransferSyntaxes]]
[Any]
TransferSyntax1 = LocalEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Some]
PresentationContext1 = CTImageStorage\\Any
PresentationContext2 = VerificationSOPClass\\Any
[[Profiles]]
[Default]
PresentationContexts = Some
"""


def test_dcmrecv_that_takes_no_class_of_ours_says_so_and_rejects_nothing(tmp_path: Path) -> None:
    """It rejects an association of which it takes no context, for good and without a reason."""
    config = tmp_path / "dcmrecv.cfg"
    config.write_text(DCMRECV)
    port, heard = free_port(), []
    file = write_object(tmp_path / "a.dcm", 1, sop_class=SEG)
    command = [program("dcmrecv"), "-xf", str(config), "Default", "-od", str(tmp_path), str(port)]
    with running(command, port):
        (outcome,) = send_files(
            peer_at(port),
            "DICOMNODE",
            [file],
            on_negotiated=lambda taken: bool(heard.append(dict(taken))) or True,
        )
    assert heard == [{SEG: False}]
    assert (outcome.outcome, outcome.fault and outcome.fault.fault) == ("refused", NO_PRESENTATION_CONTEXT)


@pytest.mark.parametrize("tool", ["dcmrecv", "storescp"])
def test_who_only_stores_says_that_it_answers_no_questions(tmp_path: Path, tool: str) -> None:
    """DCMTK's rejects an association of which it takes no context at all."""
    port = free_port()
    with running([program(tool), "-od", str(tmp_path), str(port)], port):
        with pytest.raises(NodeError) as no_query:
            list_instances(peer_at(port), "DICOMNODE", STUDY, series=["1.2.4"])
        with pytest.raises(NodeError) as no_commitment:
            request_commitment(peer_at(port), "DICOMNODE", "2.25.1", [("1.2.3", "1.2.4")])
    assert no_query.value.fault is NO_PRESENTATION_CONTEXT
    assert no_commitment.value.fault is COMMITMENT_REFUSED


def rejecting(without_reason: bool, echoes: bool) -> Callable[[evt.Event], None]:
    """A handler that rejects associations with objects for good, and those without unless it echoes."""

    def requested(event: evt.Event) -> None:
        only_echo = [one.abstract_syntax for one in event.assoc.requestor.requested_contexts] == [
            VERIFICATION
        ]
        if not (only_echo and echoes):
            event.assoc.acse.send_reject(1, 1, 1 if without_reason else 3)
            event.assoc.kill()

    return requested


@pytest.mark.parametrize(
    ("without_reason", "echoes", "word"),
    [(True, True, "refused"), (True, False, "retry"), (False, True, "retry")],
    ids=["takes none", "rejects all", "says why"],
)
def test_who_rejects_objects_without_a_reason_and_answers_an_echo_takes_none_of_them(
    tmp_path: Path, without_reason: bool, echoes: bool, word: str
) -> None:
    files, heard = write_objects(tmp_path, 2), []
    entity = AE("ARCHIVE")
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_REQUESTED, rejecting(without_reason, echoes))]
    )
    try:
        outcomes = send_files(
            peer_at(server.socket.getsockname()[1]),
            "DICOMNODE",
            files,
            on_negotiated=lambda taken: bool(heard.append(dict(taken))) or True,
        )
    finally:
        server.shutdown()
    assert words(outcomes) == [word] * 2
    assert heard == ([{CT: False}] if word == "refused" else [])


def test_more_than_128_contexts_go_over_several_associations(tmp_path: Path) -> None:
    classes = [str(c.abstract_syntax) for c in AllStoragePresentationContexts[:70]]  # two contexts each
    files = [write_object(tmp_path / f"{n}.dcm", n, sop_class=c) for n, c in enumerate(classes)]
    supported = [(sop_class, (EXPLICIT_LE,)) for sop_class in classes]
    with store_scp(contexts=supported) as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files)
    assert [len(proposed) for proposed in scp.contexts] == [127, 15]  # Verification in each
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


def test_what_the_listener_raises_ends_the_sending_and_is_raised_as_it_is(tmp_path: Path) -> None:
    def fails(_: FileOutcome) -> None:
        raise NodeError(LEASE_LOST, task=7)

    with store_scp() as scp, pytest.raises(NodeError) as failure:
        send_files(scp.peer, "DICOMNODE", write_objects(tmp_path, 3), on_outcome=fails)
    assert failure.value.fault is LEASE_LOST
    assert len(scp.stored) == 1


def test_a_file_that_shrinks_while_it_waits_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    files = write_objects(tmp_path, 3)

    def cut(outcome: FileOutcome) -> None:
        if outcome.path == files[0]:
            os.truncate(files[1], 200)

    with store_scp() as scp:
        outcomes = send_files(scp.peer, "DICOMNODE", files, on_outcome=cut)
    assert words(outcomes) == ["stored", "refused", "stored"]
    assert "became shorter" in outcomes[1].text
    assert len(scp.contexts) == 2


def test_no_files_need_no_association() -> None:
    assert send_files(peer_at(free_port()), "DICOMNODE", []) == []
