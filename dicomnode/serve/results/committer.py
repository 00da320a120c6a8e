"""The committer: tells who asked for storage commitment what really lies on the disk of this node."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from dicomnode.deliver import next_try_s
from dicomnode.faults import COMMITMENT_NOT_REPORTED, NodeError
from dicomnode.journal import Commitment, Holding, Journal, Reference, ReportState
from dicomnode.net import Committed, Peer, report_commitment
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.work.clerk import TROUBLE_S
from dicomnode.settings import Settings
from dicomnode.store import verify

log = structlog.get_logger("dicomnode.serve")

_IDLE_S: Final = 0.5
_TIMEOUT_S: Final = 30.0
_TRIES: Final = 8
_FIRST_S: Final = 5.0
_LONGEST_S: Final = 600.0
_NO_JITTER: Final = 0.5

# Failure Reason (0008,1197), PS3.3 C.14.1.1
_PROCESSING_FAILURE: Final = 0x0110
_NO_SUCH_INSTANCE: Final = 0x0112
_CLASS_CONFLICT: Final = 0x0119


class Committer:
    """Answers commitment requests, one after the other, until `stopping`."""

    def __init__(self, settings: Settings, journal: Journal, stopping: threading.Event) -> None:
        self._settings = settings
        self._journal = journal
        self._stopping = stopping
        self.turned_at = time.monotonic()

    def run(self) -> None:
        """Work until told to stop."""
        while not self._stopping.is_set():
            self.turned_at = time.monotonic()
            try:
                if not self.turn(datetime.now(UTC)):
                    self._stopping.wait(_IDLE_S)
            except NodeError as error:
                log.error("commitment.failed", **fault_facts(error))
                self._stopping.wait(TROUBLE_S)

    def turn(self, now: datetime) -> bool:
        """Answer one request whose time has come; tell whether there was one. Raises NodeError."""
        wanted = self._journal.due_commitment(now)
        if wanted is None:
            return False
        outcome = self._outcome(wanted.references)
        try:
            report_commitment(
                self._peer(wanted), self._settings.node.ae_title, wanted.transaction_uid, outcome
            )
        except NodeError as error:
            self._not_told(wanted, error)
            return True
        self._journal.commitment_reported(wanted.name, ReportState.SENT, datetime.now(UTC))
        log.info(
            "commitment.reported",
            calling_ae=wanted.calling_ae,
            transaction=wanted.transaction_uid,
            committed=sum(one.failure is None for one in outcome),
            failed=sum(one.failure is not None for one in outcome),
        )
        return True

    def _peer(self, wanted: Commitment) -> Peer:
        """Where reports to the sender go. Raises NodeError(COMMITMENT_NOT_REPORTED) if that is not known."""
        for sender in self._settings.sender:
            if sender.ae_title.strip() == wanted.calling_ae and sender.commitment_port:
                return Peer(
                    wanted.calling_ae, wanted.calling_ae, wanted.address, sender.commitment_port, _TIMEOUT_S
                )
        raise NodeError(
            COMMITMENT_NOT_REPORTED,
            calling_ae=wanted.calling_ae,
            transaction_uid=wanted.transaction_uid,
            error="its [[sender]] has no commitment_port",
        )

    def _not_told(self, wanted: Commitment, error: NodeError) -> None:
        attempt = wanted.attempt + 1
        over = error.fault is COMMITMENT_NOT_REPORTED or attempt >= _TRIES
        state = ReportState.GIVEN_UP if over else ReportState.WANTED
        log.warning("commitment.not_reported", attempt=attempt, state=str(state), **fault_facts(error))
        wait_s = next_try_s(attempt, _FIRST_S, _LONGEST_S, _NO_JITTER)
        self._journal.commitment_reported(wanted.name, state, datetime.now(UTC), wait_s)

    def _outcome(self, references: Sequence[Reference]) -> list[Committed]:
        holdings = self._journal.holdings([one.sop_instance_uid for one in references])
        return [
            Committed(
                one.sop_instance_uid, one.sop_class_uid, _failure(one, holdings.get(one.sop_instance_uid, []))
            )
            for one in references
        ]


def _failure(wanted: Reference, copies: Sequence[Holding]) -> int | None:
    """Why an instance is not committed; None when a copy is on the disk as it came, read again now."""
    if not copies:
        return _NO_SUCH_INSTANCE
    of_class = [copy for copy in copies if copy.sop_class_uid == wanted.sop_class_uid]
    if not of_class:
        return _CLASS_CONFLICT
    return None if any(_is_whole(copy.path, copy.digest) for copy in of_class) else _PROCESSING_FAILURE


def _is_whole(path: Path, digest: str) -> bool:
    try:
        sealed = verify(path)
    except OSError:
        return False
    return sealed is not None and sealed.digest == digest
