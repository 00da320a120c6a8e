"""Storage commitment, as the SCP: telling the requestor what is committed (PS3.4 J.3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomnode.faults import COMMITMENT_NOT_REPORTED, NodeError
from dicomnode.net.association import open_association
from dicomnode.net.peer import Peer

_CLASS: Final = "1.2.840.10008.1.20.1"
_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # the well-known one, PS3.4 J.3.5
_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
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
        status, _ = link.association.send_n_event_report(
            _information(transaction, outcome), event, _CLASS, _INSTANCE
        )
        if "Status" not in status:
            raise _not_taken(peer, transaction, f"no answer within {peer.timeout_s:g} s")
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
