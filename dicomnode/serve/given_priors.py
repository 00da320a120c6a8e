"""What is known of the priors of one analysis: from the fetch to the worker, by the task's payload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dicomnode.assemble import Stack, read_studies
from dicomnode.engine import Manifest
from dicomnode.faults import NO_PRIOR
from dicomnode.journal import Journal, NewTask, TaskKind
from dicomnode.journal.records import Scalar
from dicomnode.values import Refusal, Remark, RemarkKind

ARCHIVES: Final = "archives (priors)"
"""The destination of a fetch task that looks for priors; no [[query]] can have this name."""

_ASKS: Final = "asks"  # key in the payload of a fetch task: what for
_ABOUT: Final = "prior."  # beginning of the keys that say what was found
_NOBODY_ASKED: Final = "no archive was asked"


def waits_for_priors(manifest: Manifest, task: NewTask) -> NewTask:
    """Return what comes first: the analysis itself, or the search for the priors that its engine asks for."""
    if not manifest.priors:
        return task
    payload = {**task.payload, _ASKS: "priors"}
    return replace(task, kind=TaskKind.FETCH, destination=ARCHIVES, payload=payload)


def without_priors(payload: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The payload of an analysis, before or after its search, without what concerns priors."""
    return {name: value for name, value in payload.items() if name != _ASKS and not name.startswith(_ABOUT)}


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
        return str(payload.get(f"{_ABOUT}{name}.none") or _NOBODY_ASKED)
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

    def without(self, name: str, reason: str) -> Priors:
        """Return the same without one that turned out not to be readable."""
        stacks = {other: stack for other, stack in self.stacks.items() if other != name}
        return Priors(stacks=stacks, days=self.days, reasons={**self.reasons, name: reason})


NO_PRIORS: Final = Priors()


def priors_of(manifest: Manifest, payload: Mapping[str, Scalar], journal: Journal) -> Priors:
    """Read the headers of the priors that an analysis was given."""
    stacks: dict[str, Stack] = {}
    days: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for spec in manifest.priors:
        found = found_in(spec.name, payload)
        if isinstance(found, str):
            reasons[spec.name] = found
            continue
        files = [
            instance.path
            for instance in journal.instances(found.study_instance_uid)
            if instance.series_instance_uid == found.series_instance_uid
        ]
        stack = next((one for one in stacks_in(files) if one.facts.stack == found.stack), None)
        if stack is None:
            reasons[spec.name] = f"series {found.series_instance_uid} is not in the store any more"
            continue
        stacks[spec.name], days[spec.name] = stack, found.days
    return Priors(stacks=stacks, days=days, reasons=reasons)


def stacks_in(files: Sequence[Path]) -> list[Stack]:
    """All stacks of some files."""
    reading = read_studies(files)
    return [stack for study in reading.studies for series in study.series for stack in series.stacks]
