# ruff: noqa: E501  tables stay on a line
"""Hostile and broken senders: each is answered or ended, nothing of them is kept, others are served."""

from __future__ import annotations

import errno
import os
import random
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicomnode.net.contexts import TRANSFER_SYNTAXES, storage_classes
from dicomnode.receive import desk, dimse
from tests.wire.peers import DEADLINE_S
from tests.wire.receive_peer import (
    CT,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MR,
    QUICK,
    VERIFICATION,
    Closed,
    RawPeer,
    Running,
    associate_request,
    command_element,
    pixels,
    running,
    small_ct,
    store_command,
    wait_until,
)

pytestmark = pytest.mark.wire

BY_PROVIDER = 2

HASTY = replace(QUICK, association_timeout_s=1.0)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as node:
        yield node


@pytest.fixture
def peer(node: Running) -> Iterator[RawPeer]:
    with RawPeer(node.port) as peer:
        kind, _ = peer.associate((CT, [EXPLICIT_LE]), (VERIFICATION, [IMPLICIT_LE]))
        assert kind == 0x02
        yield peer


def assert_serves(node: Running) -> None:
    """A good sender is served before any time limit of the node ends, as if nothing had happened."""
    with RawPeer(node.port) as good:
        good.associate((CT, [EXPLICIT_LE]))
        assert good.store(store_command("1.2.99"), small_ct("1.2.99")).status == 0
        good.release()


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


# ── connections ─────────────────────────────────────────────────────────────────────────────────


def test_a_silent_connection_is_closed_without_an_answer(tmp_path: Path) -> None:
    with running(tmp_path, HASTY) as node, RawPeer(node.port) as peer, pytest.raises(Closed):
        peer.read_pdu()


def test_silent_connections_are_limited_and_good_senders_are_served_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_SILENT_AFTER_S", 0.0)
    with running(tmp_path, replace(QUICK, association_timeout_s=300.0)) as node:
        silent = [RawPeer(node.port) for _ in range(8)]
        everybody = node.receiver._desk.everybody
        wait_until(lambda: len(everybody()) == 8, "eight are waiting")
        with RawPeer(node.port) as one_more, pytest.raises((Closed, ConnectionError)):
            one_more.read_pdu()
        silent.pop().socket.close()
        wait_until(lambda: len(everybody()) == 7, "one has gone")
        assert_serves(node)
        for peer in silent:
            peer.socket.close()


def test_a_request_that_drips_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    request = associate_request([(CT, [EXPLICIT_LE])])
    ended = threading.Event()
    sent = 0
    with running(tmp_path, HASTY) as node, RawPeer(node.port) as peer:
        for byte in request:  # it would take more than 10 s
            try:
                peer.socket.sendall(bytes([byte]))
            except ConnectionError:
                break
            sent += 1
            ended.wait(0.05)
    assert sent < len(request) // 2


def test_a_pdu_that_drips_is_ended(tmp_path: Path) -> None:
    with running(tmp_path, replace(QUICK, network_timeout_s=1.0)) as node, RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        peer.socket.sendall(struct.pack(">BxL", 0x04, 1000) + b"\0\0")
        assert peer.ended() == (BY_PROVIDER, 0)
        assert_serves(node)


def test_a_message_that_drips_in_whole_pdus_is_ended(
    node: Running, peer: RawPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimse, "_WINDOW_S", 0.3)
    peer.send(1, 0x03, store_command("1.2.3"))
    pause = threading.Event()
    for _ in range(100):
        try:
            peer.send(1, 0x00, b"x" * 100)
        except ConnectionError:
            break
        pause.wait(0.02)
    with pytest.raises((ConnectionError, Closed, AssertionError)):
        peer.response()
    assert node.written() == []


def test_an_association_that_says_nothing_is_ended_and_one_that_pauses_is_served(tmp_path: Path) -> None:
    with running(tmp_path, replace(QUICK, network_timeout_s=2.0)) as node, RawPeer(node.port) as peer:
        peer.associate((VERIFICATION, [IMPLICIT_LE]))
        pause = threading.Event()
        for _ in range(5):  # 2.5 s in all
            pause.wait(0.5)
            assert peer.echo().status == 0
        assert peer.ended() is not None


