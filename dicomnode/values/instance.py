"""A SOP Instance as the node holds it: where the bytes lie and what the sender said of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sent an instance: AE titles of the association and the peer's address. No patient data.

    fetched: this node asked for it, by C-GET, WADO-RS or C-MOVE (Move Originator AE Title, PS3.7 9.1.1.1).
    """

    calling_ae: str
    called_ae: str
    address: str
    fetched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One SOP Instance in the store.

    path: Part 10 file, bytes of the data set as they were received.
    size: bytes of the whole file; digest: XXH3-64 of everything behind the preamble, 16 hex digits.
    received_at: time-zone aware, UTC.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    size: int
    digest: str
    received_at: datetime
    sender: Sender

    def __post_init__(self) -> None:
        if self.received_at.tzinfo is None:
            raise ValueError("Instance.received_at must carry a time zone")
        if self.size <= 0:
            raise ValueError(f"Instance.size must be > 0 bytes, got {self.size!r}")
