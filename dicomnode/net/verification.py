"""C-ECHO: whether the peer answers, and knows us (PS3.4 Annex A); and what it would take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pydicom.dataset import Dataset

from dicomnode.faults import ECHO_FAILED, NodeError
from dicomnode.net.association import VERIFICATION, open_association
from dicomnode.net.peer import Peer
from dicomnode.net.status import query_status_text

_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"


def echo(peer: Peer, calling_ae: str) -> None:
    """Send a C-ECHO and return when it was answered with success.

    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, or ECHO_FAILED with the reason.
    """
    probe(peer, calling_ae, ())


def probe(peer: Peer, calling_ae: str, classes: Sequence[str]) -> dict[str, bool]:
    """Echo, and tell which SOP Classes the peer takes of those that are proposed in the same association.

    classes: UIDs, at most 127. Raises NodeError as `echo`.
    """
    proposed = [(uid, (_EXPLICIT_LE, _IMPLICIT_LE)) for uid in (VERIFICATION, *classes)]
    with open_association(peer, calling_ae, proposed) as link:
        accepted = {uid for uid, _ in link.accepted}
        if VERIFICATION not in accepted:
            reason = "it does not accept the Verification SOP Class"
            raise NodeError(ECHO_FAILED, name=peer.name, reason=reason)
        status = Dataset()
        with suppress(RuntimeError):  # the association has ended since it was opened: there is no answer
            status = link.association.send_c_echo()
        if "Status" not in status:
            reason = f"no answer within {peer.timeout_s:g} s, or the association ended"
            raise NodeError(ECHO_FAILED, name=peer.name, reason=reason)
        if status.Status != 0:
            reason = f"status 0x{status.Status:04X}: {query_status_text(status.Status)}"
            raise NodeError(ECHO_FAILED, name=peer.name, reason=reason)
    return {uid: uid in accepted for uid in classes}
