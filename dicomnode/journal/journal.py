"""The face of the journal: each method is one transaction, whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from dicomnode.faults import NodeError
from dicomnode.journal import closing as closings
from dicomnode.journal import (
    events,
    evidence,
    instances,
    notices,
    priors,
    results,
    studies,
    tasks,
    waiting,
)
from dicomnode.journal.closing import Closing
from dicomnode.journal.connection import connect, reading, writing
from dicomnode.journal.correcting import Correcting
from dicomnode.journal.corrections import Correction, apply
from dicomnode.journal.delivering import Delivering
from dicomnode.journal.evidence import EvidenceRecord, OpenStudy, SourceAnswer
from dicomnode.journal.feedback import FeedbackRecord
from dicomnode.journal.finish import Ending, finish
from dicomnode.journal.learning import Learning
from dicomnode.journal.migrate import require_file, upgrade
from dicomnode.journal.notices import Commitment, Notice, ReportState
from dicomnode.journal.priors import Arrival, ExpectedPrior
from dicomnode.journal.records import (
    Arriving,
    EventRecord,
    FindingRecord,
    Maker,
    NewDelivery,
    NewTask,
    Note,
    ObjectRecord,
    Progress,
    ReadIds,
    Scalar,
    StudyRecord,
    TaskRecord,
)
from dicomnode.journal.transitions import Event, TaskKind, TaskState
from dicomnode.journal.waiting import Wait
from dicomnode.values import Instance, Verdict


class Journal(Correcting, Delivering, Learning):
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
        corrections: Sequence[Correction] = (),
        arrivals: Sequence[Arrival] | None = None,
    ) -> None:
        """Enter instances; those known already change nothing.

        notes: (Study Instance UID, what came to light); one with the same facts is written once a study.
        corrections: what was put right, or set aside; what is known already changes nothing.
        arrivals: of the images that came, where the store kept earlier files of some; else `items` tell.

        One that is new to a study that was complete begins the study's next version: it is receiving again,
        and unfinished tasks of older versions are superseded.
        """
        with writing(self._engine) as connection:
            if arrivals is None:
                arrivals = [Arrival(one.study_instance_uid, one.sender, one.received_at) for one, _ in items]
            instances.add(connection, items, now, arrivals)
            apply(connection, corrections, now)
            events.append_once(connection, notes, now)

    def instances(self, study_uid: str) -> list[Instance]:
        """The instances of a study, in the order of their arrival."""
        with reading(self._engine) as connection:
            return instances.of_study(connection, study_uid)

    def marks(self, study_uid: str) -> dict[str, tuple[str, int]]:
        """Digest and size of the file of each instance of a study, as they are known: by SOP Instance UID."""
        with reading(self._engine) as connection:
            return instances.marks(connection, study_uid)

    def arriving(self) -> list[Arriving]:
        """Studies that are being received, the one that began first first."""
        with reading(self._engine) as connection:
            return instances.arriving(connection)

    # ── studies ──

    def expect_prior(self, prior: ExpectedPrior) -> bool:
        """Say that a study is fetched as a prior, before its first instance comes: it will not be analysed.

        False when it is here as a study of its own: then nothing is written, and nothing need be fetched.
        """
        with writing(self._engine) as connection:
            return priors.expect(connection, prior)

    def corrected_since(self, study_uid: str, version: int) -> frozenset[str]:
        """Keywords of what was corrected in a study since a version, also while that was worked on."""
        with reading(self._engine) as connection:
            return priors.corrected_since(connection, study_uid, version)

    def lost_priors_since(self, study_uid: str, version: int) -> bool:
        """Whether a prior that a study was given, up to this version, may not be used any more."""
        with reading(self._engine) as connection:
            return priors.lost_since(connection, study_uid, version)

    # ── when a study is complete ──

    def open_studies(self, quiet_before: datetime) -> list[OpenStudy]:
        """Studies that are not closed and of which nothing came since then, with what speaks for either."""
        with reading(self._engine) as connection:
            return evidence.open_studies(connection, quiet_before)

    def ask_sources(
        self, study: StudyRecord, sources: Collection[str], now: datetime, *, priority: int = 0
    ) -> None:
        """Make the FETCH tasks that ask sources how many images a study has; once for what is here now."""
        with writing(self._engine) as connection:
            evidence.ask(connection, study, sources, now, priority)

    def record_answer(self, task: TaskRecord, answer: SourceAnswer, text: str) -> None:
        """Write what a source answered to a FETCH task; raises NodeError(LEASE_LOST)."""
        with writing(self._engine) as connection:
            evidence.answered(connection, task, answer, text)

    def close_study(self, study_uid: str, closing: Closing, now: datetime) -> int | None:
        """Close a study as `closing` says, and make its dispatch task; give the version.

        None when it is closed already or something has come since the decision: nothing is written then.
        Raises NodeError(STUDY_NOT_FOUND).
        """
        with writing(self._engine) as connection:
            return closings.close(connection, study_uid, closing, now)

    def mark_incomplete(self, study_uid: str, closing: Closing, now: datetime) -> bool:
        """Say that images of a study are missing and waited for; tell whether that is new."""
        with writing(self._engine) as connection:
            return closings.mark_incomplete(connection, study_uid, closing, now)

    def evidence(self, study_uid: str) -> dict[int, list[EvidenceRecord]]:
        """What spoke for a study being whole or not, by version; what decided stands first."""
        with reading(self._engine) as connection:
            return evidence.of_study(connection, study_uid)

    def add_notices(self, items: Sequence[Notice], now: datetime) -> None:
        """Enter notices; those known already change nothing."""
        with writing(self._engine) as connection:
            notices.add(connection, items, now)

    def forget_notices(self, before: datetime) -> None:
        """Take away notices that came before then, unless somebody is still to be told of them."""
        with writing(self._engine) as connection:
            notices.forget(connection, before)

    def due_commitment(self, now: datetime) -> Commitment | None:
        """The oldest storage commitment request whose time to be answered has come."""
        with reading(self._engine) as connection:
            return notices.due(connection, now)

    def commitment_reported(self, name: str, state: ReportState, now: datetime, wait_s: float = 0.0) -> None:
        """Write how telling the sender of a request went; WANTED: it is tried again after `wait_s`."""
        with writing(self._engine) as connection:
            notices.reported(connection, name, state, now, timedelta(seconds=wait_s))

    def holdings(self, sop_instance_uids: Sequence[str]) -> dict[str, list[notices.Holding]]:
        """The copies of instances that are here, by SOP Instance UID."""
        with reading(self._engine) as connection:
            return notices.holdings(connection, sop_instance_uids)

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
        after: int | None = None,
    ) -> TaskRecord | None:
        """Take the task of highest priority, the oldest first, whose time has come; None when there is none.

        after: the priority of the task that the owner did last. What has waited for an hour gets every second
        turn then, and what has a higher priority waits for one such task at most.
        Tasks whose lease has ended are taken over; one that lost its third worker is parked
        (KILLED_ITS_WORKER).
        """
        wanted = tasks.Claim(
            kinds=kinds,
            owner=owner,
            lease=timedelta(seconds=lease_s),
            destination=destination,
            after=after,
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
        maker: Maker | None = None,
        objects: Sequence[ObjectRecord] = (),
        deliveries: Sequence[NewDelivery] | None = None,
        notes: Sequence[Note] = (),
        payload: Mapping[str, Scalar] | None = None,
        after: int | None = None,
        feedback: Sequence[FeedbackRecord] = (),
    ) -> None:
        """End a try, with all that it has made and what follows from it; the study's state follows too.

        event: COMMITTED, FAILED (again after `not_before`), NEEDS_PERSON, GIVEN_BACK. error: why; with
        COMMITTED, why there is no result. maker: of the Findings at `finding_path`; None where only they
        say it. deliveries: which destination shall get which object; None: all `objects` go to the
        destination of each new DELIVER task. payload: of the task from now on; None: as it is.
        after: the study's newest correction when it was read whose it was; None: that does not matter.
        feedback: what the object of a FEEDBACK task says of findings; what it said when it was read before
        goes.
        Raises NodeError(LEASE_LOST) when another worker has the task, and Overtaken when the study was
        corrected since `after`; then nothing is written.
        """
        ending = Ending(
            event=event,
            error=error,
            not_before=not_before,
            new_tasks=new_tasks,
            verdicts=verdicts,
            finding_path=finding_path,
            maker=maker,
            objects=objects,
            deliveries=deliveries,
            notes=notes,
            payload=payload,
            after=after,
            feedback=feedback,
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

    def waits(self, study_uid: str, now: datetime) -> list[Wait]:
        """What of a study waits, for what and since when; oldest task first."""
        with reading(self._engine) as connection:
            return waiting.of_study(connection, study_uid, now)

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

    def events(self, study_uid: str) -> list[EventRecord]:
        """All that happened to a study, in order."""
        with reading(self._engine) as connection:
            return events.of_study(connection, study_uid)
