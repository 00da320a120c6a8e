"""Dispatch: which engine gets which series of a study, by the decisions that `engine` makes without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicomnode.assemble import DecodeSlices, Stack, StudyFiles
from dicomnode.engine import EnginePackage, match, match_tied, wanted_but_refused
from dicomnode.faults import SERIES_TIED
from dicomnode.serve.deciding.looking import looked_at
from dicomnode.values import Refusal, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An engine and the stack that it gets."""

    package: EnginePackage
    stack: Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """An engine that wanted a stack that it cannot have: it answers "not analysed, because …"."""

    package: EnginePackage
    stack: Stack
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The decision for one study: a verdict for each engine and stack, and what follows from them."""

    verdicts: tuple[Verdict, ...]
    choices: tuple[Choice, ...]
    dismissals: tuple[Dismissal, ...]


def decide(
    study: StudyFiles, packages: Sequence[EnginePackage], decode: DecodeSlices | None = None
) -> Dispatch:
    """Ask each engine about each stack of the study.

    decode: for a look at some slices where an engine's rules hang on what they show; without it the header
    alone is asked. Raises NodeError about the disk.
    """
    all_stacks = [stack for series in study.series for stack in series.stacks]
    if decode is not None:
        all_stacks = looked_at(all_stacks, packages, decode)
    stacks = {(stack.facts.series_instance_uid, stack.facts.stack): stack for stack in all_stacks}
    verdicts: list[Verdict] = []
    choices: list[Choice] = []
    dismissals: list[Dismissal] = []
    for package in packages:
        of_engine = match(package.manifest, [stack.facts for stack in all_stacks])
        verdicts += of_engine
        chosen = [stacks[v.series_instance_uid, v.stack] for v in of_engine if v.chosen]
        choices += [Choice(package=package, stack=stack) for stack in chosen]
        if not chosen:
            dismissals += _dismissed(package, stacks)
    return Dispatch(verdicts=tuple(verdicts), choices=tuple(choices), dismissals=tuple(dismissals))


def barred(study: StudyFiles, package: EnginePackage, rule: str) -> list[Verdict]:
    """Return the verdicts on a study of an engine that a rule of the site does not let run."""
    facts = [stack.facts for series in study.series for stack in series.stacks]
    return [
        Verdict(
            engine=package.manifest.name,
            version=package.manifest.version,
            series_instance_uid=one.series_instance_uid,
            stack=one.stack,
            chosen=False,
            score=None,
            rule=f"rule {rule} of this site lets the engine run",
            found="it does not",
        )
        for one in sorted(facts, key=lambda one: (one.series_instance_uid, one.stack))
    ]


def _dismissed(package: EnginePackage, stacks: Mapping[tuple[str, int], Stack]) -> list[Dismissal]:
    """Return the answer of an engine that takes nothing: none, or why it cannot have what it wanted."""
    facts = [stack.facts for stack in stacks.values()]
    tied = match_tied(package.manifest, facts)
    refusals = [
        (one, SERIES_TIED.refusal(count=len(tied), engine=package.manifest.name)) for one in tied[:1]
    ] or [
        (one, one.refusal)
        for one in wanted_but_refused(package.manifest, facts)[:1]
        if one.refusal is not None
    ]
    return [
        Dismissal(package=package, stack=stacks[one.series_instance_uid, one.stack], refusal=refusal)
        for one, refusal in refusals
    ]
