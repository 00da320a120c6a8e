"""The DICOMweb services of a peer: what it holds (QIDO-RS, PS3.18 10.6), and fetching it (WADO-RS, 10.4).

Answers are read with limits of size and time: what a peer sends is not believed to end.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from pydicom.dataset import Dataset

from dicomnode.faults import WEB_FAILED, WEB_UNREACHABLE, NodeError
from dicomnode.net.limits import FetchLimits, Meter
from dicomnode.net.multipart import boundary_of, parts

_CHUNK: Final = 256 * 1024
_JSON_MOST: Final = 32_000_000  # bytes of an answer to a query
_QUERY_S: Final = 4  # times the wait for an answer: a query that trickles is ended
_SHORTEST_S: Final = 0.01  # a limit is more than none
_JSON: Final = "application/dicom+json"
# PS3.18 8.7.3.5.2: as it is stored, whatever its transfer syntax
_AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class WebPeer:
    """The root of a DICOMweb service: https://pacs/dicom-web. timeout_s: longest wait for each answer.

    ca_file: certificates that its own is checked against, those of the system without. Raises ValueError for
    an address or time that cannot be.
    """

    name: str
    url: str
    timeout_s: float = 30.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        found = urlsplit(self.url)
        if found.scheme not in ("http", "https") or not found.hostname or found.query or found.fragment:
            raise ValueError(f"WebPeer.url must be http:// or https:// with a host, got {self.url!r}")
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError(f"WebPeer.timeout_s must be > 0 s, got {self.timeout_s!r}")


def query(
    peer: WebPeer, path: str, keys: Mapping[str, str], *, limit: int, meter: Meter | None = None
) -> list[Dataset]:
    """Ask what there is, QIDO-RS: path "studies", "studies/1.2/series", "studies/1.2/series/1.3/instances".

    keys: DICOM keyword → value to match; an empty value only asks for the attribute. meter: of a fetch that
    it is a part of: it takes no longer than that has left. Returns at most `limit` data sets. Raises
    NodeError WEB_UNREACHABLE, WEB_FAILED, or FETCH_LATE for an answer that does not end.
    """
    asked = [(keyword, value) for keyword, value in keys.items() if value]
    asked += [("includefield", keyword) for keyword, value in keys.items() if not value]
    target = f"{path}?{urlencode([*asked, ('limit', str(limit))], quote_via=quote)}"
    seconds = _QUERY_S * peer.timeout_s
    if meter is not None:
        meter.check_time()
        seconds = min(seconds, meter.left_s)
    own = Meter(peer.name, FetchLimits(bytes=_JSON_MOST, seconds=max(seconds, _SHORTEST_S)))
    with _answer(peer, target, _JSON, "QIDO-RS", own) as answer:
        if answer.status == http.client.NO_CONTENT:
            return []
        text = b"".join(_chunks(answer, own))
    try:
        found = json.loads(text or b"[]")
        return [Dataset.from_json(one) for one in found[:limit]]
    # What pydicom says of JSON that is no DICOM model has many types, none of them of one kind
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        reason = f"its answer is no DICOM JSON ({type(error).__name__})"
        raise NodeError(WEB_FAILED, name=peer.name, request="QIDO-RS", reason=reason) from error


def retrieve_series(
    peer: WebPeer, study_uid: str, series_uid: str, take: Callable[[bytes], None], meter: Meter
) -> int:
    """Fetch the instances of a series as Part 10 files, WADO-RS, and give each to `take`; return how many.

    One is held in memory at a time. Raises NodeError WEB_UNREACHABLE, WEB_FAILED (also where the answer ends
    in the middle), FETCH_TOO_LARGE, FETCH_LATE, and what `take` raises.
    """
    came = 0
    with _answer(peer, f"studies/{study_uid}/series/{series_uid}", _AS_STORED, "WADO-RS", meter) as answer:
        chunks = _chunks(answer)
        try:
            delimiter = boundary_of(answer.headers.get("Content-Type", ""))
            most = min(meter.limits.object_bytes, meter.limits.bytes - meter.bytes)
            for part in parts(lambda: next(chunks, b""), delimiter, most):
                meter.count(1, len(part))
                take(bytes(part))
                came += 1
        except ValueError as error:
            raise NodeError(WEB_FAILED, name=peer.name, request="WADO-RS", reason=str(error)) from error
    return came


@contextmanager
def _answer(
    peer: WebPeer, target: str, accept: str, request: str, meter: Meter
) -> Iterator[http.client.HTTPResponse]:
    """Open a GET and give its answer; closes the connection. Raises NodeError."""
    root = urlsplit(peer.url)
    connection = _connection(peer, root.hostname or "", root.port, secure=root.scheme == "https")
    path = f"{root.path.rstrip('/')}/{target}"
    try:
        _connect(peer, connection)
        line = connection.sock  # http.client forgets it where the answer ends with the connection
        with meter.watching(lambda: _drop(line)):
            answer = _asked(peer, connection, path, accept)
            with closing(answer):
                if answer.status not in (http.client.OK, http.client.NO_CONTENT):
                    reason = f"status {answer.status} {answer.reason}".rstrip()
                    raise NodeError(WEB_FAILED, name=peer.name, request=request, reason=reason)
                try:
                    yield answer
                except (OSError, http.client.HTTPException) as error:
                    reason = _words(peer, error)
                    raise NodeError(WEB_FAILED, name=peer.name, request=request, reason=reason) from error
    finally:
        connection.close()


def _connection(peer: WebPeer, host: str, port: int | None, *, secure: bool) -> http.client.HTTPConnection:
    if not secure:
        return http.client.HTTPConnection(host, port, timeout=peer.timeout_s)
    try:
        context = ssl.create_default_context(cafile=None if peer.ca_file is None else str(peer.ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = f"the certificates {peer.ca_file} cannot be read ({error.strerror or error})"
        raise NodeError(WEB_UNREACHABLE, name=peer.name, url=peer.url, error=reason) from error
    return http.client.HTTPSConnection(host, port, timeout=peer.timeout_s, context=context)


def _connect(peer: WebPeer, connection: http.client.HTTPConnection) -> None:
    try:
        connection.connect()
    except (OSError, UnicodeError) as error:
        raise NodeError(WEB_UNREACHABLE, name=peer.name, url=peer.url, error=_words(peer, error)) from error


def _asked(
    peer: WebPeer, connection: http.client.HTTPConnection, path: str, accept: str
) -> http.client.HTTPResponse:
    try:
        connection.request("GET", path, headers={"Accept": accept, "User-Agent": "dicomnode"})
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise NodeError(WEB_UNREACHABLE, name=peer.name, url=peer.url, error=_words(peer, error)) from error


def _chunks(answer: http.client.HTTPResponse, meter: Meter | None = None) -> Iterator[bytes]:
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


def _drop(line: socket.socket) -> None:
    """End what waits for the peer, in whatever thread."""
    with suppress(OSError):  # it is closed already
        line.shutdown(socket.SHUT_RDWR)


def _words(peer: WebPeer, error: Exception) -> str:
    """Say what the network said, in words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {peer.timeout_s:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended in the middle"
    if isinstance(error, http.client.HTTPException):
        return f"it is no HTTP answer ({type(error).__name__})"
    said: Any = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).lower()
