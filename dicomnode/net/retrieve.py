"""Bring a study back from a peer: C-GET over the association that asks for it, C-MOVE to a listening side.

PS3.4 C.4.3 and C.4.2. For C-GET each pair of SOP Class and transfer syntax has a presentation context of its
own, so that the peer can send an object as it holds it and need not transcode.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Final, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from dicomnode.faults import FETCH_INCOMPLETE, FETCH_TOO_LARGE, NO_PRESENTATION_CONTEXT, NodeError
from dicomnode.net.association import MAXIMUM_CONTEXTS, Link, ProposedContext, open_association
from dicomnode.net.limits import AnswerLimits, FetchLimits, Meter
from dicomnode.net.peer import Peer
from dicomnode.net.query import list_instances, query_failure, responses
from dicomnode.net.status import query_status_text
from dicomnode.values import is_valid_uid

_STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
_STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_STORED_AS: Final = (
    _EXPLICIT_LE,
    _IMPLICIT_LE,
    "1.2.840.10008.1.2.5",  # RLE lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)
_PENDING: Final = 0xFF00
_SOME_FAILED: Final = 0xB000
_INVALID_UID: Final = 0x0117
_ENVELOPE: Final = 1_000_000  # bytes of commands and heads of PDUs, generously
_OUT_OF_RESOURCES: Final = 0xA700


def fetch_study(
    peer: Peer, calling_ae: str, study_uid: str, folder: Path, *, series: Collection[str] = ()
) -> list[Path]:
    """Fetch the instances of a study into `folder` as `<SOP Instance UID>.dcm`, as the peer encodes them.

    series: Series Instance UIDs of those wanted, empty: all. Returns the files in order of name; none when
    the peer knows no such study. What to propose for them is asked by C-FIND first.
    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, NO_PRESENTATION_CONTEXT, or QUERY_FAILED when the
    peer could not send all of them (those that came are in the folder then).
    """
    wanted = list_instances(peer, calling_ae, study_uid, series=series)
    sop_classes = {found.sop_class_uid for found in wanted if found.sop_class_uid}
    if not sop_classes:
        return []
    arrived: set[Path] = set()

    def keep(event: evt.Event) -> int:
        uid = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
        if not is_valid_uid(uid):  # it becomes the name of a file
            return _INVALID_UID
        path = folder / f"{uid}.dcm"
        try:
            path.write_bytes(event.encoded_dataset())
        except OSError:
            return _OUT_OF_RESOURCES
        arrived.add(path)
        return 0

    limits = FetchLimits()
    answers = AnswerLimits(message_bytes=limits.object_bytes, bytes=limits.bytes)
    with open_association(
        peer,
        calling_ae,
        _contexts(sop_classes),
        provides=sop_classes,
        handlers=[(evt.EVT_C_STORE, keep)],
        answers=answers,
    ) as link:
        _require(link, _STUDY_ROOT_GET, "GET")
        for series_uid in dict.fromkeys(found.series_instance_uid for found in wanted):
            _get(link, study_uid, series_uid)
    return sorted(arrived)


def get_series(
    peer: Peer,
    calling_ae: str,
    study_uid: str,
    series_uid: str,
    take: Callable[[bytes], None],
    meter: Meter,
) -> int:
    """Fetch the instances of a series as Part 10 files by C-GET and give each to `take`; return how many.

    `take` is called in another thread, one at a time. Raises NodeError as `fetch_study`, FETCH_TOO_LARGE,
    FETCH_LATE, FETCH_INCOMPLETE when the peer could not send all, and what `take` raises.
    """
    meter.check_time()
    listed = list_instances(peer, calling_ae, study_uid, series=(series_uid,), meter=meter)
    meter.check_instances(len(listed))
    sop_classes = {one.sop_class_uid for one in listed if one.sop_class_uid}
    if not sop_classes:
        return 0
    intake = _Intake(take, meter)
    try:
        with (
            open_association(
                peer,
                calling_ae,
                _contexts(sop_classes),
                provides=sop_classes,
                handlers=[(evt.EVT_C_STORE, intake.keep)],
                answers=intake.limits,
            ) as link,
            meter.watching(link.drop),
        ):
            _require(link, _STUDY_ROOT_GET, "GET")
            intake.link = link
            _get(link, study_uid, series_uid)
    except NodeError as error:
        cause = intake.cause
        if cause is None:
            raise
        raise cause from error
    if intake.came < len(listed):
        reason, wanted = "it says that this is all", len(listed)
        raise NodeError(FETCH_INCOMPLETE, name=peer.name, came=intake.came, wanted=wanted, reason=reason)
    return intake.came


class _Intake:
    """Takes what a C-GET brings, in the thread of the association; came: how many instances."""

    def __init__(self, take: Callable[[bytes], None], meter: Meter) -> None:
        self._take, self._meter = take, meter
        left = meter.limits.bytes - meter.bytes
        self.limits = AnswerLimits(
            message_bytes=min(meter.limits.object_bytes, left) + _ENVELOPE, bytes=left + _ENVELOPE
        )
        self.came = 0
        self.link: Link | None = None
        self._failure: NodeError | None = None

    def keep(self, event: evt.Event) -> int:
        """Give an instance away as a Part 10 file; the status for the peer."""
        try:
            content = event.encoded_dataset()
            self._meter.count(1, len(content))
            self._take(content)
        except NodeError as error:  # the thread of the association cannot raise it to who asked
            self._failure = error
            if self.link is not None:
                self.link.drop()
            return _OUT_OF_RESOURCES
        self.came += 1
        return 0

    @property
    def cause(self) -> NodeError | None:
        """Why the association was ended from here; None where the peer, or the network, ended it."""
        over = "" if self.link is None else self.link.incoming.over
        if self._failure is None and over:
            return NodeError(FETCH_TOO_LARGE, name=self._meter.name, limit=over)
        return self._failure


def move_series(
    peer: Peer,
    calling_ae: str,
    study_uid: str,
    series_uid: str,
    meter: Meter,
    *,
    weigh: Callable[[], int] | None = None,
) -> int:
    """Let the peer send the instances of a series to our listening side, C-MOVE; return how many it sent.

    calling_ae is also the AE title that it sends to: the peer must know its host and port. Between two
    answers all the time may pass that `meter` leaves: images come meanwhile, by another association.
    weigh: how many bytes have come there; asked each second, in another thread.
    Raises NodeError as `fetch_study`, FETCH_LATE, FETCH_TOO_LARGE, FETCH_INCOMPLETE.
    """
    identifier = _series_identifier(study_uid, series_uid)
    contexts: list[ProposedContext] = [(_STUDY_ROOT_MOVE, (_EXPLICIT_LE, _IMPLICIT_LE))]
    done = 0
    with open_association(peer, calling_ae, contexts) as link, meter.watching(link.drop, weigh):
        _require(link, _STUDY_ROOT_MOVE, "MOVE")
        link.association.dimse_timeout = max(meter.left_s, 0.1)
        ask = partial(link.association.send_c_move, identifier, calling_ae, _STUDY_ROOT_MOVE)
        for status, _ in responses(link, "C-MOVE", ask):
            meter.check_time()
            code = status.get("Status")
            done = int(status.get("NumberOfCompletedSuboperations") or 0) or done
            failed = int(status.get("NumberOfFailedSuboperations") or 0)
            left = int(status.get("NumberOfRemainingSuboperations") or 0)
            meter.check_instances(done + left)
            if code == _SOME_FAILED or (code == 0 and failed):
                reason = f"status 0x{code:04X}, {query_status_text(code)}"
                wanted = done + failed + left
                raise NodeError(FETCH_INCOMPLETE, name=peer.name, came=done, wanted=wanted, reason=reason)
            if code not in {0, _PENDING}:
                raise query_failure(link, "C-MOVE", status)
    return done


def _require(link: Link, abstract_syntax: str, word: str) -> None:
    if not any(abstract == abstract_syntax for abstract, _ in link.accepted):
        raise NodeError(
            NO_PRESENTATION_CONTEXT,
            name=link.peer.name,
            sop_class=f"Study Root Query/Retrieve Information Model - {word}",
            transfer_syntax="Explicit or Implicit VR Little Endian",
        )


def _series_identifier(study_uid: str, series_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = study_uid
    identifier.SeriesInstanceUID = series_uid
    return identifier


def _get(link: Link, study_uid: str, series_uid: str) -> None:
    identifier = _series_identifier(study_uid, series_uid)
    ask = partial(link.association.send_c_get, identifier, _STUDY_ROOT_GET)
    for status, _ in responses(link, "C-GET", ask):
        if status.get("Status") not in {0, _PENDING}:
            raise query_failure(link, "C-GET", status)


def _contexts(sop_classes: Collection[str]) -> list[ProposedContext]:
    """As many transfer syntaxes for each SOP Class as fit into one association."""
    syntaxes = _STORED_AS[: max(1, (MAXIMUM_CONTEXTS - 1) // len(sop_classes))]
    query: ProposedContext = (_STUDY_ROOT_GET, (_EXPLICIT_LE, _IMPLICIT_LE))
    storage: list[ProposedContext] = [
        (sop_class, (syntax,)) for sop_class in sorted(sop_classes) for syntax in syntaxes
    ]
    return [query, *storage]
