"""The sentences of the event log: what a radiographer understands first, the code behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomnode.faults import WAITS_FOR_ANOTHER
from dicomnode.journal.failures import analysis_of, is_failure
from dicomnode.journal.study_state import StudyState
from dicomnode.journal.transitions import Event, TaskKind

_WORK: Final[dict[TaskKind, str]] = {
    TaskKind.FETCH: "The query at {destination}",
    TaskKind.DISPATCH: "The choice of engines",
    TaskKind.ANALYSE: "The analysis by {engine}",
    TaskKind.REPORT: "The writing of results of {engine}",
    TaskKind.DELIVER: "The delivery to {destination}",
    TaskKind.CONFIRM: "The confirmation by {destination}",
    TaskKind.FEEDBACK: "The reading of what somebody else says of the results",
    TaskKind.PREFETCH: "The work ahead",
}

_SEARCH: Final = "The search for an earlier study"

_RETRACTING: Final[dict[TaskKind, str]] = _WORK | {
    TaskKind.REPORT: "The writing of the rejection note for {destination}",
    TaskKind.DELIVER: "The delivery of the rejection note to {destination}",
}

_FAILED: Final[dict[TaskKind, str]] = _WORK | {
    TaskKind.REPORT: "The writing that {engine} failed",
    TaskKind.DELIVER: "The delivery to {destination} of the document that {engine} failed",
}

_TASK: Final[Mapping[Event, str]] = {
    Event.RELEASED: "{work} may start.",
    Event.CLAIMED: "{work} has started (try {attempt}).",
    Event.COMMITTED: "{work} has ended.{error}",
    Event.FAILED: "{work} has failed and is tried again{when}.{error}",
    Event.NEEDS_PERSON: "{work} has failed and needs a person.{error}",
    Event.GIVEN_UP: "{work} has failed; what follows goes on without.{error}",
    Event.GIVEN_BACK: "{work} was stopped before its end and starts again later.",
    Event.LEASE_EXPIRED: "{work} was lost with its process and starts again.",
    Event.LOST_TOO_OFTEN: "{work} needs a person.{error}",
    Event.RETRIED: "{work} is tried again at a person's wish.",
    Event.REOPENED: "{work} begins anew.",
    Event.POSTPONED: "{work} is put off.{error}",
    Event.SUPERSEDED: "{work} is not needed any more: the study has changed.",
}

_FAILED_BEFORE: Final = "{work} is not needed any more."
_AWAITED: Final = "{work} is waited for; it is looked for again{when}."

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

# States that a sentence of their own does not explain
_EXPLAINED: Final = (StudyState.REFUSED, StudyState.FAILED, StudyState.INCOMPLETE, StudyState.HELD)

AGAIN: Final = "again"  # what is done with a version that was begun for the sake of a name alone
_THEN: Final[Mapping[str, str]] = {
    "analyse": "What is here is analysed.",
    "report": "The results will say why it is not analysed.",
    "hold": "The study is held until a person retries it.",
    AGAIN: "Its images are those of the version before.",
}

_STAYS: Final = f"{WAITS_FOR_ANOTHER.text()} {WAITS_FOR_ANOTHER.remedy} ({WAITS_FOR_ANOTHER.code})"

_NAMED: Final = 12  # attributes in a sentence; the event's facts have all

_NOTICE: Final[Mapping[str, str]] = {
    "step": "The performed procedure step",
    "commitment": "The storage commitment request",
    "availability": "The availability notification",
}

_DELIVERY: Final[Mapping[str, str]] = {
    "stored": "{destination} has stored {kind} {uid}.",
    "retry": "{destination} has not taken {kind} {uid} yet. {text}",
    "refused": "{destination} has refused {kind} {uid}. {text}",
    "replaced": "{destination} does not get {kind} {uid}. {text}",
}


INSTEAD: Final = "It gets other kinds of objects instead."
REJECTED: Final = "The results were rejected by a note of somebody else."
WORKED: Final = "The analysis that had failed has worked since."
_CONFIRMED: Final[Mapping[str, str]] = {
    "commitment": "{destination} has taken responsibility for {objects} (storage commitment).",
    "query": "{destination} was asked and lists {objects}.",
    "status": "{destination} said that it has stored {objects}; nothing else tells it.",
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
    seeks_prior: bool = False


def of_task(event: Event, said: Said) -> str:
    """What happened to a task."""
    engine = f"engine {analysis_of(said.engine)}" if said.engine else "the engines"
    form = _AWAITED if event is Event.FAILED and said.error is None else _TASK[event]
    works = _RETRACTING if said.engine.startswith("(") else _WORK  # see `retraction`
    if is_failure(said.engine):
        works = _FAILED
        form = _FAILED_BEFORE if event is Event.SUPERSEDED else form
    named = _SEARCH if said.seeks_prior else works[said.kind]
    return form.format(
        work=named.format(engine=engine, destination=said.destination or "the destinations"),
        attempt=said.attempt,
        error=f" {said.error}" if said.error else "",
        when=f" after {said.not_before:%H:%M:%S} UTC" if said.not_before else "",
    )


def of_study(state: StudyState, reason: str | None) -> str:
    """What state a study has come to."""
    shown = state in _EXPLAINED and reason
    return f"{STUDY[state]} {reason}" if shown else STUDY[state]


def of_delivery(outcome: str, destination: str, kind: str, uid: str, text: str) -> str:
    """What a destination said of an object."""
    return _DELIVERY[outcome].format(destination=destination, kind=kind, uid=uid, text=text).strip()


def confirmed(destination: str, count: int, by: str) -> str:
    """It is known that a destination keeps objects."""
    return _CONFIRMED[by].format(destination=destination, objects=_count(count, "object"))


def lost(destination: str, count: int, why: str) -> str:
    """A destination does not have what it said that it had stored."""
    return f"{destination} does not have {_count(count, 'object')} that it had stored. {why}".strip()


def results_released(by: str, destinations: Sequence[str]) -> str:
    """A person let results go that were held."""
    return f"{by} let the results go to {', '.join(destinations)}."


def first_instance(calling_ae: str) -> str:
    """A study has begun."""
    return f"The first image of the study came from {calling_ae}."


def first_of_prior(calling_ae: str, wanted_by: str) -> str:
    """A study has begun that was fetched for another one."""
    return (
        f"The first image of the study came from {calling_ae}, fetched as a prior of study {wanted_by}. "
        "It is not analysed itself."
    )


def prior_sent(calling_ae: str) -> str:
    """What had been fetched as a prior was sent."""
    return f"Images came from {calling_ae}: what was fetched as a prior is a study of its own now."


def more_instances(count: int, version: int) -> str:
    """Something came to a study that was complete."""
    images = "One more image has" if count == 1 else f"{count} more images have"
    return f"{images} come after the study was complete: version {version} begins."


def completed(instances: int, series: int, evidence: str) -> str:
    """A study is complete, and how that is known."""
    known = evidence.rstrip(".")  # it may end with the reason of a failure, which is a sentence
    return f"The study is complete: {_count(instances, 'image')} in {_count(series, 'series')}; {known}."


def closed_incomplete(shortfall: str, then: str) -> str:
    """The wait for missing images is over."""
    return f"The wait for missing images is over: {shortfall}. {_THEN[then]}"


def notice(kind: str, calling_ae: str, status: str, references: int) -> str:
    """Somebody said something of the study."""
    named = f"{_NOTICE[kind]} of {calling_ae}"
    return f"{named}{f' ({status.lower()})' if status else ''} names {_count(references, 'image')}."


def corrected(
    count: int, keywords: Sequence[str], version: int, *, of_another: bool = False, again: bool = False
) -> str:
    """Images came again with another header.

    of_another: of a study that is of the wrong patient still. again: it had been put right before.
    """
    images = "An image came" if count == 1 else f"{count} images came"
    back = " That goes back to whom it named before: the study is taken back again." if again else ""
    stays = f" {_STAYS}" if of_another else ""
    return (
        f"{images} again with the same pixels and another header: {_some(keywords)}. "
        f"The old files are kept in the history; this is version {version}.{back}{stays}"
    )


def _some(keywords: Sequence[str]) -> str:
    """Name the first of many attributes: those with a keyword, then private ones, as "(0009,1001)"."""
    ordered = sorted(keywords, key=lambda keyword: keyword.startswith("("))
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def rejected(count: int, meaning: str, code: str, version: int) -> str:
    """A rejection note has come."""
    return (
        f"A rejection note ({meaning}, DCM {code}) sets {_count(count, 'image')} aside. "
        f"What was made from the study before is taken back; this is version {version}."
    )


def results_rejected(engines: str, meaning: str, code: str) -> str:
    """A rejection note of somebody else names results."""
    return (
        f"A rejection note ({meaning}, DCM {code}) names results of {engines}: "
        "what of them has not been sent is not sent any more."
    )


def returned() -> str:
    """A result has come that the node itself made."""
    return "An object of our own came back: nothing is analysed again for it."


def annotations_came(count: int) -> str:
    """Somebody sent what may speak of results."""
    what = "A segmentation or report" if count == 1 else f"{count} segmentations or reports"
    return f"{what} of somebody else came after the results: nothing is analysed again by that."


def answers_rejected(count: int, meaning: str, code: str) -> str:
    """Somebody has rejected what somebody said of the study."""
    what = "A segmentation or report" if count == 1 else f"{count} segmentations or reports"
    were = "was" if count == 1 else "were"
    return f"{what} of somebody else {were} rejected ({meaning}, DCM {code}): what it said counts no more."


def came_taken_back(count: int) -> str:
    """Images have come to a study whose results are of the wrong patient or order."""
    come = "comes" if count == 1 else "come"
    return f"{_count(count, 'image')} {come} after the results were taken back. {_STAYS}"


def came_rejected(count: int) -> str:
    """Images have come that a note had rejected before."""
    come = "comes" if count == 1 else "come"
    return f"{_count(count, 'image')} {come} that a rejection note had named before: set aside."


def identified(source: str, keywords: Sequence[str], version: int | None) -> str:
    """A message says whose the study is."""
    then = "Its results will have it." if version is None else f"Version {version} of its results has it."
    return f"{source} says whose the study is: {', '.join(keywords)}. The images stay as they are. {then}"


def retracted(
    count: int,
    destinations: Sequence[str],
    code: str,
    *,
    earlier_only: bool = False,
    engines: Sequence[str] = (),
    by: str | None = None,
) -> str:
    """A person took results back. engines: whose; none: of all. by: who says so, where that is known."""
    of = f" of {', '.join(engines)}" if engines else ""
    of += " of earlier versions" if earlier_only else ""
    who = "" if by is None else f" by {by}"
    told = f"{', '.join(destinations) or 'Nobody'} {'are' if len(destinations) > 1 else 'is'} told"
    objects = _count(count, "object")
    return f"The results{of} ({objects}) are taken back{who} (DCM {code}). {told} by a rejection note."


def reanalysed(by: str, code: str, version: int) -> str:
    """A person wants a study analysed again."""
    return (
        f"{by} wants the study analysed again, whose results were taken back (DCM {code}): "
        f"version {version} begins."
    )


def prior_lost(prior: str, why: str, count: int, version: int | None) -> str:
    """A prior with which results were made may not be used any more."""
    are = "is" if count == 1 else "are"
    taken = f" {_count(count, 'object')} made with it {are} taken back." if count else ""
    then = "" if version is None else f" Version {version} begins."
    return f"Study {prior}, a prior of this one, {why}.{taken}{then}"


def also_in(count: int, other_study: str) -> str:
    """Instances have the UIDs of others."""
    return f"{_count(count, 'image')} of it came before in study {other_study}, under the same UIDs."


def _count(number: int, word: str) -> str:
    plural = word if word.endswith("s") or number == 1 else f"{word}s"
    return f"{number} {plural}"
