"""A request to a DICOMweb service: with login and TLS, with limits of size and time, its failures in words.

What a peer sends is not believed to end. Redirects are followed on the same server only: anywhere else nobody
has said who is there, and the login would go with us.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from dicomnode.faults import WEB_FAILED, WEB_LOGIN_REFUSED, WEB_NOT_TRUSTED, WEB_UNREACHABLE, NodeError
from dicomnode.net.limits import Meter
from dicomnode.net.login import Login, Trust

_CHUNK: Final = 256 * 1024
_MOST_REDIRECTS: Final = 5
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset(
    {
        http.client.MOVED_PERMANENTLY,
        http.client.FOUND,
        http.client.SEE_OTHER,
        http.client.TEMPORARY_REDIRECT,
        http.client.PERMANENT_REDIRECT,
    }
)


@dataclass(frozen=True, slots=True)
class WebPeer:
    """The root of a DICOMweb service: https://pacs/dicom-web. timeout_s: longest wait for each answer.

    Raises ValueError for an address or time that cannot be; a login is none of the address.
    """

    name: str
    url: str
    timeout_s: float = 30.0
    login: Login = field(default_factory=Login)
    trust: Trust = field(default_factory=Trust)

    def __post_init__(self) -> None:
        if "@" in self.url:
            raise ValueError("WebPeer.url must not hold a login")
        found = urlsplit(self.url)
        if found.scheme not in _PORTS or not found.hostname or found.query or found.fragment:
            raise ValueError(f"WebPeer.url must be http:// or https:// with a host, got {self.url!r}")
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError(f"WebPeer.timeout_s must be > 0 s, got {self.timeout_s!r}")


@dataclass(frozen=True, slots=True)
class Body:
    """What a POST sends. chunks: gives the content, `length` bytes in all, anew each time it is called."""

    content_type: str
    length: int
    chunks: Callable[[], Iterator[bytes]]


@contextmanager
def answer_to(  # noqa: PLR0913  what a request is
    peer: WebPeer,
    target: str,
    accept: str,
    request: str,
    meter: Meter,
    *,
    also: Collection[int] = (),
    body: Body | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Open a GET of `target`, below the root, and give its answer: 200 or 204. Closes the connection.

    request: as messages name it. also: statuses that are answers, too. body: it is a POST, which follows no
    redirect. Raises NodeError WEB_UNREACHABLE,
    WEB_NOT_TRUSTED, WEB_LOGIN_REFUSED, WEB_SECRET_UNREADABLE, WEB_FAILED (also where the answer ends in the
    middle), FETCH_LATE.
    """
    url = f"{peer.url.rstrip('/')}/{target}"
    for _ in range(_MOST_REDIRECTS + 1):
        with _answer(peer, url, accept, request, meter, body) as answer:
            if answer.status not in _REDIRECTS or body is not None:
                if answer.status not in also:
                    _check(peer, answer, request)
                yield answer
                return
            url = _elsewhere(peer, url, answer.headers.get("Location", ""), request)
    raise _failed(peer, request, "it redirects again and again")


def chunks(answer: http.client.HTTPResponse, meter: Meter | None = None) -> Iterator[bytes]:
    """Give the body as it comes. meter: counts its bytes, where the body is one thing.

    A body that is shorter than its Content-Length is an error, as one whose last chunk does not come:
    http.client's read1() ends both in silence.
    """
    left = answer.length
    while chunk := answer.read1(_CHUNK):
        if meter is not None:
            meter.count(0, len(chunk))
        if left is not None:
            left -= len(chunk)
        yield chunk
    if left:
        raise http.client.IncompleteRead(b"", left)


@contextmanager
def _answer(
    peer: WebPeer, url: str, accept: str, request: str, meter: Meter, body: Body | None
) -> Iterator[http.client.HTTPResponse]:
    place = urlsplit(url)
    headers = {"Accept": accept, "User-Agent": "dicomnode"}
    if authorization := peer.login.header(peer.name):
        headers["Authorization"] = authorization
    connection = _connection(peer, place)
    try:
        _connect(peer, connection)
        line = connection.sock  # http.client forgets it where the answer ends with the connection
        with meter.watching(lambda: _drop(line)):
            target = f"{place.path}?{place.query}" if place.query else place.path
            answer = _asked(peer, connection, target, headers, body)
            with closing(answer):
                try:
                    yield answer
                except (OSError, http.client.HTTPException) as error:
                    raise _failed(peer, request, _words(peer, error)) from error
    finally:
        connection.close()


