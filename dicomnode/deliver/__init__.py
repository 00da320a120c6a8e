"""From objects to a confirmed delivery: sending, what each answer means, and when to try again.

Names are loaded when first used: those that send need pynetdicom, and `next_try_s` must not cost it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.deliver.dimse import send_files
    from dicomnode.deliver.hours import open_between, opens_at
    from dicomnode.deliver.outcome import FileOutcome
    from dicomnode.deliver.plan import Decision, decide, peer_of
    from dicomnode.deliver.push import PushFailure, PushResult, push_study
    from dicomnode.deliver.readback import ReadBack, differing_tags, read_back
    from dicomnode.deliver.retry import next_try_s
    from dicomnode.deliver.route import Route, route_to

_HOMES = {
    "dimse": ("send_files",),
    "hours": ("open_between", "opens_at"),
    "outcome": ("FileOutcome",),
    "plan": ("Decision", "decide", "peer_of"),
    "push": ("PushFailure", "PushResult", "push_study"),
    "readback": ("ReadBack", "differing_tags", "read_back"),
    "retry": ("next_try_s",),
    "route": ("Route", "route_to"),
}

__all__ = [
    "Decision",
    "FileOutcome",
    "PushFailure",
    "PushResult",
    "ReadBack",
    "Route",
    "decide",
    "differing_tags",
    "next_try_s",
    "open_between",
    "opens_at",
    "peer_of",
    "push_study",
    "read_back",
    "route_to",
    "send_files",
]

__getattr__ = lazy_face(__name__, _HOMES)
