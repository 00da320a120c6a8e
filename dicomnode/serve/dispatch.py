"""Dispatch: which engine gets which series of a study. A decision without I/O, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicomnode.assemble import Stack, StudyFiles
from dicomnode.engine import EnginePackage, match, wanted_but_refused
from dicomnode.values import Refusal, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An engine and the stack that it gets."""

    package: EnginePackage
    stack: Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """An engine that wanted a stack of which no volume can be made: it answers "not analysed, because …"."""

    package: EnginePackage
    stack: Stack
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The decision for one study: a verdict for each engine and stack, and what follows from them."""

    verdicts: tuple[Verdict, ...]
    choices: tuple[Choice, ...]
    dismissals: tuple[Dismissal, ...]


def decide(study: StudyFiles, packages: Sequence[EnginePackage]) -> Dispatch:
    """Ask each engine about each stack of the study."""
    stacks = {
        (series.series_instance_uid, stack.facts.stack): stack
        for series in study.series
        for stack in series.stacks
    }
    facts = [stack.facts for stack in stacks.values()]
    verdicts: list[Verdict] = []
    choices: list[Choice] = []
    dismissals: list[Dismissal] = []
    for package in packages:
        of_engine = match(package.manifest, facts)
        verdicts += of_engine
        chosen = [stacks[v.series_instance_uid, v.stack] for v in of_engine if v.chosen]
        choices += [Choice(package=package, stack=stack) for stack in chosen]
        if chosen:
            continue
        for wanted in wanted_but_refused(package.manifest, facts)[:1]:
            stack = stacks[wanted.series_instance_uid, wanted.stack]
            if wanted.refusal is not None:
                dismissals.append(Dismissal(package=package, stack=stack, refusal=wanted.refusal))
    return Dispatch(verdicts=tuple(verdicts), choices=tuple(choices), dismissals=tuple(dismissals))
