"""A hospital's own certificate authority, made anew for a test by openssl, and TLS in front of a server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.wire.peers import DEADLINE_S, program

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_CA = """
[ca]
default_ca = here
[here]
database = {folder}/index
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = names
unique_subject = no
serial = {folder}/serial
[any]
commonName = supplied
[names]
subjectAltName = IP:{host}
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, each PEM; `both` has the two in one file."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs what is issued in `folder`. Each file has mode 0600."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        extension = ("-addext", "keyUsage=critical,keyCertSign")
        self.pair = self._made(name, "Hospital", *extension)

    def issue(self, name: str, host: str = "127.0.0.1", kind: str = "IP") -> Pair:
        """Make a certificate for a host, or for a client of that name."""
        signed_by = ("-CA", str(self.pair.certificate), "-CAkey", str(self.pair.key))
        extensions = ("-addext", f"subjectAltName={kind}:{host}", "-addext", "basicConstraints=CA:FALSE")
        return self._made(name, name, *signed_by, *extensions)

    def issue_expired(self, name: str, host: str = "127.0.0.1") -> Pair:
        """Make a certificate for a host whose time was over years ago."""
        pair = self._pair(name)
        request, said = self._folder / f"{name}.csr", self._folder / f"{name}.cnf"
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", str(pair.key), "-out", str(request))
        (self._folder / "index").write_text("")
        said.write_text(_CA.format(folder=self._folder, host=host), encoding="ascii")
        signed_by = ("-cert", str(self.pair.certificate), "-keyfile", str(self.pair.key))
        dates = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
        out = ("-in", str(request), "-out", str(pair.certificate), "-create_serial", "-notext", "-batch")
        _openssl("ca", "-config", str(said), *signed_by, *dates, *out)
        return _finished(pair)

    def _pair(self, name: str) -> Pair:
        return Pair(*(self._folder / f"{name}{end}" for end in (".pem", ".key", ".both.pem")))

    def _made(self, name: str, subject: str, *more: str) -> Pair:
        pair = self._pair(name)
        out = ("-keyout", str(pair.key), "-out", str(pair.certificate))
        _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={subject}", *out, *more)
        return _finished(pair)


def _openssl(*arguments: str) -> None:
    done = subprocess.run([program("openssl"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _finished(pair: Pair) -> Pair:
    pair.both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    for path in (pair.key, pair.both):
        path.chmod(0o600)
    return pair


def server_context(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    """TLS of a server. clients: who asks must show a certificate that one of these has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


@contextlib.contextmanager
def tls_before(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A TLS proxy, as sites put one before an archive, to a port of this machine; give its own port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(
                    target=_serve, args=(listener.accept()[0], port, context), daemon=True
                ).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(DEADLINE_S)


def _serve(asking: socket.socket, port: int, context: ssl.SSLContext) -> None:
    """Pass on one question and all of its answer: the node asks one thing a connection."""
    with contextlib.suppress(OSError), asking:
        asking.settimeout(DEADLINE_S)
        with (
            context.wrap_socket(asking, server_side=True) as secured,
            socket.create_connection(("127.0.0.1", port), DEADLINE_S) as server,
        ):
            question = b""
            while not question.endswith(b"\r\n\r\n"):
                question += secured.recv(65536) or b"\r\n\r\n"
            server.sendall(question.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while answer := server.recv(65536):
                secured.sendall(answer)
            secured.unwrap()