def _connection(peer: WebPeer, place: SplitResult) -> http.client.HTTPConnection:
    host, port = place.hostname or "", place.port
    if place.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=peer.timeout_s)
    context = peer.trust.context(peer.name)
    return http.client.HTTPSConnection(host, port, timeout=peer.timeout_s, context=context)


def _connect(peer: WebPeer, connection: http.client.HTTPConnection) -> None:
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message.rstrip(".").lower()
        raise NodeError(WEB_NOT_TRUSTED, name=peer.name, url=peer.url, reason=reason) from error
    except (OSError, UnicodeError) as error:
        raise _unreachable(peer, _words(peer, error)) from error


def _asked(
    peer: WebPeer,
    connection: http.client.HTTPConnection,
    target: str,
    headers: dict[str, str],
    body: Body | None,
) -> http.client.HTTPResponse:
    try:
        if body is None:
            connection.request("GET", target, headers=headers)
        else:
            headers |= {"Content-Type": body.content_type, "Content-Length": str(body.length)}
            # Who refuses may answer, and hang up, before it has read all: the answer says why
            with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                connection.request("POST", target, body.chunks(), headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(peer, _after_the_handshake(peer, error)) from error


def _check(peer: WebPeer, answer: http.client.HTTPResponse, request: str) -> None:
    """Raise NodeError unless the answer is one. What the server calls its status is not repeated."""
    status, login = answer.status, peer.login.words
    if status in (http.client.OK, http.client.NO_CONTENT):
        return
    reason = f"status {status} {http.client.responses.get(status, '')}".rstrip()
    if status == http.client.UNAUTHORIZED:
        reason = f"it does not take {login}" if login else "it wants a login, and none is set"
    elif status == http.client.FORBIDDEN:
        reason = f"{login or 'nobody without a login'} may not {request} there"
    else:
        raise _failed(peer, request, reason)
    raise NodeError(WEB_LOGIN_REFUSED, name=peer.name, url=peer.url, reason=reason)


def _elsewhere(peer: WebPeer, url: str, location: str, request: str) -> str:
    """Return where a redirect leads to on the same server; raise NodeError(WEB_FAILED) for another one."""
    try:
        to = urlsplit(urljoin(url, location))
        same = location and _origin(to) == _origin(urlsplit(url))
        origin = f"{to.scheme}://{to.hostname}:{to.port or _PORTS.get(to.scheme, 0)}"
    except ValueError as error:
        raise _failed(peer, request, "it redirects to what is no address") from error
    if same:
        return to._replace(fragment="").geturl()
    reason = f"it redirects to {origin}, another server; if that is right, enter it as url"
    raise _failed(peer, request, reason)


def _origin(place: SplitResult) -> tuple[str, str | None, int | None]:
    return place.scheme, place.hostname, place.port or _PORTS.get(place.scheme)


def _drop(line: socket.socket) -> None:
    """End what waits for the peer, in whatever thread."""
    with suppress(OSError):  # it is closed already
        line.shutdown(socket.SHUT_RDWR)


def _failed(peer: WebPeer, request: str, reason: str) -> NodeError:
    return NodeError(WEB_FAILED, name=peer.name, request=request, reason=reason)


def _unreachable(peer: WebPeer, error: str) -> NodeError:
    return NodeError(WEB_UNREACHABLE, name=peer.name, url=peer.url, error=error)


def _words(peer: WebPeer, error: Exception) -> str:
    """Say what the network said, in words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {peer.timeout_s:g} s"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it ended the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended in the middle"
    if isinstance(error, http.client.HTTPException):
        return f"it is no HTTP answer ({type(error).__name__})"
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS failed ({(error.reason or error.strerror or 'no reason given').lower().replace('_', ' ')})"
        )
    said: Any = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).lower()


def _after_the_handshake(peer: WebPeer, error: Exception) -> str:
    """With TLS 1.3 it is only now that a server says, if at all, that it misses a certificate of ours."""
    ended = isinstance(error, ssl.SSLError | ConnectionError)
    if not ended or peer.trust.certificate is not None or not peer.url.startswith("https:"):
        return _words(peer, error)
    return f"{_words(peer, error)}; it may want a certificate of this node (key `certificate`)"
