"""The DICOMweb services of a peer: what it holds (QIDO-RS, PS3.18 10.6), and fetching it (WADO-RS, 10.4)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from pydicom.dataset import Dataset

from dicomnode.faults import FETCH_LATE, FETCH_TOO_LARGE, WEB_FAILED, NodeError
from dicomnode.net.limits import FetchLimits, Meter
from dicomnode.net.multipart import boundary_of, parts
from dicomnode.net.query import told
from dicomnode.net.web import WebPeer, answer_to, chunks
from dicomnode.store.foreign import UNREADABLE, quiet

_PAGE: Final = 1000  # matches that are asked for at a time; a server may give fewer
_ANSWER_MOST: Final = 32_000_000  # bytes of one answer to a query
_QUERY_S: Final = 4  # times the wait for an answer: a query that trickles is ended
_SHORTEST_S: Final = 0.01  # a limit is more than none
_JSON: Final = "application/dicom+json"
# PS3.18 8.7.3.5.2: as it is stored, whatever its transfer syntax
_AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_UNIQUE: Final = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
_MORE: Final = "additional results"  # of the warning of PS3.18 8.3.4.4.1


def query(
    peer: WebPeer,
    path: str,
    keys: Mapping[str, str],
    *,
    limit: int,
    meter: Meter | None = None,
    may_be_none: bool = False,
) -> list[Dataset]:
    """Ask what there is, QIDO-RS: path "studies", "studies/1.2/series", "studies/1.2/series/1.3/instances".

    keys: DICOM keyword → value to match; an empty value only asks for the attribute. meter: of a fetch that
    it is a part of: it takes no longer than that has left. may_be_none: nobody told that there is such a
    study or series, and 404 is an answer: there is none. All matches are asked for, each is given once:
    page by page until nothing new comes, as servers give as many at a time as they like, and not all say so;
    some refuse a long page (400), or say 404 where nothing is left or the study is none of theirs.
    Raises NodeError as `answer_to`; WEB_FAILED also for more than `limit` matches, for a server that has more
    than it gives, and for answers that do not end.
    """
    theirs = _QUERY_S * peer.timeout_s
    left = theirs if meter is None else meter.left_s
    seconds = max(min(theirs, left), _SHORTEST_S)
    try:
        whole = Meter(peer.name, FetchLimits(seconds=seconds))
        return _all_pages(peer, path, keys, limit, whole, may_be_none=may_be_none)
    except NodeError as error:
        if error.fault is not FETCH_LATE:
            raise
        if meter is not None and left <= theirs:
            raise NodeError(FETCH_LATE, name=peer.name, seconds=meter.limits.seconds) from error
        raise _no_answer(peer, f"its answers did not end within {seconds:g} s") from error


def _all_pages(
    peer: WebPeer, path: str, keys: Mapping[str, str], limit: int, whole: Meter, *, may_be_none: bool
) -> list[Dataset]:
    unique = _UNIQUE[path.rpartition("/")[2]]
    found: dict[str, Dataset] = {}
    offset, limited, more = 0, True, False
    while True:
        target, also = _target(path, keys, offset, limited=limited), _also(path, offset, limited=limited)
        also += [http.client.NOT_FOUND] if may_be_none else []
        status, given, warned = _page(peer, target, whole, also)
        if status == http.client.BAD_REQUEST:
            limited = False  # as many at a time as it likes
            continue
        more = warned or (more and status == http.client.NOT_FOUND)
        known = len(found)
        found |= {str(uid): one for one in given if (uid := told(one, unique))}
        if len(found) > limit:
            raise _no_answer(peer, f"it has more than {limit} answers: it seems to ignore what is asked")
        if keys.get(unique) and len(given) == 1:
            return list(found.values())  # there is no other
        if len(found) == known:
            # A server that ignores the offset gives the same again
            if more:
                raise _no_answer(peer, "it has more answers than it gives, and does not give them by offset")
            return list(found.values())
        offset += len(given)


def _target(path: str, keys: Mapping[str, str], offset: int, *, limited: bool) -> str:
    asked = [(keyword, value) for keyword, value in keys.items() if value]
    asked += [("includefield", keyword) for keyword, value in keys.items() if not value]
    asked += [("limit", str(_PAGE))] if limited else []
    asked += [("offset", str(offset))] if offset else []
    return f"{path}?{urlencode(asked, quote_via=quote)}"


def _also(path: str, offset: int, *, limited: bool) -> list[int]:
    """Return the statuses that are answers here, beside 200 and 204.

    404 of all studies is a wrong address, and of the instances of a series that was just told no number.
    """
    none = [http.client.NOT_FOUND] if offset or path.endswith("/series") else []
    return none if offset or not limited else [*none, http.client.BAD_REQUEST]


def _page(peer: WebPeer, target: str, whole: Meter, also: Collection[int]) -> tuple[int, list[Dataset], bool]:
    """Ask once; give the status, the matches, and whether the server says that it has more of them."""
    whole.check_time()
    own = Meter(peer.name, FetchLimits(bytes=_ANSWER_MOST, seconds=max(whole.left_s, _SHORTEST_S)))
    with answer_to(peer, target, _JSON, "QIDO-RS", own, also=also) as answer:
        more = any(_MORE in said.lower() for said in answer.headers.get_all("Warning", []))
        if answer.status != http.client.OK:
            return answer.status, [], more
        try:
            text = b"".join(chunks(answer, own))
        except NodeError as error:
            if error.fault is not FETCH_TOO_LARGE:
                raise
            raise _no_answer(peer, f"its answer is longer than {_ANSWER_MOST / 1e6:g} MB") from error
    try:
        with quiet():
            given = [Dataset.from_json(one) for one in json.loads(text or b"[]")]
    except (OSError, *UNREADABLE) as error:  # of a value: the answer is read already
        raise _no_answer(peer, f"its answer is no DICOM JSON ({type(error).__name__})") from error
    return http.client.OK, given, more


def _no_answer(peer: WebPeer, reason: str) -> NodeError:
    return NodeError(WEB_FAILED, name=peer.name, request="QIDO-RS", reason=reason)


def retrieve_series(
    peer: WebPeer, study_uid: str, series_uid: str, take: Callable[[bytes], None], meter: Meter
) -> int:
    """Fetch the instances of a series as Part 10 files, WADO-RS, and give each to `take`; return how many.

    One is held in memory at a time. Raises NodeError as `answer_to`, FETCH_TOO_LARGE, FETCH_LATE, and what
    `take` raises.
    """
    came = 0
    target = f"studies/{study_uid}/series/{series_uid}"
    with answer_to(peer, target, _AS_STORED, "WADO-RS", meter) as answer:
        body = chunks(answer)
        try:
            delimiter = boundary_of(answer.headers.get("Content-Type", ""))
            most = min(meter.limits.object_bytes, meter.limits.bytes - meter.bytes)
            for part in parts(lambda: next(body, b""), delimiter, most):
                meter.count(1, len(part))
                take(bytes(part))
                came += 1
        except ValueError as error:
            raise NodeError(WEB_FAILED, name=peer.name, request="WADO-RS", reason=str(error)) from error
    return came
