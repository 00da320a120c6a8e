"""The sentences of the event log: what a radiographer understands first, the code behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomnode.journal.study_state import StudyState
from dicomnode.journal.transitions import Event, TaskKind

_WORK: Final[Mapping[TaskKind, str]] = {
    TaskKind.FETCH: "The query at the source",
    TaskKind.DISPATCH: "The choice of engines",
    TaskKind.ANALYSE: "The analysis by {engine}",
    TaskKind.REPORT: "The writing of results of {engine}",
    TaskKind.DELIVER: "The delivery to {destination}",
    TaskKind.CONFIRM: "The confirmation by {destination}",
    TaskKind.PREFETCH: "The work ahead",
}

_TASK: Final[Mapping[Event, str]] = {
    Event.RELEASED: "{work} may start.",
    Event.CLAIMED: "{work} has started (try {attempt}).",
    Event.COMMITTED: "{work} has ended.{error}",
    Event.FAILED: "{work} has failed and is tried again{when}.{error}",
    Event.NEEDS_PERSON: "{work} has failed and needs a person.{error}",
    Event.GIVEN_BACK: "{work} was stopped before its end and starts again later.",
    Event.LEASE_EXPIRED: "{work} was lost with its process and starts again.",
    Event.LOST_TOO_OFTEN: "{work} needs a person.{error}",
    Event.RETRIED: "{work} is tried again at a person's wish.",
    Event.SUPERSEDED: "{work} is not needed any more: more images have come.",
}

STUDY: Final[Mapping[StudyState, str]] = {
    StudyState.RECEIVING: "The study is being received.",
    StudyState.INCOMPLETE: "Images of the study are missing.",
    StudyState.COMPLETE: "The study is complete.",
    StudyState.QUEUED: "The study waits for its analysis.",
    StudyState.ANALYSING: "The study is being analysed.",
    StudyState.HELD: "The study is held.",
    StudyState.DELIVERING: "The results are being sent.",
    StudyState.UNCONFIRMED: "The results were sent and are not confirmed yet.",
    StudyState.DONE: "All results have arrived.",
    StudyState.REFUSED: "The study is not analysed.",
    StudyState.FAILED: "The study needs a person.",
    StudyState.SUPERSEDED: "A later version of the study has taken its place.",
    StudyState.RETRACTED: "The results were taken back.",
    StudyState.QUARANTINED: "The study is in quarantine.",
}

_DELIVERY: Final[Mapping[str, str]] = {
    "stored": "{destination} has stored {kind} {uid}.",
    "retry": "{destination} has not taken {kind} {uid} yet. {text}",
    "refused": "{destination} has refused {kind} {uid}. {text}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a sentence on a task may speak of."""

    kind: TaskKind
    engine: str
    destination: str
    attempt: int
    error: str | None = None  # code and text
    not_before: datetime | None = None


def of_task(event: Event, said: Said) -> str:
    """What happened to a task."""
    engine = f"engine {said.engine}" if said.engine else "the engines"
    return _TASK[event].format(
        work=_WORK[said.kind].format(engine=engine, destination=said.destination or "the destinations"),
        attempt=said.attempt,
        error=f" {said.error}" if said.error else "",
        when=f" after {said.not_before:%H:%M:%S} UTC" if said.not_before else "",
    )


def of_study(state: StudyState, reason: str | None) -> str:
    """What state a study has come to."""
    shown = state in (StudyState.REFUSED, StudyState.FAILED) and reason
    return f"{STUDY[state]} {reason}" if shown else STUDY[state]


def of_delivery(outcome: str, destination: str, kind: str, uid: str, text: str) -> str:
    """What a destination said of an object."""
    return _DELIVERY[outcome].format(destination=destination, kind=kind, uid=uid, text=text).strip()


def first_instance(calling_ae: str) -> str:
    """A study has begun."""
    return f"The first image of the study came from {calling_ae}."


def more_instances(count: int, version: int) -> str:
    """Something came to a study that was complete."""
    images = "One more image has" if count == 1 else f"{count} more images have"
    return f"{images} come after the study was complete: version {version} begins."


def completed(instances: int, series: int, evidence: str) -> str:
    """A study is complete, and how that is known."""
    return f"The study is complete: {_count(instances, 'image')} in {_count(series, 'series')}; {evidence}."


def also_in(count: int, other_study: str) -> str:
    """Instances have the UIDs of others."""
    return f"{_count(count, 'image')} of it came before in study {other_study}, under the same UIDs."


def _count(number: int, word: str) -> str:
    plural = word if word.endswith("s") or number == 1 else f"{word}s"
    return f"{number} {plural}"
