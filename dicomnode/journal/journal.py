"""The face of the journal: each method is one transaction, whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from dicomnode.faults import NodeError
from dicomnode.journal import deliveries, events, instances, results, studies, tasks
from dicomnode.journal.connection import connect, reading, writing
from dicomnode.journal.finish import Ending, finish
from dicomnode.journal.migrate import require_file, upgrade
from dicomnode.journal.records import (
    Arriving,
    DeliveryOutcome,
    DeliveryRecord,
    EventRecord,
    FindingRecord,
    NewDelivery,
    NewTask,
    Note,
    ObjectRecord,
    Progress,
    ReadIds,
    StudyRecord,
    TaskRecord,
)
from dicomnode.journal.transitions import Event, TaskKind, TaskState
from dicomnode.values import Instance, Verdict


class Journal:
    """What the node knows. Safe to use from several threads; several processes may have it open.

    Times are time-zone aware; ValueError for others. What the database refuses is NodeError(JOURNAL_FAILED).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, existing: bool = False) -> Journal:
        """Open the journal at an SQLAlchemy URL; makes it, or brings it up to this version after a backup.

        existing: make none, for who only looks.
        Raises NodeError: JOURNAL_BROKEN, JOURNAL_TOO_NEW, JOURNAL_NOT_ALLOWED; JOURNAL_MISSING if `existing`.
        """
        engine = connect(url)
        try:
            if existing:
                require_file(engine.url)
            upgrade(engine)
        except NodeError:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── what has come ──

    def add_instances(
        self,
        items: Sequence[tuple[Instance, ReadIds]],
        now: datetime,
        notes: Sequence[tuple[str, Note]] = (),
    ) -> None:
        """Enter instances; those known already change nothing.

        notes: (Study Instance UID, what came to light); one with the same facts is written once a study.

        One that is new to a study that was complete begins the study's next version: it is receiving again,
        and unfinished tasks of older versions are superseded.
        """
        with writing(self._engine) as connection:
            instances.add(connection, items, now)
            events.append_once(connection, notes, now)

    def instances(self, study_uid: str) -> list[Instance]:
        """The instances of a study, in the order of their arrival."""
        with reading(self._engine) as connection:
            return instances.of_study(connection, study_uid)

    def arriving(self) -> list[Arriving]:
        """The instances of studies that are being received, in the order of their arrival."""
        with reading(self._engine) as connection:
            return instances.arriving(connection)

    # ── studies ──

    def quiet_studies(self, quiet_before: datetime) -> list[StudyRecord]:
        """Studies that are being received and of which nothing came, nor was entered, since then."""
        with reading(self._engine) as connection:
            return studies.quiet(connection, quiet_before)

    def complete_study(
        self, study_uid: str, evidence: str, now: datetime, *, quiet_before: datetime | None = None
    ) -> int | None:
        """Say that all of a study is here, and make its dispatch task; give the version.

        evidence: how that is known, as the end of a sentence ("nothing new came for 60 s"). None when it is
        complete already or, with `quiet_before`, when something came since: nothing is written then.
        Raises NodeError(STUDY_NOT_FOUND).
        """
        with writing(self._engine) as connection:
            version = studies.complete(connection, study_uid, evidence, now, quiet_before)
            if version is not None:
                dispatch = NewTask(
                    kind=TaskKind.DISPATCH, study_instance_uid=study_uid, study_version=version
                )
                tasks.add(connection, [dispatch], now)
            return version

    def studies(self, limit: int = 50) -> list[StudyRecord]:
        """Studies, the one that was received last first."""
        with reading(self._engine) as connection:
            return studies.latest(connection, limit)

    def study(self, uid_or_accession: str) -> StudyRecord:
        """The study of a UID or of an accession number.

        Raises NodeError: STUDY_NOT_FOUND; STUDY_AMBIGUOUS for the accession number of several studies.
        """
        with reading(self._engine) as connection:
            return studies.find(connection, uid_or_accession)

    # ── tasks ──

    def claim(
        self,
        kinds: Collection[TaskKind],
        owner: str,
        lease_s: float,
        now: datetime,
        *,
        destination: str | None = None,
    ) -> TaskRecord | None:
        """Take the task of highest priority, the oldest first, whose time has come; None when there is none.

        Tasks whose lease has ended are taken over; one that lost its third worker is parked
        (KILLED_ITS_WORKER).
        """
        wanted = tasks.Claim(
            kinds=kinds, owner=owner, lease=timedelta(seconds=lease_s), destination=destination
        )
        with writing(self._engine) as connection:
            return tasks.claim(connection, wanted, now)

    def heartbeat(
        self, task: TaskRecord, lease_s: float, now: datetime, progress: Progress | None = None
    ) -> None:
        """Make the lease longer and say how far the work is; raises NodeError(LEASE_LOST)."""
        with writing(self._engine) as connection:
            tasks.heartbeat(connection, task, timedelta(seconds=lease_s), now, progress)

    def finish(  # noqa: PLR0913  all that one try has made, in one transaction
        self,
        task: TaskRecord,
        event: Event,
        now: datetime,
        *,
        error: NodeError | None = None,
        not_before: datetime | None = None,
        new_tasks: Sequence[NewTask] = (),
        verdicts: Sequence[Verdict] = (),
        finding_path: Path | None = None,
        objects: Sequence[ObjectRecord] = (),
        deliveries: Sequence[NewDelivery] | None = None,
        notes: Sequence[Note] = (),
    ) -> None:
        """End a try, with all that it has made and what follows from it; the study's state follows too.

        event: COMMITTED, FAILED (again after `not_before`), NEEDS_PERSON, GIVEN_BACK. error: why; with
        COMMITTED, why there is no result. deliveries: which destination shall get which object; None: all
        `objects` go to the destination of each new DELIVER task.
        Raises NodeError(LEASE_LOST) when another worker has the task; then nothing is written.
        """
        ending = Ending(
            event=event,
            error=error,
            not_before=not_before,
            new_tasks=new_tasks,
            verdicts=verdicts,
            finding_path=finding_path,
            objects=objects,
            deliveries=deliveries,
            notes=notes,
        )
        with writing(self._engine) as connection:
            finish(connection, task, ending, now)

    def owner_died(self, owner: str, now: datetime) -> int:
        """Let the leases of a worker that is known to be dead end at once; give how many it had."""
        with writing(self._engine) as connection:
            return tasks.end_leases(connection, owner, now)

    def retry(self, study_uid: str | None, destination: str | None, now: datetime) -> int:
        """Make parked tasks, and those that wait for their next try, ready now; give how many."""
        with writing(self._engine) as connection:
            return tasks.retry(connection, study_uid, destination, now)

    def tasks(
        self, study_uid: str | None = None, states: Collection[TaskState] | None = None
    ) -> list[TaskRecord]:
        """Tasks, oldest first; of all studies and states, or of some."""
        with reading(self._engine) as connection:
            return tasks.find(connection, study_uid, states)

    def next_due(self, now: datetime) -> datetime | None:
        """When something may be claimed next, not before `now`; None when nothing waits or runs."""
        with reading(self._engine) as connection:
            due = tasks.next_due(connection)
        return due and max(due, now)

    # ── results ──

    def verdicts(self, study_uid: str) -> list[Verdict]:
        """What the engines said of the study's series, in its latest version that has verdicts."""
        with reading(self._engine) as connection:
            return results.verdicts(connection, study_uid)

    def findings(self, study_uid: str) -> list[FindingRecord]:
        """Where the Findings are: (engine, study version, path)."""
        with reading(self._engine) as connection:
            return results.findings(connection, study_uid)

    def objects(self, study_uid: str, version: int | None = None) -> list[ObjectRecord]:
        """Result objects of a study; of one version, or of all."""
        with reading(self._engine) as connection:
            return results.objects(connection, study_uid, version)

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

    def events(self, study_uid: str) -> list[EventRecord]:
        """All that happened to a study, in order."""
        with reading(self._engine) as connection:
            return events.of_study(connection, study_uid)
