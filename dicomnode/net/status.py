"""What a peer's numbers mean, in words for those who run it.

Each table cites where the standard defines it. The words say what the peer did, not what the standard
calls it, where the two differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class StatusRow(NamedTuple):
    """Statuses from `first` to `last`, what they mean, and where that is written."""

    first: int
    last: int
    meaning: str
    source: str


# The first row that holds a status is the one that counts: single ones stand above their range.
STORE_STATUSES: Final[tuple[StatusRow, ...]] = (
    StatusRow(0x0000, 0x0000, "stored", "PS3.4 B.2.3"),
    StatusRow(0x0105, 0x0105, "it knows no such attribute", "PS3.7 C"),
    StatusRow(0x0106, 0x0106, "an attribute has a value that it does not allow", "PS3.7 C"),
    StatusRow(0x0107, 0x0107, "stored, but some attributes were not understood", "PS3.7 C"),
    StatusRow(0x0110, 0x0110, "something failed while it handled the object", "PS3.7 C"),
    StatusRow(0x0111, 0x0111, "it holds an object with this SOP Instance UID already", "PS3.7 C"),
    StatusRow(0x0112, 0x0112, "it knows no such SOP Instance", "PS3.7 C"),
    StatusRow(0x0113, 0x0113, "it knows no such event type", "PS3.7 C"),
    StatusRow(0x0114, 0x0114, "it knows no such argument", "PS3.7 C"),
    StatusRow(0x0115, 0x0115, "an argument has a value that it does not allow", "PS3.7 C"),
    StatusRow(0x0116, 0x0116, "stored, but the value of an attribute was out of range", "PS3.7 C"),
    StatusRow(0x0117, 0x0117, "the SOP Instance UID is not a valid one", "PS3.7 C"),
    StatusRow(0x0118, 0x0118, "it does not know this SOP Class", "PS3.7 C"),
    StatusRow(0x0119, 0x0119, "the SOP Instance is not of the SOP Class that was named", "PS3.7 C"),
    StatusRow(0x0120, 0x0120, "an attribute is missing that it needs", "PS3.7 C"),
    StatusRow(0x0121, 0x0121, "an attribute is empty that it needs", "PS3.7 C"),
    StatusRow(0x0122, 0x0122, "it does not support this SOP Class", "PS3.7 C"),
    StatusRow(0x0123, 0x0123, "it knows no such action", "PS3.7 C"),
    StatusRow(0x0124, 0x0124, "this node is not allowed to store there", "PS3.7 C"),
    StatusRow(0x0210, 0x0210, "the Message ID is in use already", "PS3.7 C"),
    StatusRow(0x0211, 0x0211, "it does not know this operation", "PS3.7 C"),
    StatusRow(0x0212, 0x0212, "an argument of the request has the wrong type", "PS3.7 C"),
    StatusRow(0x0213, 0x0213, "it has too few resources", "PS3.7 C"),
    StatusRow(0xA700, 0xA7FF, "it is out of resources, mostly disk space", "PS3.4 B.2.3"),
    StatusRow(0xA900, 0xA9FF, "the data set does not fit its SOP Class", "PS3.4 B.2.3"),
    StatusRow(0xB000, 0xB000, "stored, but the peer changed some attributes", "PS3.4 B.2.3"),
    StatusRow(0xB006, 0xB006, "stored, but the peer dropped some elements", "PS3.4 B.2.3"),
    StatusRow(0xB007, 0xB007, "stored, though the data set does not fit its SOP Class", "PS3.4 B.2.3"),
    StatusRow(0xB000, 0xBFFF, "stored, with a warning of the peer's own", "PS3.7 C.4"),
    StatusRow(0xC000, 0xCFFF, "it cannot understand the object", "PS3.4 B.2.3"),
    StatusRow(0xA000, 0xAFFF, "it failed for a reason of its own", "PS3.7 C.5"),
    StatusRow(0xFE00, 0xFE00, "it cancelled the operation", "PS3.7 C.3"),
    StatusRow(0xFF00, 0xFF01, "it says that the operation still runs", "PS3.7 C.2"),
)

# (C-FIND, C-GET) PS3.4 tables C.4-1 and C.4-3; those that differ from storing
QUERY_STATUSES: Final[tuple[StatusRow, ...]] = (
    StatusRow(0x0000, 0x0000, "done", "PS3.4 C.4"),
    StatusRow(0x0122, 0x0122, "it does not support this kind of query", "PS3.7 C"),
    StatusRow(0x0124, 0x0124, "this node is not allowed to ask", "PS3.7 C"),
    StatusRow(0xA701, 0xA701, "it is out of resources: it cannot count the matches", "PS3.4 C.4.3.1.4"),
    StatusRow(0xA702, 0xA702, "it is out of resources: it cannot send the objects", "PS3.4 C.4.3.1.4"),
    StatusRow(0xA700, 0xA7FF, "it is out of resources", "PS3.4 C.4.1.1.4"),
    StatusRow(0xA900, 0xA9FF, "the query does not fit its SOP Class", "PS3.4 C.4.1.1.4"),
    StatusRow(0xB000, 0xB000, "some objects could not be sent", "PS3.4 C.4.3.1.4"),
    StatusRow(0xC000, 0xCFFF, "it cannot process the query", "PS3.4 C.4.1.1.4"),
    StatusRow(0xFE00, 0xFE00, "it cancelled the query", "PS3.4 C.4.1.1.4"),
)

# PS3.8 table 9-21: (source, reason) of an A-ASSOCIATE-RJ
REJECTIONS: Final[Mapping[tuple[int, int], str]] = {
    (1, 1): "it gives no reason",
    (1, 2): "it does not know the DICOM application context",
    (1, 3): "it does not know the calling AE title",
    (1, 7): "it does not go by the called AE title",
    (2, 1): "it gives no reason (its association control)",
    (2, 2): "it does not speak this version of the protocol",
    (3, 1): "it is congested for the moment",
    (3, 2): "it has as many associations as it allows",
}

_RESULTS: Final[Mapping[int, str]] = {1: "for good", 2: "for the moment"}

# PS3.8 table 9-26: reason of an A-ABORT whose source is the service provider (2)
ABORTS: Final[Mapping[int, str]] = {
    0: "it gives no reason",
    1: "it did not recognize a PDU",
    2: "it did not expect this PDU",
    4: "it did not recognize a parameter of a PDU",
    5: "it did not expect a parameter of a PDU",
    6: "a parameter of a PDU had a value that it does not allow",
}


def _meaning(table: tuple[StatusRow, ...], status: int) -> str:
    for row in table:
        if row.first <= status <= row.last:
            return row.meaning
    return "the standard does not define this status here"


def status_text(status: int) -> str:
    """Say what the status of a C-STORE response means (PS3.4 table B.2-1, PS3.7 Annex C)."""
    return _meaning(STORE_STATUSES, status)


def query_status_text(status: int) -> str:
    """Say what the status of a C-FIND or C-GET response means (PS3.4 C.4, PS3.7 Annex C)."""
    return _meaning((*QUERY_STATUSES, *STORE_STATUSES), status)


def rejection_text(result: int, source: int, reason: int) -> str:
    """Say what the result, source and reason of an A-ASSOCIATE-RJ mean (PS3.8 table 9-21)."""
    words = REJECTIONS.get((source, reason), "it gives a reason that the standard does not define")
    return f"{words} (result {result}, {_RESULTS.get(result, 'undefined')}; source {source}, reason {reason})"


def abort_text(source: int, reason: int) -> str:
    """Say what the source and reason of an A-ABORT mean (PS3.8 table 9-26)."""
    if source == 0:  # the service user: then the reason is not significant
        return "it aborted the association (source 0, its application)"
    words = ABORTS.get(reason, "it gives a reason that the standard does not define")
    return f"it aborted the association: {words} (source {source}, reason {reason})"
