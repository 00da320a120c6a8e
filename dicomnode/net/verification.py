"""C-ECHO: whether the peer answers, and knows us (PS3.4 Annex A)."""

from __future__ import annotations

from typing import Final

from dicomnode.faults import ECHO_FAILED, NodeError
from dicomnode.net.association import open_association
from dicomnode.net.peer import Peer
from dicomnode.net.status import query_status_text

VERIFICATION: Final = "1.2.840.10008.1.1"
_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"


def echo(peer: Peer, calling_ae: str) -> None:
    """Send a C-ECHO and return when it was answered with success.

    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, or ECHO_FAILED with the reason.
    """
    with open_association(peer, calling_ae, [(VERIFICATION, (_EXPLICIT_LE, _IMPLICIT_LE))]) as link:
        if not link.accepted:
            reason = "it does not accept the Verification SOP Class"
            raise NodeError(ECHO_FAILED, name=peer.name, reason=reason)
        status = link.association.send_c_echo()
        if "Status" not in status:
            reason = f"no answer within {peer.timeout_s:g} s, or the association ended"
            raise NodeError(ECHO_FAILED, name=peer.name, reason=reason)
        if status.Status != 0:
            reason = f"status 0x{status.Status:04X}: {query_status_text(status.Status)}"
            raise NodeError(ECHO_FAILED, name=peer.name, reason=reason)
