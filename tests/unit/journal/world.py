"""Studies, tasks and clocks for the tests of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dicomnode.journal import Closing, Event, Journal, NewTask, ObjectRecord, TaskKind, TaskRecord
from dicomnode.values import Instance, Sender, Verdict

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STUDY = "1.2.3"
PACS = "PACS1"
ENGINE = "lung-ct"
# Closes a study whenever its last image came
ALL_HERE = Closing(evidence="nothing new came for 60 s", last_arrival=datetime(9999, 1, 1, tzinfo=UTC))


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Ids:
    """What the store reads, as far as the journal wants it."""

    accession_number: str = "A17"
    modality: str = "CT"


def instance(number: int, *, study: str = STUDY, series: int = 1, at: datetime = NOON) -> Instance:
    return Instance(
        sop_instance_uid=f"{study}.{series}.{number}" if study == STUDY else f"9.{series}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        study_instance_uid=study,
        series_instance_uid=f"{study}.{series}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/store/{study}/{series}/{number}.dcm"),
        size=1000 + number,
        digest=f"{number:016x}",
        received_at=at,
        sender=Sender(calling_ae="CT1", called_ae="DICOMNODE", address="10.0.0.7"),
    )


def receive(
    journal: Journal, count: int = 3, *, study: str = STUDY, first: int = 0, at: datetime = NOON
) -> None:
    journal.add_instances([(instance(first + n, study=study, at=at), Ids()) for n in range(count)], at)


def complete(journal: Journal, study: str = STUDY, at: datetime = NOON) -> int:
    version = journal.close_study(study, ALL_HERE, at)
    assert version is not None
    return version


def claim(
    journal: Journal, kind: TaskKind, at: datetime = NOON, *, owner: str = "w1", lease_s: float = 60
) -> TaskRecord:
    task = journal.claim([kind], owner, lease_s, at)
    assert task is not None
    return task


def analyse(study: str = STUDY, version: int = 1, engine: str = ENGINE) -> NewTask:
    return NewTask(
        kind=TaskKind.ANALYSE,
        study_instance_uid=study,
        study_version=version,
        engine=engine,
        payload={"series": f"{study}.1", "stack": 0, "score": 0.5, "note": None},
    )


def report(study: str = STUDY, version: int = 1, engine: str = ENGINE) -> NewTask:
    return NewTask(kind=TaskKind.REPORT, study_instance_uid=study, study_version=version, engine=engine)


def deliver(study: str = STUDY, version: int = 1, destination: str = PACS) -> NewTask:
    return NewTask(
        kind=TaskKind.DELIVER, study_instance_uid=study, study_version=version, destination=destination
    )


def verdict(engine: str = ENGINE, *, chosen: bool = True, stack: int = 0) -> Verdict:
    return Verdict(
        engine=engine,
        version="1.0.0",
        series_instance_uid=f"{STUDY}.1",
        stack=stack,
        chosen=chosen,
        score=0.1 + 0.2 if chosen else None,
        rule="Modality is CT",
        found="CT" if chosen else "MR",
    )


def result(number: int, kind: str = "SEG", *, version: int = 1, engine: str = ENGINE) -> ObjectRecord:
    return ObjectRecord(
        sop_instance_uid=f"2.25.{version}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        series_instance_uid=f"2.25.{version}.0",
        kind=kind,
        study_instance_uid=STUDY,
        study_version=version,
        engine=engine,
        path=Path(f"/store/outbox/{version}-{number}.dcm"),
        digest="ab" * 32,
    )


def until_delivery(
    journal: Journal, *, version: int = 1, objects: int = 2, destinations: tuple[str, ...] = (PACS,)
) -> None:
    """Walk a complete study to the point where its results wait to be sent."""
    journal.finish(
        claim(journal, TaskKind.DISPATCH),
        Event.COMMITTED,
        NOON,
        new_tasks=[analyse(version=version)],
        verdicts=[verdict()],
    )
    journal.finish(
        claim(journal, TaskKind.ANALYSE),
        Event.COMMITTED,
        NOON,
        finding_path=Path("/store/findings/x"),
        new_tasks=[report(version=version)],
    )
    journal.finish(
        claim(journal, TaskKind.REPORT),
        Event.COMMITTED,
        NOON,
        objects=[result(n, version=version) for n in range(objects)],
        new_tasks=[deliver(version=version, destination=name) for name in destinations],
    )
