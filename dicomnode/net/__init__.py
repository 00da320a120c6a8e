"""What both sides of the network share: peers, associations, presentation contexts, queries, status words.

Names are loaded when first used: most of them need pynetdicom, and `dicomnode --help` must not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.net.association import Link, NoAnswer, open_association
    from dicomnode.net.commitment import Committed, report_commitment
    from dicomnode.net.dicomweb import retrieve_series
    from dicomnode.net.limits import FetchLimits, Meter
    from dicomnode.net.login import Login, Trust
    from dicomnode.net.peer import Peer, is_ae_title
    from dicomnode.net.priors import (
        FoundSeries,
        FoundStudy,
        Patient,
        PriorQuery,
        day_of,
        find_earlier,
        find_series,
        time_of,
    )
    from dicomnode.net.qido import count_by_web
    from dicomnode.net.query import StudyCount, count_instances, find_instances
    from dicomnode.net.quiet import quiet_pynetdicom
    from dicomnode.net.retrieve import fetch_study, get_series, move_series
    from dicomnode.net.status import abort_text, rejection_text, status_text
    from dicomnode.net.verification import echo, probe
    from dicomnode.net.web import WebPeer

_HOMES = {
    "association": ("Link", "NoAnswer", "open_association"),
    "commitment": ("Committed", "report_commitment"),
    "dicomweb": ("retrieve_series",),
    "limits": ("FetchLimits", "Meter"),
    "login": ("Login", "Trust"),
    "peer": ("Peer", "is_ae_title"),
    "priors": (
        "FoundSeries",
        "FoundStudy",
        "Patient",
        "PriorQuery",
        "day_of",
        "find_earlier",
        "find_series",
        "time_of",
    ),
    "qido": ("count_by_web",),
    "query": ("StudyCount", "count_instances", "find_instances"),
    "quiet": ("quiet_pynetdicom",),
    "retrieve": ("fetch_study", "get_series", "move_series"),
    "status": ("abort_text", "rejection_text", "status_text"),
    "verification": ("echo", "probe"),
    "web": ("WebPeer",),
}

__all__ = [
    "Committed",
    "FetchLimits",
    "FoundSeries",
    "FoundStudy",
    "Link",
    "Login",
    "Meter",
    "NoAnswer",
    "Patient",
    "Peer",
    "PriorQuery",
    "StudyCount",
    "Trust",
    "WebPeer",
    "abort_text",
    "count_by_web",
    "count_instances",
    "day_of",
    "echo",
    "fetch_study",
    "find_earlier",
    "find_instances",
    "find_series",
    "get_series",
    "is_ae_title",
    "move_series",
    "open_association",
    "probe",
    "quiet_pynetdicom",
    "rejection_text",
    "report_commitment",
    "retrieve_series",
    "status_text",
    "time_of",
]

__getattr__ = lazy_face(__name__, _HOMES)
