"""Storing an instance at a DICOMweb service, STOW-RS (PS3.18 section 10.5).

One request an instance: so each has an answer of its own, and a large study needs no memory.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from dicomnode.faults import SEND_UNREADABLE, WEB_FAILED, WEB_REFUSED, NodeError
from dicomnode.net.limits import FetchLimits, Meter
from dicomnode.net.query import told
from dicomnode.net.rate import Rate
from dicomnode.net.web import Body, WebPeer, answer_to, chunks
from dicomnode.store.foreign import UNREADABLE, quiet

STORED: Final = 0x0000
_PROCESSING_FAILURE: Final = 0x0110  # PS3.7 C.5.20
_WARNING: Final = 0xB000  # coercion of data elements, PS3.18 table 10.5.3-3
_WARNINGS: Final = (*range(0xB000, 0xC000), 0x0107, 0x0116)  # PS3.7 C.4
_CHUNK: Final = 256 * 1024
_ANSWER_MOST: Final = 4_000_000
_SLOWEST_BYTES_S: Final = 64 * 1024  # what goes slower does not end
_WAITS: Final = 20  # times the wait for an answer, beside the time of sending
_JSON: Final = "application/dicom+json"
# Answers about the instance (PS3.18 table 10.5.3-1); others are about the request or the service
_ABOUT_IT: Final = (http.client.ACCEPTED, http.client.CONFLICT)
# It will not take the instance another time either
_NEVER: Final = (
    http.client.BAD_REQUEST,
    http.client.REQUEST_ENTITY_TOO_LARGE,
    http.client.UNSUPPORTED_MEDIA_TYPE,
)


def store_by_web(
    peer: WebPeer, study_uid: str, path: Path, sop_instance_uid: str, rate: Rate | None = None
) -> int:
    """Store a Part 10 file; return the service's word on it as the status of a C-STORE.

    0x0000, the Warning Reason (0008,1196), or the Failure Reason (0008,1197) of PS3.18 10.5.3. rate: most
    that is sent in a second. Raises NodeError SEND_UNREADABLE; WEB_REFUSED where trying again would not help;
    as `answer_to`: WEB_FAILED for other statuses that are not about the instance.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    seconds = _WAITS * peer.timeout_s + size / _SLOWEST_BYTES_S + (rate.seconds(size) if rate else 0.0)
    limits = FetchLimits(bytes=_ANSWER_MOST, seconds=seconds)
    meter = Meter(peer.name, limits)
    with answer_to(
        peer,
        f"studies/{study_uid}",
        _JSON,
        "STOW-RS",
        meter,
        also=(*_ABOUT_IT, *_NEVER),
        body=_body(path, size, rate),
    ) as answer:
        status, text = answer.status, b"".join(chunks(answer, meter))
    said = _said(text, sop_instance_uid)
    if said is not None:
        return said
    if status in _NEVER:
        reason = f"status {status} {http.client.responses[status]}"
        raise NodeError(WEB_REFUSED, name=peer.name, sop_instance_uid=sop_instance_uid, reason=reason)
    if status == http.client.OK:
        return STORED
    if status == http.client.CONFLICT:
        return _PROCESSING_FAILURE
    raise NodeError(
        WEB_FAILED, name=peer.name, request="STOW-RS", reason="it does not say whether it stored the instance"
    )


def _unreadable(path: Path, error: OSError) -> NodeError:
    return NodeError(SEND_UNREADABLE, path=path, error=error.strerror or str(error))


def _body(path: Path, size: int, rate: Rate | None) -> Body:
    boundary = uuid.uuid4().hex
    longest = _CHUNK if rate is None else min(_CHUNK, rate.longest)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\nContent-Length: {size}\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def content() -> Iterator[bytes]:
        yield head
        left = size
        try:
            with path.open("rb") as file:
                while left and (piece := file.read(min(longest, left))):
                    if rate is not None:
                        rate.take(len(piece))
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise _unreadable(path, error) from error
        if left:
            raise NodeError(SEND_UNREADABLE, path=path, error="it became shorter while it was sent")
        yield tail

    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return Body(kind, len(head) + size + len(tail), content)


def _said(text: bytes, uid: str) -> int | None:
    """What the answer says of an instance; None where it does not name it, or is none that can be read."""
    try:
        with quiet():
            answer = json.loads(text or b"{}")
            one = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
            return _of(Dataset.from_json(one), uid)
    except (OSError, *UNREADABLE):
        return None


def _of(said: Dataset, uid: str) -> int | None:
    failed = said.get("FailedSOPSequence") or ()
    for item in failed:
        if str(told(item, "ReferencedSOPInstanceUID")) == uid or len(failed) == 1:
            reason = int(told(item, "FailureReason") or _PROCESSING_FAILURE)
            return _PROCESSING_FAILURE if reason in _WARNINGS else reason  # it says that it is not stored
    for item in said.get("ReferencedSOPSequence") or ():
        if str(told(item, "ReferencedSOPInstanceUID")) == uid:
            reason = int(told(item, "WarningReason") or STORED)
            return reason if reason in (STORED, *_WARNINGS) else _WARNING  # it says that it is stored
    return None
