"""Real peers for tests, each started on 127.0.0.1 and a free port and ended with the block.

DCMTK's storescp, Orthanc, pynetdicom SCPs and web servers; and sockets that behave as no peer should. A test
that needs a program that is not installed is skipped by its name; where CI=true is set, it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pynetdicom import AE, build_context, evt

from dicomnode.net import Peer

DEADLINE_S = 120.0  # of waits for what comes in a moment, unless the machine has much else to do
STEP_S = 0.02
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"


def program(name: str) -> str:
    """Path of an installed program."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until something holds, looking again and again."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline_s:g} s, not: {what}")
        time.sleep(STEP_S)


def answers(port: int) -> bool:
    """Tell whether something accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def peer_at(port: int, ae_title: str = "ARCHIVE", timeout_s: float = 10.0) -> Peer:
    """The peer on a port of this machine."""
    return Peer("PACS1", ae_title, "127.0.0.1", port, timeout_s)


@contextlib.contextmanager
def running(command: Sequence[str], port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block; give it when it accepts connections."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        until(lambda: answers(port) or process.poll() is not None, f"{command[0]} listens on {port}")
        assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def storescp(folder: Path, *options: str, ae_title: str = "ARCHIVE") -> Iterator[Peer]:
    """DCMTK's storescp, which writes what it gets into `folder`. options: of its command line."""
    port = free_port()
    command = [program("storescp"), "-aet", ae_title, "-od", str(folder), *options, str(port)]
    with running(command, port, TCP_NODELAY="1"):
        yield peer_at(port, ae_title)


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: as a DICOM peer, and by its REST interface."""

    peer: Peer
    http_port: int

    def rest(self, path: str) -> bytes:
        """GET what the REST interface has at `path`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=DEADLINE_S) as answer:
            return bytes(answer.read())

    def files(self) -> dict[str, bytes]:
        """All instances that it holds: SOP Instance UID → Part 10 file."""
        names: list[str] = json.loads(self.rest("/instances"))
        return {
            json.loads(self.rest(f"/instances/{name}"))["MainDicomTags"]["SOPInstanceUID"]: self.rest(
                f"/instances/{name}/file"
            )
            for name in names
        }


@contextlib.contextmanager
def orthanc(folder: Path, ae_title: str = "ORTHANC", **settings: object) -> Iterator[Orthanc]:
    """An Orthanc of its own, with its storage in `folder`. settings: of its configuration file."""
    port, http_port = free_port(), free_port()
    configuration = {
        "Name": "test",
        "DicomAet": ae_title,
        "DicomPort": port,
        "HttpPort": http_port,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomCheckCalledAet": True,
        "UnknownSopClassAccepted": True,
        "Plugins": [],
        "ConcurrentJobs": 1,
        **settings,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    with running([program("Orthanc"), str(file)], port) as process:
        until(lambda: answers(http_port), f"Orthanc listens on {http_port}")
        yield Orthanc(peer_at(port, ae_title), http_port)
        process.kill()  # it takes seconds to end in order, and nobody wants what it holds any more


@dataclass
class Scp:
    """A pynetdicom SCP: what it was asked, and where it is."""

    peer: Peer
    stored: list[str] = field(default_factory=list)  # SOP Instance UIDs, in order
    datasets: dict[str, bytes] = field(default_factory=dict)  # SOP Instance UID → Part 10 file
    contexts: list[list[tuple[str, list[str]]]] = field(default_factory=list)  # proposed, by association


Answer = Callable[[evt.Event, int], int]  # the event and its number, from 0 → status


@contextlib.contextmanager
def store_scp(
    answer: Answer = lambda _event, _number: 0x0000,
    *,
    contexts: Sequence[tuple[str, Sequence[str]]] = ((CT, (EXPLICIT_LE, IMPLICIT_LE)),),
    port: int = 0,
    longest_pdu: int = 16382,
    timeout_s: float = 10.0,
    **entity: object,
) -> Iterator[Scp]:
    """A pynetdicom storage SCP that answers what `answer` says. entity: attributes of its AE."""
    ae = AE("ARCHIVE")
    ae.maximum_pdu_size = longest_pdu
    for name, value in entity.items():
        setattr(ae, name, value)
    asked = iter(range(10**6))

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        status = answer(event, next(asked))
        scp.stored.append(uid)
        scp.datasets[uid] = event.encoded_dataset()
        return status

    def requested(event: evt.Event) -> None:
        proposed = event.assoc.requestor.requested_contexts
        scp.contexts.append([(str(c.abstract_syntax), [str(t) for t in c.transfer_syntax]) for c in proposed])

    server = ae.make_server(
        ("127.0.0.1", port),
        contexts=[build_context(abstract, list(syntaxes)) for abstract, syntaxes in contexts],
        evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_REQUESTED, requested)],
    )
    scp = Scp(peer_at(server.socket.getsockname()[1], timeout_s=timeout_s))
    ae._servers.append(server)  # as start_server does, whose loop takes half a second to end
    thread = threading.Thread(target=server.serve_forever, args=(STEP_S,), daemon=True)
    thread.start()
    try:
        yield scp
    finally:
        server.shutdown()
        thread.join(DEADLINE_S)


class _WebServer(ThreadingHTTPServer):
    """Ends a connection without a word when who asked has hung up, or does not trust it: that is tested."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextlib.contextmanager
def http_server(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Answer HTTP as `handler` does; give the address, http://127.0.0.1:port. context: of its TLS."""
    server = _WebServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(STEP_S,), daemon=True)
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE_S)


@contextlib.contextmanager
def socket_peer(behave: Callable[[socket.socket], None], timeout_s: float = 1.0) -> Iterator[Peer]:
    """A peer that does with each connection what `behave` does, and keeps it open until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                taken.append(connection)
                behave(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield peer_at(listener.getsockname()[1], timeout_s=timeout_s)
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in taken:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        thread.join(DEADLINE_S)


def silent(_: socket.socket) -> None:
    """Accept the connection and never say a word."""
