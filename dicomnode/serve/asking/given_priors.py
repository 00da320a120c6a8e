"""What is known of the priors of one analysis: from the fetch to the worker, by the task's payload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dicomnode.assemble import Stack, read_studies
from dicomnode.engine import Manifest
from dicomnode.faults import LEASE_LOST, NO_PRIOR, NodeError
from dicomnode.journal import ASKS, GIVEN_UP, PRIORS, Journal, NewTask, TaskKind, TaskRecord
from dicomnode.journal.records import Scalar
from dicomnode.net import Patient
from dicomnode.serve.identity.whose import told_now, who_and_when, whose
from dicomnode.serve.work.carry import is_shortage
from dicomnode.store.foreign import file_unreadable
from dicomnode.values import EarlierSeries, Instance, ReferencedInstance, Refusal, Remark, RemarkKind

ARCHIVES: Final = "archives (priors)"
"""The destination of a fetch task that looks for priors; no [[query]] can have this name."""

NO_HEADER: Final = "the header of the study cannot be read"
_ABOUT: Final = "prior."  # beginning of the keys that say what was found
_NOBODY_ASKED: Final = "no archive was asked"


def waits_for_priors(manifest: Manifest, task: NewTask) -> NewTask:
    """Return what comes first: the analysis itself, or the search for the priors that its engine asks for."""
    if not manifest.priors:
        return task
    payload = {**task.payload, ASKS: PRIORS}
    return replace(task, kind=TaskKind.FETCH, destination=ARCHIVES, payload=payload)


def at_once(task: NewTask) -> NewTask:
    """Return the analysis that a search for priors would come before; any other task as it is."""
    if task.kind is not TaskKind.FETCH:
        return task
    payload = without_priors(task.payload)
    return replace(task, kind=TaskKind.ANALYSE, destination=None, payload=payload)


def without_priors(payload: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The payload of an analysis, before or after its search, without what concerns priors."""
    return {
        name: value
        for name, value in payload.items()
        if name not in {ASKS, GIVEN_UP} and not name.startswith(_ABOUT)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPrior:
    """A stack of an earlier study for an input. days: how much earlier."""

    study_instance_uid: str
    series_instance_uid: str
    stack: int
    days: int


def payload_of(name: str, found: GivenPrior | str) -> dict[str, Scalar]:
    """Write what was found for an input, or why nothing was, into the payload of the analysis."""
    if isinstance(found, str):
        return {f"{_ABOUT}{name}.none": found}
    return {
        f"{_ABOUT}{name}.study": found.study_instance_uid,
        f"{_ABOUT}{name}.series": found.series_instance_uid,
        f"{_ABOUT}{name}.stack": found.stack,
        f"{_ABOUT}{name}.days": found.days,
    }


def found_in(name: str, payload: Mapping[str, Scalar]) -> GivenPrior | str:
    """Read what `payload_of` wrote."""
    study = payload.get(f"{_ABOUT}{name}.study")
    if study is None:
        said = payload.get(f"{_ABOUT}{name}.none") or payload.get(GIVEN_UP) or _NOBODY_ASKED
        return str(said).rstrip(".")
    return GivenPrior(
        study_instance_uid=str(study),
        series_instance_uid=str(payload[f"{_ABOUT}{name}.series"]),
        stack=int(payload[f"{_ABOUT}{name}.stack"] or 0),
        days=int(payload[f"{_ABOUT}{name}.days"] or 0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """stacks, days: by name of the input; reasons: of the inputs for which there is none."""

    stacks: Mapping[str, Stack] = field(default_factory=dict)
    days: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def reason(self, name: str) -> str:
        """Why there is no prior for an input."""
        return self.reasons.get(name, _NOBODY_ASKED)

    def missing(self, manifest: Manifest) -> Refusal | None:
        """Why the study cannot be analysed, where a prior that is required is not there."""
        for spec in manifest.priors:
            if spec.prior is not None and spec.prior.required and spec.name not in self.stacks:
                return NO_PRIOR.refusal(name=spec.name, reason=self.reason(spec.name))
        return None

    def remarks(self, manifest: Manifest) -> tuple[Remark, ...]:
        """Say of each input without a prior why it has none."""
        texts = [
            NO_PRIOR.text(name=spec.name, reason=self.reason(spec.name))
            for spec in manifest.priors
            if spec.name not in self.stacks
        ]
        return tuple(Remark(kind=RemarkKind.QUALITY, text=text, code=NO_PRIOR.code) for text in texts)

    @property
    def told(self) -> dict[str, str]:
        """Name the priors for the provenance: their UIDs, and how many days they are older; no date."""
        return {
            f"prior {name}": f"study {stack.facts.study_instance_uid}, "
            f"series {stack.facts.series_instance_uid}, {self.days[name]} days before"
            for name, stack in self.stacks.items()
        }

    @property
    def earlier(self) -> tuple[EarlierSeries, ...]:
        """Name the images of the priors, which results give as evidence."""
        return tuple(
            EarlierSeries(
                name=name,
                study_instance_uid=stack.facts.study_instance_uid,
                series_instance_uid=stack.facts.series_instance_uid,
                instances=tuple(
                    dict.fromkeys(
                        ReferencedInstance(
                            sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid
                        )
                        for one in stack.headers
                    )
                ),
            )
            for name, stack in self.stacks.items()
        )

    def without(self, name: str, reason: str) -> Priors:
        """Return the same without one that turned out not to be readable."""
        stacks = {other: stack for other, stack in self.stacks.items() if other != name}
        return Priors(stacks=stacks, days=self.days, reasons={**self.reasons, name: reason})


NO_PRIORS: Final = Priors()


def priors_of(manifest: Manifest, task: TaskRecord, journal: Journal) -> Priors:
    """Read the headers of the priors that an analysis was given.

    Whose they are is asked again: since the fetch they, or the study, may have been corrected.
    """
    stacks: dict[str, Stack] = {}
    days: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for spec in manifest.priors:
        given = found_in(spec.name, task.payload)
        found = given if isinstance(given, str) else _stack_of(given, task, journal)
        if isinstance(given, str) or isinstance(found, str):
            reasons[spec.name] = str(found)
        else:
            stacks[spec.name], days[spec.name] = found, given.days
    return Priors(stacks=stacks, days=days, reasons=reasons)


def _stack_of(given: GivenPrior, task: TaskRecord, journal: Journal) -> Stack | str:
    instances = [
        one
        for one in journal.instances(given.study_instance_uid)
        if one.series_instance_uid == given.series_instance_uid
    ]
    gone = f"series {given.series_instance_uid} is not in the store any more"
    if not instances:
        return gone
    try:
        first = first_image(task, journal)
        read = None if first is None else who_and_when(first, journal)
        stacks = [] if read is None else stacks_in([one.path for one in instances])
        problem = NO_HEADER if read is None else contradiction(read.patient, instances, stacks, journal)
    except NodeError as error:
        return why_none(error)
    return problem or next((one for one in stacks if one.facts.stack == given.stack), gone)


def first_image(task: TaskRecord, journal: Journal) -> Instance | None:
    """An image of the series that is analysed; None where none is here."""
    series_uid = task.payload.get("series_instance_uid")
    instances = journal.instances(task.study_instance_uid)
    return next((one for one in instances if one.series_instance_uid == series_uid), None)


def contradiction(
    patient: Patient, instances: Sequence[Instance], stacks: Sequence[Stack], journal: Journal
) -> str:
    """Say why images of a study are not those of a patient; "" where nothing speaks against it.

    What is taken back as of the wrong patient or order is of nobody known. stacks: made of them: of images
    whose headers say the same one is asked. Raises NodeError as `who_and_when`.
    """
    if journal.is_of_another(instances[0].study_instance_uid):
        return "it was taken back, or rejected, as of the wrong patient or order (DCM 113038)"
    written = {one.path: one.person_keys.written for stack in stacks for one in stack.headers}
    told = told_now(instances[0].study_instance_uid, journal)
    same: set[str] = set()
    for one in instances:
        key = written.get(one.path, "")
        if key in same:
            continue
        same |= {key} - {""}
        read = whose(one, told)
        if read is None:
            return "the header of one of its images cannot be read"
        if read.patient.patient_id not in patient.ids:
            return "it has another Patient ID"
        if not patient.is_same(read.patient):
            return "it has the same Patient ID, but another issuer of it, birth date or sex"
    return ""


def why_none(error: NodeError) -> str:
    """Say why there is no prior, as results do. Raises `error` where it may pass, or is of a lost task."""
    if error.fault is LEASE_LOST or is_shortage(error):
        raise error
    return error.refusal.text.rstrip(".")


def stacks_in(files: Sequence[Path]) -> list[Stack]:
    """All stacks of some files; raises NodeError(FILE_UNREADABLE)."""
    for path in files:
        try:
            path.stat()  # one that is gone is a reason of its own
        except OSError as error:
            raise file_unreadable(path, error) from error
    reading = read_studies(files)
    return [stack for study in reading.studies for series in study.series for stack in series.stacks]
