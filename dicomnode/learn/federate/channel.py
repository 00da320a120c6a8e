"""The line between a site and who leads: gRPC with TLS; and what is wrong where there is none."""

from __future__ import annotations

import math
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from dicomnode.faults import FEDERATED_CERTIFICATE, FEDERATED_UNREACHABLE, NodeError
from dicomnode.learn.federate.address import host_and_port
from dicomnode.learn.federate.messages import LARGEST_MESSAGE

OPTIONS: Final = (
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    # A site trains for hours in silence, and the other side may be gone without a word: both ask now and then
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)
SITE_OPTIONS: Final = (*OPTIONS, ("grpc.max_reconnect_backoff_ms", 2_000))
SERVER_OPTIONS: Final = (
    *OPTIONS,
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),  # or two servers share a port, and each gets some of the sites
)
_LOOK_S: Final = 2.0
_PROBE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM. root: that signed the other side's certificate; certificate, key: shown to the other side.

    A site needs the root; a server needs certificate and key, and with a root it lets in only sites whose
    certificates that root signed. Raises NodeError(FEDERATED_CERTIFICATE) for what is no PEM or does not fit.
    """

    root: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None

    def __post_init__(self) -> None:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if self.root is not None:
                context.load_verify_locations(cadata=self.root.decode("ascii"))
            if self.certificate is not None or self.key is not None:
                _load_pair(context, self.certificate or b"", self.key or b"")
        except (OSError, ValueError) as error:
            what = "the root" if isinstance(error, UnicodeDecodeError) else "a certificate or its key"
            raise NodeError(FEDERATED_CERTIFICATE, what=what) from error

    def of_server(self) -> Any:
        """Return what a server of gRPC takes; with a root, who has no certificate of it is not let in."""
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)],
            root_certificates=self.root,
            require_client_auth=self.root is not None,
        )

    def of_site(self) -> Any:
        """Return what a channel of gRPC takes."""
        return grpc.ssl_channel_credentials(self.root, self.key, self.certificate)


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python reads pairs from files alone."""
    with tempfile.TemporaryDirectory() as folder:  # of mode 0700, and gone at once
        path = Path(folder) / "pair.pem"
        path.write_bytes(key + b"\n" + certificate)
        # Without a passphrase of ours OpenSSL would ask for one at the terminal
        context.load_cert_chain(path, password=lambda: b"")


def channel_to(address: str, tls: Tls | None, wait_s: float) -> Any:
    """Return a channel that is connected. wait_s: how long a server that is not there yet is waited for.

    Raises NodeError(FEDERATED_UNREACHABLE); a certificate that is not accepted is told at once.
    """
    if tls is None:
        channel = grpc.insecure_channel(address, options=SITE_OPTIONS)
    else:
        channel = grpc.secure_channel(address, tls.of_site(), options=SITE_OPTIONS)
    ready = grpc.channel_ready_future(channel)
    for _ in range(max(1, math.ceil(wait_s / _LOOK_S))):
        try:
            ready.result(timeout=min(_LOOK_S, max(wait_s, 0.1)))
        except grpc.FutureTimeoutError:
            wrong = _never_right(address, tls)
            if wrong:
                break
        else:
            return channel
    else:
        wrong = f"nobody answered for {wait_s:g} s"
    ready.cancel()
    channel.close()
    raise NodeError(FEDERATED_UNREACHABLE, address=address, error=wrong)


def _never_right(address: str, tls: Tls | None) -> str:
    """Return why waiting would not help, or ""."""
    host, port = host_and_port(address)
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    if tls is None or tls.root is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cadata=tls.root.decode("ascii"))
    try:
        with (
            socket.create_connection((host, port), timeout=_PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return "it speaks TLS, and no --tls-root is given" if tls is None else ""
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not accepted: {error.verify_message}"
    except OSError:
        return ""


def why_not_bound(address: str) -> str:
    """Return why nobody can listen on an address, or ""."""
    host, port = host_and_port(address)
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""
