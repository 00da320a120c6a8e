"""Priors: the clerk that finds an earlier study at an archive and fetches it, before an engine runs.

Whatever comes of it, the analysis follows: with the prior, or with the reason why there is none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final

import structlog

from dicomnode.assemble import Stack
from dicomnode.engine import InputSpec, configured_engine, match_prior, may_be_prior
from dicomnode.faults import BUG, NO_PRIOR, NodeError
from dicomnode.journal import Event, Journal, NewTask, Note, TaskKind, TaskRecord
from dicomnode.journal.records import Scalar
from dicomnode.net import (
    FetchLimits,
    FoundSeries,
    FoundStudy,
    Meter,
    Patient,
    PriorQuery,
    find_earlier,
    find_series,
)
from dicomnode.serve.asking.fetching import AnyPeer, SeriesFetch, WantedSeries, peer_to_ask
from dicomnode.serve.asking.given_priors import (
    ARCHIVES,
    NO_HEADER,
    GivenPrior,
    contradiction,
    first_image,
    payload_of,
    stacks_in,
    why_none,
    without_priors,
)
from dicomnode.serve.identity.whose import who_and_when
from dicomnode.serve.logs import bug, fault_facts
from dicomnode.serve.naming import engine_of
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import Settings
from dicomnode.store import Store
from dicomnode.values import Instance, SeriesFacts

log = structlog.get_logger("dicomnode.serve")

_LEASE_S: Final = 60.0
_DAYS_A_MONTH: Final = 365.25 / 12.0
_GB: Final = 1e9
# PS3.4 C.2.2.2.4: such an ID would match those of others
_WILD: Final = frozenset("*?\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The study that a prior is wanted for."""

    study_instance_uid: str
    calling_ae: str
    patient: Patient
    day: date
    at: time_of_day | None


