"""Associations over TLS (PS3.15 B.12): who is believed, what goes through, what a hostile end may cost."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, build_context, evt

from dicomnode.deliver import send_files
from dicomnode.deliver.outcome import FileOutcome
from dicomnode.faults import PEER_NOT_TRUSTED, PEER_UNREACHABLE, WEB_SECRET_UNREADABLE, NodeError
from dicomnode.net import Peer, Trust, echo
from dicomnode.net.query import count_instances
from tests.wire.certificates import Authority, Pair, server_context
from tests.wire.earlier import FIND
from tests.wire.floods import accept_first_context
from tests.wire.peers import (
    CT,
    DEADLINE_S,
    EXPLICIT_LE,
    IMPLICIT_LE,
    STEP_S,
    VERIFICATION,
    free_port,
    peer_at,
    program,
    running,
    silent,
    socket_peer,
)
from tests.wire.small_objects import write_object, write_objects

pytestmark = pytest.mark.wire

LARGE = bytes(range(256)) * (50 * 1024 * 4)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def archive(authority: Authority) -> Pair:
    return authority.issue("archive")


@pytest.fixture(scope="module")
def node(authority: Authority) -> Pair:
    return authority.issue("node")


def trusting(authority: Authority, shows: Pair | None = None) -> Trust:
    ca_file = authority.pair.certificate
    return (
        Trust(ca_file=ca_file)
        if shows is None
        else Trust(ca_file=ca_file, certificate=shows.certificate, key=shows.key)
    )


@contextlib.contextmanager
def secured_scp(
    context: ssl.SSLContext, storage: Sequence[str] = (CT,)
) -> Iterator[tuple[Peer, dict[str, bytes]]]:
    """A pynetdicom archive over TLS, and what it stored: SOP Instance UID → SHA-256 of the data set."""
    stored: dict[str, bytes] = {}

    def store(event: evt.Event) -> int:
        data = event.request.DataSet.getvalue()
        stored[str(event.request.AffectedSOPInstanceUID)] = sha256(data).digest()
        return 0x0000

    ae = AE("ARCHIVE")
    ae.maximum_pdu_size = 131072
    contexts = [build_context(uid, [EXPLICIT_LE, IMPLICIT_LE]) for uid in (*storage, VERIFICATION, FIND)]
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, lambda _: iter(()))]
    server = ae.make_server(("127.0.0.1", 0), contexts=contexts, evt_handlers=handlers, ssl_context=context)
    ae._servers.append(server)  # as start_server does, whose loop takes half a second to end
    thread = threading.Thread(target=server.serve_forever, args=(STEP_S,), daemon=True)
    thread.start()
    try:
        yield peer_at(server.socket.getsockname()[1]), stored
    finally:
        server.shutdown()
        thread.join(DEADLINE_S)


def of_version(pair: Pair, version: ssl.TLSVersion, clients: Path | None = None) -> ssl.SSLContext:
    context = server_context(pair, clients)
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("mutual", [False, True], ids=["", "mutual"])
def test_objects_echoes_and_queries_go_over_tls(
    tmp_path: Path, authority: Authority, archive: Pair, node: Pair, version: ssl.TLSVersion, mutual: bool
) -> None:
    context = of_version(archive, version, authority.pair.certificate if mutual else None)
    with secured_scp(context) as (plain, stored):
        peer = replace(plain, trust=trusting(authority, node if mutual else None))
        echo(peer, "DICOMNODE")
        assert count_instances(peer, "DICOMNODE", "1.2.3").instances == 0
        outcomes = send_files(peer, "DICOMNODE", write_objects(tmp_path, 5))
    assert [outcome.outcome for outcome in outcomes] == ["stored"] * 5, outcomes[0].text
    assert len(stored) == 5


@contextlib.contextmanager
def storescp(folder: Path, shows: Pair, authority: Authority, *options: str) -> Iterator[Peer]:
    port = free_port()
    tls = ["+tls", str(shows.key), str(shows.certificate), "+cf", str(authority.pair.certificate)]
    command = [program("storescp"), "-aet", "ARCHIVE", "-od", str(folder), *tls, *options, str(port)]
    with running(command, port, TCP_NODELAY="1"):
        yield peer_at(port)


@pytest.mark.parametrize("options", [(), ("+px",), ("+pz",)], ids=["B.12", "B.9", "extended"])
def test_dcmtk_takes_objects_over_tls_from_a_node_that_shows_its_certificate(
    tmp_path: Path, authority: Authority, archive: Pair, node: Pair, options: tuple[str, ...]
) -> None:
    files = write_objects(tmp_path, 3)
    came = tmp_path / "came"
    came.mkdir()
    with storescp(came, archive, authority, *options) as peer:
        outcomes = send_files(replace(peer, trust=trusting(authority, node)), "DICOMNODE", files)
    assert [outcome.outcome for outcome in outcomes] == ["stored"] * 3, outcomes[0].text
    assert {str(dcmread(path).SOPInstanceUID) for path in came.iterdir()} == {
        outcome.sop_instance_uid for outcome in outcomes
    }


def test_dcmtk_that_wants_a_certificate_and_gets_none_is_understood(
    tmp_path: Path, authority: Authority, archive: Pair
) -> None:
    with storescp(tmp_path, archive, authority) as peer:
        (outcome,) = send_files(
            replace(peer, trust=trusting(authority)), "DICOMNODE", write_objects(tmp_path, 1)
        )
    check_waits(outcome, "certificate of this node (key `certificate`)")


def check_waits(outcome: FileOutcome, words: str) -> None:
    assert outcome.outcome == "retry"
    assert words in outcome.text, outcome.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_peer_that_wants_a_certificate_and_gets_none_is_understood(
    tmp_path: Path, authority: Authority, archive: Pair, version: ssl.TLSVersion
) -> None:
    with secured_scp(of_version(archive, version, authority.pair.certificate)) as (peer, stored):
        (outcome,) = send_files(
            replace(peer, trust=trusting(authority)), "DICOMNODE", write_objects(tmp_path, 1)
        )
    check_waits(outcome, "certificate of this node (key `certificate`)")
    assert not stored


def refused(peer: Peer, trust: Trust) -> NodeError:
    with pytest.raises(NodeError) as caught:
        echo(replace(peer, trust=trust), "DICOMNODE")
    return caught.value


def test_who_is_not_believed_gets_nothing(tmp_path: Path, authority: Authority, archive: Pair) -> None:
    stranger = Authority(tmp_path / "stranger")
    cases = {
        "unable to get local issuer": (stranger.issue("other"), trusting(authority)),
        "self-signed": (stranger.pair, trusting(authority)),
        "expired": (authority.issue_expired("old"), trusting(authority)),
        "not valid for '127.0.0.1'": (authority.issue("elsewhere", "10.0.0.1"), trusting(authority)),
        "unable to get local issuer ": (archive, trusting(stranger)),
        "unable to get local issuer certificate": (archive, Trust()),  # that of the system
    }
    for words, (shows, trust) in cases.items():
        with secured_scp(server_context(shows)) as (peer, stored):
            error = refused(peer, trust)
        assert error.fault is PEER_NOT_TRUSTED, f"{words}: {error}"
        assert words.strip() in str(error)
        assert not stored


def test_tls_before_1_2_is_not_spoken(authority: Authority, archive: Pair) -> None:
    context = server_context(archive)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with secured_scp(context) as (peer, _):
        error = refused(peer, trusting(authority))
    assert error.fault is PEER_UNREACHABLE
    assert "TLS failed" in str(error)


def test_a_certificate_that_cannot_be_read_is_named(
    tmp_path: Path, authority: Authority, archive: Pair
) -> None:
    with secured_scp(server_context(archive)) as (peer, _):
        error = refused(peer, Trust(ca_file=tmp_path / "none.pem"))
    assert error.fault is WEB_SECRET_UNREADABLE
    assert "none.pem" in str(error)


def test_a_peer_that_speaks_no_tls_is_told_apart(tmp_path: Path, authority: Authority) -> None:
    def reject(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01")  # an A-ABORT: what came is no PDU
        connection.shutdown(socket.SHUT_WR)

    for behave, words in (
        (reject, "TLS failed"),
        (hang_up, "it may speak no TLS there"),
        (silent, "within 1 s"),
    ):
        with socket_peer(behave, timeout_s=1.0) as peer:
            error = refused(peer, trusting(authority))
        assert error.fault is PEER_UNREACHABLE
        assert words in str(error)


def hang_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_RDWR)


def test_a_large_object_goes_over_whole_and_takes_little_memory(
    tmp_path: Path, authority: Authority, archive: Pair
) -> None:
    file = write_object(tmp_path / "large.dcm", 1, pixels=LARGE)
    storage = tmp_path / "came"
    storage.mkdir()
    with storescp(storage, archive, authority, "-ic", "-up", "+B") as plain:
        peer = replace(plain, trust=trusting(authority))
        tracemalloc.start()
        try:
            (outcome,) = send_files(peer, "DICOMNODE", [file])
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome.outcome == "stored", outcome.text
    (came,) = storage.iterdir()
    assert dcmread(came).PixelData == dcmread(file).PixelData
    assert most < 8_000_000, "far less than the object"


@contextlib.contextmanager
def tls_that_stops_reading(context: ssl.SSLContext) -> Iterator[Peer]:
    """Accept TLS and the association, and read no more of what comes."""
    done = threading.Event()

    def behave(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(accept_first_context())
            done.wait(DEADLINE_S)

    with socket_peer(behave, timeout_s=1.0) as peer:
        try:
            yield peer
        finally:
            done.set()


def test_a_peer_that_stops_reading_costs_its_time_limit_and_no_memory(
    tmp_path: Path, authority: Authority, archive: Pair
) -> None:
    file = write_object(tmp_path / "large.dcm", 1, pixels=LARGE)
    with tls_that_stops_reading(server_context(archive)) as peer:
        tracemalloc.start()
        try:
            (outcome,) = send_files(replace(peer, trust=trusting(authority)), "DICOMNODE", [file])
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    check_waits(outcome, "it read nothing for 1 s")
    assert most < 8_000_000


def test_no_thread_and_no_descriptor_is_left_behind(
    tmp_path: Path, authority: Authority, archive: Pair
) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    files = write_objects(tmp_path, 1)
    with secured_scp(server_context(archive)) as (peer, _):
        good = replace(peer, trust=trusting(authority))
        assert send_files(good, "DICOMNODE", files)[0].outcome == "stored"  # what is loaded once is loaded
        threads, before = threading.active_count(), descriptors()
        for _ in range(3):
            assert send_files(good, "DICOMNODE", files)[0].outcome == "stored"
            assert refused(peer, Trust()).fault is PEER_NOT_TRUSTED
            assert send_files(replace(good, ae_title="WRONG-ONE"), "DICOMNODE", files)[0].outcome
    until_ended(threads)
    assert descriptors() <= before


def until_ended(threads: int) -> None:
    end = time.monotonic() + DEADLINE_S
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(STEP_S)
    assert threading.active_count() <= threads
