"""What became of a file that was to be sent: from the peer's status to one of three words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from dicomnode.deliver.proposal import ObjectHeader
from dicomnode.faults import PEER_BUSY, STORE_REFUSED, NodeError
from dicomnode.net import status_text

Word = Literal["stored", "retry", "refused"]


class OutcomeRow(NamedTuple):
    """Statuses from `first` to `last`, and what they make of a file."""

    first: int
    last: int
    outcome: Word


# PS3.4 table B.2-1, PS3.7 Annex C. The first row that holds a status counts. A status that no row holds
# is a refusal: what nobody knows must never pass for stored.
OUTCOMES: Final[tuple[OutcomeRow, ...]] = (
    OutcomeRow(0x0000, 0x0000, "stored"),
    OutcomeRow(0x0107, 0x0107, "stored"),  # warning: attribute list error
    OutcomeRow(0x0116, 0x0116, "stored"),  # warning: attribute value out of range
    OutcomeRow(0x0111, 0x0111, "stored"),  # duplicate SOP Instance: an earlier try got there, unanswered
    OutcomeRow(0xB000, 0xBFFF, "stored"),  # warnings: coerced, elements dropped, does not fit …
    OutcomeRow(0x0110, 0x0110, "retry"),  # processing failure: archives say it when their database is away
    OutcomeRow(0x0213, 0x0213, "retry"),  # resource limitation
    OutcomeRow(0xA700, 0xA7FF, "retry"),  # out of resources
    OutcomeRow(0xFE00, 0xFE00, "retry"),  # cancelled, by somebody at the peer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """What became of one file.

    sop_instance_uid: "" when the file could not be read. status: of the C-STORE response, None when there
    was none. fault: why it is not stored; None when it is, and when it was not tried because of a stop.
    note: what else the peer said ("stored, but the peer changed some attributes"), "" for nothing.
    """

    path: Path
    sop_instance_uid: str
    outcome: Word
    status: int | None = None
    fault: NodeError | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """The outcome in words, for the journal and for people."""
        return str(self.fault) if self.fault is not None else self.note or self.outcome


def outcome_of(status: int) -> Word:
    """What the status of a C-STORE response makes of the file."""
    for row in OUTCOMES:
        if row.first <= status <= row.last:
            return row.outcome
    return "refused"


def answered(header: ObjectHeader, status: int, peer_name: str) -> FileOutcome:
    """Make the outcome of an object from the status that the peer answered."""
    word, meaning = outcome_of(status), status_text(status)
    fault: NodeError | None = None
    if word != "stored":
        fault = NodeError(
            PEER_BUSY if word == "retry" else STORE_REFUSED,
            name=peer_name,
            sop_class=header.sop_class,
            sop_instance_uid=header.sop_instance_uid,
            status=status,
            meaning=meaning,
        )
    return FileOutcome(
        path=header.path,
        sop_instance_uid=header.sop_instance_uid,
        outcome=word,
        status=status,
        fault=fault,
        note=f"0x{status:04X}: {meaning}" if word == "stored" and status else "",
    )
