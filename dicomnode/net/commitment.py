"""Storage commitment: telling who asked what is committed (as the SCP), and asking for it (as the SCU).

PS3.4 J.3. The answer to a request may come on the same association, or on one that the archive opens hours
later, which the receiver takes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import evt

from dicomnode.faults import COMMITMENT_NOT_REPORTED, COMMITMENT_REFUSED, QUERY_FAILED, NodeError
from dicomnode.net.association import VERIFICATION_TOO, open_association
from dicomnode.net.peer import Peer
from dicomnode.net.query import told
from dicomnode.store.foreign import UNREADABLE, quiet

_CLASS: Final = "1.2.840.10008.1.20.1"
_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # the well-known one, PS3.4 J.3.5
_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_COMMIT: Final = 1  # action type, PS3.4 table J.3-1
_PROCESSING_FAILURE: Final = 0x0110  # PS3.3 C.14.1.1
_SAME_ASSOCIATION_S: Final = 1.0  # who answers on the same association does so at once
_ALL_COMMITTED: Final = 1  # event types, PS3.4 table J.3-2
_SOME_FAILED: Final = 2


class Committed(NamedTuple):
    """An instance of a request. failure: Failure Reason (0008,1197), PS3.3 C.14.1.1; None: committed."""

    sop_instance_uid: str
    sop_class_uid: str
    failure: int | None


def report_commitment(peer: Peer, calling_ae: str, transaction: str, outcome: Sequence[Committed]) -> None:
    """Send the N-EVENT-REPORT of a request on an association of its own.

    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, or COMMITMENT_NOT_REPORTED when it was not taken.
    """
    failed = [one for one in outcome if one.failure is not None]
    event = _SOME_FAILED if failed else _ALL_COMMITTED
    with open_association(peer, calling_ae, [(_CLASS, _SYNTAXES)], provides=[_CLASS]) as link:
        if not link.accepted:
            raise _not_taken(peer, transaction, "it does not accept the Storage Commitment SOP Class")
        for context in link.association.accepted_contexts:
            # Some that take reports answer the role selection with nothing (PS3.7 D.3.3.4 allows to), and
            # mean that there is one role only that a report can come in
            context._as_scp = True  # noqa: SLF001
        report, status = _information(transaction, outcome), Dataset()
        with suppress(RuntimeError):  # the association has ended since it was opened: there is no answer
            status, _ = link.association.send_n_event_report(report, event, _CLASS, _INSTANCE)
        if "Status" not in status:
            reason = f"no answer within {peer.timeout_s:g} s, or the association ended"
            raise _not_taken(peer, transaction, reason)
        if status.Status != 0:
            raise _not_taken(peer, transaction, f"status 0x{status.Status:04X}")


def _not_taken(peer: Peer, transaction: str, error: str) -> NodeError:
    return NodeError(
        COMMITMENT_NOT_REPORTED, calling_ae=peer.ae_title, transaction_uid=transaction, error=error
    )


def _information(transaction: str, outcome: Sequence[Committed]) -> Dataset:
    """Event Information, PS3.4 table J.3-2."""
    told = Dataset()
    told.TransactionUID = transaction
    good = [_item(one) for one in outcome if one.failure is None]
    failed = [_item(one) for one in outcome if one.failure is not None]
    if good:
        told.ReferencedSOPSequence = Items(good)
    if failed:
        told.FailedSOPSequence = Items(failed)
    return told


def _item(one: Committed) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.sop_class_uid
    item.ReferencedSOPInstanceUID = one.sop_instance_uid
    if one.failure is not None:
        item.FailureReason = one.failure
    return item


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentAnswer:
    """What an archive says of a request. failed: SOP Instance UID → Failure Reason (0008,1197)."""

    committed: frozenset[str]
    failed: Mapping[str, int]


@dataclass(slots=True)
class _Ear:
    """Hears the reports that come on the association of a request: to it, and to earlier ones."""

    transaction: str
    heard: threading.Event = field(default_factory=threading.Event)
    answers: dict[str, CommitmentAnswer] = field(default_factory=dict)

    def on_report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Take an N-EVENT-REPORT."""
        try:
            with quiet():
                said = event.event_information
                transaction = str(told(said, "TransactionUID"))
                self.answers[transaction] = _read(said)
                if transaction == self.transaction:
                    self.heard.set()
        except UNREADABLE:
            return _PROCESSING_FAILURE, None
        return 0x0000, None


def request_commitment(
    peer: Peer, calling_ae: str, transaction: str, instances: Sequence[tuple[str, str]]
) -> Mapping[str, CommitmentAnswer]:
    """Ask a peer to commit itself to the storage of instances (N-ACTION, PS3.4 J.3.2).

    instances: (SOP Instance UID, SOP Class UID). Gives what it answers on this association, by Transaction
    UID: this request at once, or earlier ones, which some archives answer on the next one. Raises NodeError
    PEER_UNREACHABLE, PEER_REJECTED, QUERY_FAILED where it does not answer the request, COMMITMENT_REFUSED
    where it does not offer it or refuses the request.
    """
    ear = _Ear(transaction)
    handlers = [(evt.EVT_N_EVENT_REPORT, ear.on_report)]
    proposed = [(_CLASS, _SYNTAXES), VERIFICATION_TOO]
    with open_association(peer, calling_ae, proposed, handlers=handlers) as link:
        if not any(uid == _CLASS for uid, _ in link.accepted):
            raise _refused(peer, "it does not offer it")
        asked = Dataset()
        asked.TransactionUID = transaction
        asked.ReferencedSOPSequence = Items([_item(Committed(uid, of, None)) for uid, of in instances])
        status = Dataset()
        with suppress(RuntimeError):  # as above
            status, _ = link.association.send_n_action(asked, _COMMIT, _CLASS, _INSTANCE)
        if "Status" not in status:
            reason = f"no answer within {peer.timeout_s:g} s, or the association ended"
            raise NodeError(
                QUERY_FAILED,
                name=peer.name,
                request="a request for storage commitment",
                reason=reason,
                calling_ae=calling_ae,
            )
        if status.Status != 0:
            raise _refused(peer, f"status 0x{status.Status:04X}")
        ear.heard.wait(min(_SAME_ASSOCIATION_S, peer.timeout_s))
    return dict(ear.answers)


def _read(said: Dataset) -> CommitmentAnswer:
    """Event Information of a report. Raises one of UNREADABLE where it is none."""
    committed = {str(item.ReferencedSOPInstanceUID) for item in said.get("ReferencedSOPSequence") or ()}
    failed = {
        str(item.ReferencedSOPInstanceUID): int(told(item, "FailureReason") or _PROCESSING_FAILURE)
        for item in said.get("FailedSOPSequence") or ()
    }
    return CommitmentAnswer(committed=frozenset(committed - failed.keys()), failed=failed)


def _refused(peer: Peer, reason: str) -> NodeError:
    return NodeError(COMMITMENT_REFUSED, name=peer.name, reason=reason)