class PriorClerk(Clerk):
    """Does the `fetch` tasks that look for priors, one at a time."""

    def __init__(self, settings: Settings, store: Store, journal: Journal, stopping: threading.Event) -> None:
        post = Post(
            name=owner_name("scheduler", "priors"),
            kinds=(TaskKind.FETCH,),
            lease_s=_LEASE_S,
            destination=ARCHIVES,
        )
        super().__init__(post, journal, stopping)
        self._settings = settings
        self._fetch = SeriesFetch(settings, store, journal, stopping)

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Look for a prior for each input that wants one; the analysis follows in any case."""
        engine = engine_of(task.engine or "")
        wanted = next((one for one in self._settings.engine if one.name == engine), None)
        if wanted is None:
            raise NodeError(BUG, where="priors", error="the engine is not configured any more")
        payload = without_priors(task.payload)
        notes: list[Note] = []
        current = self._current(task)
        for spec in configured_engine(wanted).manifest.priors:
            pulse.progress(f"looking for a prior for {spec.name}", 0, 1)
            found = current if isinstance(current, str) else self._find(spec, current, pulse)
            payload |= payload_of(spec.name, found)
            notes.append(_note(engine, spec.name, found))
        analysis = NewTask(
            kind=TaskKind.ANALYSE,
            study_instance_uid=task.study_instance_uid,
            study_version=task.study_version,
            engine=task.engine,
            payload=payload,
            priority=task.priority,
        )
        now = datetime.now(UTC)
        self._journal.finish(task, Event.COMMITTED, now, new_tasks=[analysis], notes=notes)
        return Event.COMMITTED

    def _current(self, task: TaskRecord) -> Current | str:
        """Read whose study it is and of when; say what of it is missing."""
        first = first_image(task, self._journal)
        try:
            read = None if first is None else who_and_when(first, self._journal)
        except NodeError as error:
            return why_none(error)
        if first is None or read is None:
            return NO_HEADER
        patient, day = read.patient, read.day
        if not patient.patient_id or day is None:
            return f"the study has no {'Study Date' if patient.patient_id else 'Patient ID'}"
        if not patient.ids:
            return "the Patient ID says nothing of whose the study is"
        if any(_WILD & set(one) for one in patient.ids):
            return "the Patient ID holds a character that stands for any other in a query"
        return Current(
            study_instance_uid=task.study_instance_uid,
            calling_ae=first.sender.calling_ae,
            patient=patient,
            day=day,
            at=read.at,
        )

    def _find(self, spec: InputSpec, current: Current, pulse: Pulse) -> GivenPrior | str:
        """Ask one peer after the other; the first that gives a prior ends it. Else: why there is none."""
        reasons: list[str] = []
        for query in self._settings.query:
            if query.senders and current.calling_ae not in {title.strip() for title in query.senders}:
                continue
            peer = peer_to_ask(query)
            limits = FetchLimits(
                instances=self._settings.priors.instances,
                bytes=int(self._settings.priors.gb * _GB),
                seconds=self._settings.priors.time_s,
                object_bytes=int(self._settings.receive.maximum_object_gb * _GB),
            )
            try:
                found = self._at(peer, spec, current, Meter(peer.name, limits), pulse)
            except NodeError as error:
                found = why_none(error)
                study = current.study_instance_uid
                log.warning("priors.unanswered", study=study, source=peer.name, **fault_facts(error))
            # Whatever a peer sends: the study gets its analysis
            except Exception as error:  # noqa: BLE001
                unforeseen = bug(error, f"the search for priors at {peer.name}")
                study = current.study_instance_uid
                log.error("priors.failed", study=study, source=peer.name, **fault_facts(unforeseen))
                found = why_none(unforeseen)
            if isinstance(found, GivenPrior):
                return found
            reasons.append(found)
        return "; ".join(reasons) or "no [[query]] names an archive for this sender"

    def _at(
        self, peer: AnyPeer, spec: InputSpec, current: Current, meter: Meter, pulse: Pulse
    ) -> GivenPrior | str:
        """Look for a prior at one peer. Raises NodeError of the network."""
        calling_ae = self._settings.node.ae_title.strip()
        studies = find_earlier(peer, calling_ae, _query(spec, current), meter)
        why = f"{peer.name} has no earlier study of the patient that may be one"
        tries, short = 0, ""  # why what was not listed may have been a prior
        for study in studies[: self._settings.priors.studies]:
            keywords = _keywords(spec)
            series = find_series(peer, calling_ae, study.study_instance_uid, keywords, meter)
            if study.series is not None and len(series) < study.series:
                short += f"; of {study.series} series of an earlier study it lists {len(series)}"
            for one in _likely(spec, study, series):
                meter.check_time()
                if tries == self._settings.priors.series:
                    return f"{why}; {tries} series were looked at{short}"
                tries += 1
                pulse.progress(f"fetching a prior for {spec.name} from {peer.name}", tries - 1, tries)
                wanted = WantedSeries(
                    study_instance_uid=study.study_instance_uid,
                    series_instance_uid=one.series_instance_uid,
                    wanted_by=current.study_instance_uid,
                )
                instances = self._fetch.bring(peer, wanted, one.instances, meter)
                found = self._matching(spec, current, study, instances)
                if isinstance(found, GivenPrior):
                    return found
                why = f"an earlier study at {peer.name} does not fit: {found}"
        return why + short

    def _matching(
        self, spec: InputSpec, current: Current, study: FoundStudy, instances: Sequence[Instance]
    ) -> GivenPrior | str:
        """Ask the rules of the input about what has come, once it is sure whose it is."""
        if not instances:
            return "it has no images"
        stacks = stacks_in([one.path for one in instances])
        problem = contradiction(current.patient, instances, stacks, self._journal)
        return problem or _chosen(spec, current, study, stacks)


def _query(spec: InputSpec, current: Current) -> PriorQuery:
    months = 0.0 if spec.prior is None else spec.prior.months_at_most
    earliest = current.day - timedelta(days=min(round(months * _DAYS_A_MONTH), current.day.toordinal() - 1))
    modality = next(
        (str(rule.equals) for rule in spec.require if rule.tag == "Modality" and rule.equals is not None), ""
    )
    return PriorQuery(
        patient=current.patient,
        study_instance_uid=current.study_instance_uid,
        earliest=earliest,
        day=current.day,
        time_of_day=current.at,
        modality=modality,
    )


def _keywords(spec: InputSpec) -> list[str]:
    """The attributes that the rules and preferences of an input look at."""
    tags = [rule.tag for rule in spec.require] + [preference.tag for preference in spec.prefer]
    return [tag for tag in dict.fromkeys(tags) if tag is not None]


def _likely(spec: InputSpec, study: FoundStudy, series: Sequence[FoundSeries]) -> Iterator[FoundSeries]:
    """The series that may be a prior by what the peer tells of them, the likeliest first."""
    scored: list[tuple[float, int, str, FoundSeries]] = []
    for one in series:
        tags = {"StudyDescription": study.description, **one.tags}
        facts = SeriesFacts(
            study_instance_uid=study.study_instance_uid,
            series_instance_uid=one.series_instance_uid,
            tags=tags,
            facts={} if one.instances is None else {"instances": one.instances},
        )
        score = may_be_prior(spec, facts)
        if score is not None:
            scored.append((-score, -(one.instances or 0), one.series_instance_uid, one))
    yield from (one for *_, one in sorted(scored, key=lambda entry: entry[:3]))


def _chosen(
    spec: InputSpec, current: Current, study: FoundStudy, stacks: Sequence[Stack]
) -> GivenPrior | str:
    chosen = match_prior(spec, [stack.facts for stack in stacks])
    if isinstance(chosen, str):
        return chosen
    return GivenPrior(
        study_instance_uid=chosen.study_instance_uid,
        series_instance_uid=chosen.series_instance_uid,
        stack=chosen.stack,
        days=(current.day - study.day).days,
    )


def _note(engine: str, name: str, found: GivenPrior | str) -> Note:
    facts: Mapping[str, Scalar]
    if isinstance(found, str):
        facts = {"engine": engine, "input": name, "code": NO_PRIOR.code}
        return Note(what="prior.none", text=NO_PRIOR.text(name=name, reason=found), facts=facts)
    facts = {
        "engine": engine,
        "input": name,
        "prior_study": found.study_instance_uid,
        "prior_series": found.series_instance_uid,
        "days": found.days,
    }
    text = (
        f"Engine {engine} gets an earlier study for input {name}, {found.days} days older: study "
        f"{found.study_instance_uid}, series {found.series_instance_uid}."
    )
    return Note(what="prior.found", text=text, facts=facts)
