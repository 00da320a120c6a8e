"""Who this node is to a DICOMweb service, and which service it believes: logins, certificates, trust.

Secrets are read when they are wanted, and kept in no value: what is logged, shown or raised cannot hold one.
"""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.faults import WEB_SECRET_UNREADABLE, NodeError
from dicomnode.settings import DestinationSettings, QuerySettings, read_protected, read_secret

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A name and a password (HTTP Basic, RFC 7617), or a bearer token (RFC 6750), or neither.

    password, token: where they stand, `file:/PATH` or `credential:NAME`. Raises ValueError for half a login
    and for two.
    """

    user: str = ""
    password: str = ""
    token: str = ""

    def __post_init__(self) -> None:
        if bool(self.user) != bool(self.password) or (self.user and self.token):
            raise ValueError("Login must be a user with a password, or a token, or nothing")

    @property
    def words(self) -> str:
        """Say who logs in, or with what; "" for nobody."""
        return f"user {self.user!r}" if self.user else "a bearer token" if self.token else ""

    def header(self, name: str) -> str:
        """Make the value of the header Authorization; "" without a login. It is made anew for each request.

        A token that was written anew is in use at once. name: of the peer, for the reason. Raises
        NodeError(WEB_SECRET_UNREADABLE).
        """
        if self.user:
            both = f"{self.user}:{_read(name, 'password', self.password)}"
            return f"Basic {base64.b64encode(both.encode()).decode('ascii')}"
        if not self.token:
            return ""
        token = _read(name, "token", self.token)
        if not _TOKEN.fullmatch(token):
            raise _unreadable(name, "token", self.token, "it has characters that no bearer token has")
        return f"Bearer {token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What TLS is made with. The server's certificate and its name are always checked.

    ca_file: certificates that its own is checked against, those of the system without. certificate: what this
    node shows of itself; key: its private key, where that is not in the same file.
    """

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self, name: str) -> ssl.SSLContext:
        """Make the context of a connection. name: of the peer. Raises NodeError(WEB_SECRET_UNREADABLE)."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        except OSError as error:
            raise _unreadable(name, "ca_file", str(self.ca_file), _reason(error)) from error
        if self.certificate is not None:
            self._show(context, name, self.certificate)
        return context

    def _show(self, context: ssl.SSLContext, name: str, certificate: Path) -> None:
        key = self.key or certificate
        try:
            read_protected(key)
        except (OSError, ValueError) as error:
            raise _unreadable(name, "private key", str(key), _reason(error)) from error
        try:
            # Without a passphrase of ours OpenSSL would ask for one at the terminal
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except OSError as error:
            raise _unreadable(name, "certificate", str(certificate), _reason(error)) from error


def _read(name: str, what: str, place: str) -> str:
    try:
        return read_secret(place)
    except (OSError, ValueError) as error:
        raise _unreadable(name, what, place.removeprefix("file:"), _reason(error)) from error


def _unreadable(name: str, what: str, place: str, reason: str) -> NodeError:
    return NodeError(WEB_SECRET_UNREADABLE, name=name, what=what, place=place, reason=reason)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return "it is no certificate or key in PEM that fits, without a passphrase"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)


def login_of(entry: QuerySettings | DestinationSettings) -> Login:
    """Who this node is to the web service that an entry of dicomnode.toml names."""
    return Login(user=entry.user, password=entry.password, token=entry.token)


def trust_of(entry: QuerySettings | DestinationSettings) -> Trust:
    """What TLS to the peer of an entry is made with."""
    return Trust(ca_file=entry.ca_file, certificate=entry.certificate, key=entry.certificate_key)
