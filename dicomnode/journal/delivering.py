"""The face of the journal for deliveries and their confirmation; each method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy import Engine

from dicomnode.journal import confirmations, deliveries, origins, postponing, released, tasks, waiting
from dicomnode.journal.confirmations import AskedCommitment, Unconfirmed
from dicomnode.journal.connection import reading, writing
from dicomnode.journal.postponing import Closed
from dicomnode.journal.records import (
    Confirmation,
    DeliveryOutcome,
    DeliveryRecord,
    ObjectRecord,
    TaskRecord,
)
from dicomnode.journal.transitions import TaskKind
from dicomnode.journal.waiting import Backlog
from dicomnode.values import Sender


class Delivering:
    """What `Journal` can do about what destinations get, take, keep and lose."""

    _engine: Engine

    def reports_at(self, study_uid: str, destination: str) -> list[ObjectRecord]:
        """Reports on a study that a destination has, or may have, and that nobody rejected, by version."""
        with reading(self._engine) as connection:
            return deliveries.reports_at(connection, study_uid, destination)

    def undelivered(self, task: TaskRecord) -> list[ObjectRecord]:
        """What the destination of a deliver task shall get of its study version and has not stored."""
        with reading(self._engine) as connection:
            return deliveries.undelivered(connection, task)

    def record_delivery(
        self,
        task: TaskRecord,
        sop_instance_uid: str,
        outcome: DeliveryOutcome,
        status: int | None,
        text: str,
        now: datetime,
    ) -> None:
        """Write what the task's destination said of an object; raises NodeError(LEASE_LOST)."""
        said = deliveries.Answer(sop_instance_uid=sop_instance_uid, outcome=outcome, status=status, text=text)
        with writing(self._engine) as connection:
            tasks.held(connection, task)
            deliveries.answer(connection, task, said, now)

    def deliveries(self, study_uid: str) -> list[DeliveryRecord]:
        """All deliveries of a study and what the destinations said."""
        with reading(self._engine) as connection:
            return deliveries.of_study(connection, study_uid)

    def release_results(self, study_uid: str, destination: str | None, by: str, now: datetime) -> list[str]:
        """Let held results of a study go, to one destination or all; give which. by: who says so."""
        with writing(self._engine) as connection:
            return released.release_results(connection, study_uid, destination, by, now)

    def held(self, study_uid: str | None = None, destination: str | None = None) -> dict[str, list[str]]:
        """Which destinations results are held for: Study Instance UID → names; of all, or of one."""
        with reading(self._engine) as connection:
            return released.held(connection, study_uid, destination)

    def backlogs(self) -> dict[str, Backlog]:
        """How much waits for each destination, and how long: by name, those that something waits for."""
        with reading(self._engine) as connection:
            return waiting.backlogs(connection)

    def origin(self, study_uid: str, version: int) -> Sender | None:
        """Who sent the latest image of a study version; None where that is not known."""
        with reading(self._engine) as connection:
            return origins.origin(connection, study_uid, version)

    def postpone(
        self, kinds: Collection[TaskKind], closed: Closed, unless: Callable[[TaskRecord], bool], now: datetime
    ) -> int:
        """Let tasks of a destination that gets nothing now wait until it does; give how many.

        unless: tells of a task that it is not to be put off.
        """
        with writing(self._engine) as connection:
            return postponing.postpone(connection, kinds, closed, unless, now)

    def note_classes(self, destination: str, accepted: Mapping[str, bool], now: datetime) -> None:
        """Keep what a destination said of SOP Classes (by UID) when contexts were negotiated."""
        with writing(self._engine) as connection:
            confirmations.note_classes(connection, destination, accepted, now)

    def refused_classes(self, destination: str, since: datetime) -> frozenset[str]:
        """SOP Classes that a destination refused when it was asked last, and not before `since`."""
        with reading(self._engine) as connection:
            return confirmations.refused_classes(connection, destination, since)

    def unconfirmed(self, task: TaskRecord) -> list[Unconfirmed]:
        """What the destination of a confirm task has stored and nothing tells yet that it keeps."""
        with reading(self._engine) as connection:
            return confirmations.unconfirmed(connection, task)

    def confirm(self, task: TaskRecord, uids: Collection[str], by: Confirmation, now: datetime) -> None:
        """Write by what it is known that the destination keeps objects; raises NodeError(LEASE_LOST)."""
        with writing(self._engine) as connection:
            tasks.held(connection, task)
            confirmations.confirm(connection, task, uids, by, now)

    def lose(self, task: TaskRecord, uids: Collection[str], why: str, now: datetime) -> None:
        """Write that the destination has not what it said it stored: a deliver task sends it again.

        why: a sentence. Raises NodeError(LEASE_LOST).
        """
        with writing(self._engine) as connection:
            tasks.held(connection, task)
            confirmations.lose(connection, task, uids, why, now)

    def ask_commitment(self, task: TaskRecord, transaction_uid: str, now: datetime) -> None:
        """Write that storage commitment is asked for, before the asking; raises NodeError(LEASE_LOST)."""
        with writing(self._engine) as connection:
            tasks.held(connection, task)
            confirmations.ask(connection, task, transaction_uid, now)

    def asked_commitment(self, task: TaskRecord) -> AskedCommitment | None:
        """The last commitment that was asked for in a task, with the answer where it came."""
        with reading(self._engine) as connection:
            return confirmations.asked(connection, task)

    def settle_commitment(self, transaction_uid: str) -> None:
        """Forget a commitment that was asked for: it is answered, or waited for no longer."""
        with writing(self._engine) as connection:
            confirmations.settle(connection, transaction_uid)

    def answer_commitment(
        self, transaction_uid: str, committed: Collection[str], failed: Mapping[str, int], now: datetime
    ) -> bool:
        """Write the answer to a commitment; False for a transaction that nobody asked for.

        committed: SOP Instance UIDs. failed: SOP Instance UID → Failure Reason (0008,1197). The task that
        waits for it is due at once.
        """
        with writing(self._engine) as connection:
            return confirmations.answer(connection, transaction_uid, committed, failed, now)