def test_the_number_of_associations_is_limited(tmp_path: Path) -> None:
    with running(tmp_path, replace(QUICK, maximum_associations=2)) as node:
        first, second, third = (RawPeer(node.port) for _ in range(3))
        assert first.associate((CT, [EXPLICIT_LE]))[0] == 0x02
        assert second.associate((CT, [EXPLICIT_LE]))[0] == 0x02
        assert node.receiver.active_associations == 2
        kind, body = third.associate((CT, [EXPLICIT_LE]))
        assert (kind, body[1:4]) == (0x03, bytes([2, 3, 2]))
        first.release()
        wait_until(lambda: node.receiver.active_associations == 1, "one place is free")
        assert_serves(node)
        for peer in (first, second, third):
            peer.socket.close()


def test_it_serves_on_when_descriptors_run_out(node: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 30, hard))
        peers = [socket.create_connection(("127.0.0.1", node.port), timeout=DEADLINE_S) for _ in range(3)]
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                break
        os.close(held.pop())
        late = socket.socket()
        late.settimeout(DEADLINE_S)
        late.connect(("127.0.0.1", node.port))
        assert late.recv(1) == b""  # turned away at once, not left waiting
        late.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for connection in peers:
        connection.close()
    assert_serves(node)


def test_descriptors_above_1023_are_served(node: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip(f"this machine allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert_serves(node)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ── PDUs ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [0xFFFFFFF0, QUICK.maximum_pdu + 1])
def test_a_pdu_longer_than_announced_is_refused_on_its_header_alone(
    node: Running, peer: RawPeer, length: int
) -> None:
    before = resident_kb()
    peer.socket.sendall(struct.pack(">BxL", 0x04, length))
    assert peer.ended() == (BY_PROVIDER, 6)
    assert resident_kb() - before < 16_000
    assert_serves(node)


def test_a_pdu_as_long_as_announced_is_taken(peer: RawPeer) -> None:
    data = small_ct(more=pixels(300_000))
    assert peer.store(store_command("1.2.3"), data, step=QUICK.maximum_pdu - 6).status == 0


def test_a_long_first_pdu_is_refused_before_any_association(node: Running) -> None:
    with RawPeer(node.port) as peer:
        peer.socket.sendall(struct.pack(">BxL", 0x01, 100_000_000))
        assert peer.ended() in ((BY_PROVIDER, 6), None)
    assert_serves(node)


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x99\0\0\0\0\x04abcd", bytes(100)])
def test_what_is_no_dicom_is_ended(node: Running, noise: bytes) -> None:
    with RawPeer(node.port) as peer:
        peer.socket.sendall(noise)
        peer.ended()
    assert_serves(node)


def test_an_unknown_pdu_within_an_association_is_aborted(node: Running, peer: RawPeer) -> None:
    peer.socket.sendall(b"\x99\0\0\0\0\x04abcd")
    ended = peer.ended()
    assert ended is not None
    assert ended[0] == BY_PROVIDER
    assert_serves(node)


def test_a_fragment_without_a_header_is_aborted(node: Running, peer: RawPeer) -> None:
    peer.socket.sendall(struct.pack(">BxL", 0x04, 5) + struct.pack(">LB", 1, 1))
    ended = peer.ended()
    assert ended is not None
    assert ended[0] == BY_PROVIDER
    assert_serves(node)


@pytest.mark.parametrize(
    "messages",
    [
        [(99, 0x03, store_command("1.2.3"))],  # a context that was never negotiated
        [(1, 0x02, b"data without a command")],
        [(1, 0x03, store_command("1.2.3")), (1, 0x03, store_command("1.2.4"))],
        [(1, 0x03, store_command("1.2.3")), (3, 0x02, b"data in another context")],
        [(1, 0x03, b"no command set at all")],
        [(1, 0x03, command_element(0x0100, b"\1\0"))],
        [(1, 0x01, b"\0" * 10_000), (1, 0x01, b"\0" * 10_000)],  # a command set that does not end
    ],
    ids=["unknown context", "no command", "no data", "two contexts", "noise", "no message id", "endless"],
)
def test_a_message_that_breaks_the_protocol_ends_the_association(
    node: Running, peer: RawPeer, messages: list[tuple[int, int, bytes]]
) -> None:
    with capture_logs() as lines:
        for message in messages:
            peer.send(*message)
        ended = peer.ended()
    assert ended is not None
    assert ended[0] == BY_PROVIDER
    assert [line["code"] for line in lines if line["event"] == "association.broken"] == ["DN-1018"]
    assert node.written() == []
    assert_serves(node)


# ── negotiation ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("called", "calling", "reason", "code"),
    [("OTHER", "PEER", 7, "DN-1014"), ("DICOMNODE", "STRANGER", 3, "DN-1013"), ("OTHER", "STRANGER", 7, "DN-1014")],
)  # fmt: skip
def test_unknown_ae_titles_are_rejected_and_the_log_says_what_to_add(
    node: Running, called: str, calling: str, reason: int, code: str
) -> None:
    with capture_logs() as lines, RawPeer(node.port) as peer:
        kind, body = peer.associate((CT, [EXPLICIT_LE]), called=called, calling=calling)
        assert (kind, body[1:4]) == (0x03, bytes([1, 1, reason]))
        with pytest.raises(Closed):
            peer.read_pdu()
    (line,) = [line for line in lines if line["event"] == "association.rejected"]
    assert line["code"] == code
    if code == "DN-1013":
        assert '[[sender]]  ae_title = "STRANGER"  address = "127.0.0.1"' in line["remedy"]
    assert node.receiver.active_associations == 0


def test_what_is_not_supported_is_rejected_context_by_context(node: Running) -> None:
    private, deflated = "1.3.12.2.1107.5.9.1", "1.2.840.10008.1.2.1.99"
    with RawPeer(node.port) as peer:
        kind, _ = peer.associate(
            (private, [EXPLICIT_LE]), (CT, ["1.2.3.4.5"]), (CT, [deflated]), (CT, [EXPLICIT_LE])
        )
        assert (kind, peer.accepted) == (0x02, {7: EXPLICIT_LE})
        peer.release()


def test_a_request_may_propose_all_that_the_standard_has(node: Running) -> None:
    classes = sorted(storage_classes() - {CT})[:127]
    with RawPeer(node.port) as peer:
        peer.associate(*[(uid, TRANSFER_SYNTAXES) for uid in classes], (CT, [EXPLICIT_LE]))
        assert len(peer.accepted) == 128
        assert peer.store(store_command("1.2.3"), small_ct(), context_id=255).status == 0
        peer.release()


def test_command_and_data_set_may_come_in_one_long_pdu(node: Running) -> None:
    """As the first thing after the acceptance: it is as long as announced, longer than a request may be."""
    command, data = store_command("1.2.3"), small_ct(more=pixels(130_000))
    values = b"".join(
        struct.pack(">LBB", len(fragment) + 2, 1, control) + fragment
        for control, fragment in ((0x03, command), (0x02, data))
    )
    with RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        peer.socket.sendall(struct.pack(">BxL", 0x04, len(values)) + values)
        assert peer.response().status == 0


def test_too_many_contexts_for_a_request_end_the_connection(node: Running) -> None:
    many = [(CT, [f"1.2.840.10008.1.2.4.{n}" for n in range(50, 150)])] * 128
    with RawPeer(node.port) as peer:
        peer.socket.sendall(associate_request(many))
        assert peer.ended() in ((BY_PROVIDER, 6), None)
    assert_serves(node)


# ── requests ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "data", "status"),
    [
        (store_command("1.2.3", MR), small_ct(sop_class=MR), 0x0122),  # not the class of the context
        (store_command("1.2.3", VERIFICATION), small_ct(), 0x0122),
        (store_command(None), small_ct(), 0xC000),
        (store_command("1.2.3", None), small_ct(), 0xC000),
        (store_command("", ""), small_ct(), 0x0117),
        (store_command("../up"), small_ct("../up"), 0x0117),
        (store_command("../../x"), small_ct("../../x"), 0x0117),
        (store_command("1.2." + "3" * 68), small_ct("1.2." + "3" * 68), 0x0117),
        (store_command("1.2.3"), small_ct("1.2.4"), 0xA900),
        (store_command("1.2.3"), small_ct(sop_class=MR), 0xA900),
        (store_command("1.2.3"), b"", 0xC000),
        (store_command("1.2.3"), random.Random(1).randbytes(5000), 0xC000),
        (store_command("1.2.3"), b"\x08\0" + random.Random(2).randbytes(5000), 0xC000),
        (store_command("1.2.3"), small_ct(more=pixels(5000)[:-100]), 0xC000),  # pixels are cut
        (store_command("1.2.3"), b"\x08\0\x11\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 5000, 0xC000),
        (store_command("1.2.3"), b"\x08\0\x10\0LO\0\0" * 400_000, 0xC000),  # 400,000 elements
        (store_command("1.2.3", has_data=False), None, 0xC000),
        (store_command("1.2.3", command_field=0x7777), small_ct(), 0x0211),
        (store_command("1.2.3", command_field=0x0020), small_ct(), 0x0211),  # C-FIND
    ],
    ids=[
        "other class", "class is Verification", "no instance uid", "no class uid", "empty uids", "path", "long path",
        "72 characters", "other instance", "class in data set", "no data set", "noise", "noise in group 8", "cut", "deep", "many", "no data set announced",
        "unknown command", "query",
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_before_any_time_limit_ends_and_the_association_goes_on(
    node: Running, peer: RawPeer, command: bytes, data: bytes | None, status: int
) -> None:
    with capture_logs() as lines:
        peer.send(1, 0x03, command)
        size = -1 if data is None else max(1, len(data))
        fragments = [(data or b"")[start : start + 100_000] for start in range(0, size, 100_000)]
        for number, fragment in enumerate(fragments):
            peer.send(1, 0x02 if number == len(fragments) - 1 else 0x00, fragment)
        response = peer.response()
    assert response.status == status
    assert response.comment.startswith("DN-")
    assert len(response.comment) <= 64
    assert len([line for line in lines if line["log_level"] == "warning"]) == 1
    assert node.written() == []
    assert peer.store(store_command("1.2.3"), small_ct()).status == 0
    assert peer.echo(3).status == 0
    peer.release()
    # nothing lies outside of the store either
    outside = [path for path in node.store.root.parent.rglob("up*") if path.stem == "up" and path.is_file()]
    assert outside == []


def test_a_sender_that_never_names_its_instances_is_aborted_after_three(peer: RawPeer) -> None:
    for _ in range(3):
        assert peer.store(store_command(None), small_ct()).status == 0xC000
    assert peer.ended() is not None


def test_an_object_over_the_limit_is_drained_and_refused(tmp_path: Path) -> None:
    with running(tmp_path, replace(QUICK, maximum_object_gb=0.001)) as node, RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        response = peer.store(store_command("1.2.3"), small_ct(more=pixels(1_500_000)))
        assert (response.status, response.comment[:7]) == (0xA700, "DN-1015")
        assert peer.store(store_command("1.2.3"), small_ct(more=pixels(900_000))).status == 0
        peer.release()


def test_an_object_that_does_not_end_is_aborted_and_takes_no_memory(tmp_path: Path) -> None:
    with running(tmp_path, replace(QUICK, maximum_object_gb=0.001)) as node, RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        before = resident_kb()
        peer.send(1, 0x03, store_command("1.2.3"))
        with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012  it ends somewhere in there
            for _ in range(3000):
                peer.send(1, 0x00, bytes(100_000))
        assert resident_kb() - before < 16_000
        assert node.written() == []
        assert_serves(node)


def test_a_full_disk_refuses_with_out_of_resources_and_keeps_the_association(tmp_path: Path) -> None:
    with running(tmp_path, reserve_gb=1e9) as node, RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]), (VERIFICATION, [IMPLICIT_LE]))
        for _ in range(2):
            response = peer.store(store_command("1.2.3"), small_ct())
            assert (response.status, response.comment[:7]) == (0xA700, "DN-1001")
        assert peer.echo(3).status == 0
        assert node.written() == []


@pytest.mark.parametrize("how", ["abort", "close", "reset"])
def test_a_transfer_that_breaks_off_leaves_no_file(node: Running, how: str) -> None:
    with RawPeer(node.port) as peer:
        peer.associate((CT, [EXPLICIT_LE]))
        peer.send(1, 0x03, store_command("1.2.3"))
        for _ in range(20):
            peer.send(1, 0x00, bytes(100_000))
        if how == "abort":
            peer.socket.sendall(struct.pack(">BxLL", 0x07, 4, 0))
        elif how == "reset":
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: node.receiver.active_associations == 0, "the association has ended")
    assert node.written() == []
    assert node.stored == []
    assert_serves(node)
