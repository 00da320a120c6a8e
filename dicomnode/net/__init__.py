"""What both sides of the network share: peers, associations, presentation contexts, queries, status words.

Names are loaded when first used: most of them need pynetdicom, and `dicomnode --help` must not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.net.association import Link, NoAnswer, open_association
    from dicomnode.net.peer import Peer, is_ae_title
    from dicomnode.net.query import find_instances
    from dicomnode.net.quiet import quiet_pynetdicom
    from dicomnode.net.retrieve import fetch_study
    from dicomnode.net.status import abort_text, rejection_text, status_text
    from dicomnode.net.verification import echo

_HOMES = {
    "association": ("Link", "NoAnswer", "open_association"),
    "peer": ("Peer", "is_ae_title"),
    "query": ("find_instances",),
    "quiet": ("quiet_pynetdicom",),
    "retrieve": ("fetch_study",),
    "status": ("abort_text", "rejection_text", "status_text"),
    "verification": ("echo",),
}

__all__ = [
    "Link",
    "NoAnswer",
    "Peer",
    "abort_text",
    "echo",
    "fetch_study",
    "find_instances",
    "is_ae_title",
    "open_association",
    "quiet_pynetdicom",
    "rejection_text",
    "status_text",
]

__getattr__ = lazy_face(__name__, _HOMES)
