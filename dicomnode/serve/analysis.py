"""From a chosen stack to Findings: the piece of the walk that `try` and the worker share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomnode import __version__
from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import Ahead, Stack, load_volume, nothing_ahead, source_of
from dicomnode.engine import EnginePackage, Manifest, match_further
from dicomnode.faults import FAULTS, INPUT_MISSING, Fault, NodeError
from dicomnode.values import (
    Findings,
    Outcome,
    Progress,
    Provenance,
    Refusal,
    Remark,
    RemarkKind,
    Volume,
)

# Rows that say something about the images, not about this machine: a result ("not analysed, because …"),
# not a failure to be tried again.
_OF_THE_IMAGES: Final = "DN-3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a result is made for.

    made_at: the moment that its dates name, in the zone that they are written in (PS3.3 C.12.1.1.7: without
    a Timezone Offset From UTC, times are those of the site). salt: of its UIDs.
    """

    study_version: int
    made_at: datetime
    salt: bytes


def analyse_stack(
    analyst: Analyst,
    stack: Stack,
    occasion: Occasion,
    progress: Progress,
    ahead: Ahead = nothing_ahead,
    others: Sequence[Stack] = (),
) -> tuple[Findings, Volume | None]:
    """Decode the stack, but for the slices that `ahead` has, and run the engine on it.

    others: the other stacks of the study, of which an engine with several inputs takes what it needs. Images
    that turn out not to be readable as a volume give Findings "not analysed"; then there is no volume.
    Raises NodeError for what is the machine's fault.
    """
    package = analyst.package
    if stack.facts.refusal is not None:
        return not_analysed(package, stack, stack.facts.refusal, occasion), None
    stacks = further_stacks(package.manifest, stack, others)
    if isinstance(stacks, Refusal):
        return not_analysed(package, stack, stacks, occasion), None
    volumes: dict[str, Volume] = {}
    try:
        for name, one in {package.manifest.input[0].name: stack, **stacks}.items():
            volumes[name] = load_volume(one, progress, ahead)
    except NodeError as error:
        if not error.fault.code.startswith(_OF_THE_IMAGES):
            raise
        refusal = error.refusal
        return not_analysed(package, stack, refusal, occasion), None
    analysis = Analysis(
        volumes=volumes,
        salt=occasion.salt,
        study_version=occasion.study_version,
        made_at=occasion.made_at,
    )
    return analyst.analyse(analysis, progress), volumes[package.manifest.input[0].name]


def further_stacks(manifest: Manifest, first: Stack, others: Sequence[Stack]) -> dict[str, Stack] | Refusal:
    """Choose a stack for each further volume: of those in the Frame of Reference of the first, else of all.

    One of another Frame of Reference is still chosen: the analysis then says that registration is needed.
    """
    if len(manifest.volumes) == 1:
        return {}
    beside = [one for one in others if one is not first]
    near = [one for one in beside if _frames_of_reference(one) == _frames_of_reference(first)]
    wanted = {name: one for name, one in _matched(manifest, first, near).items() if isinstance(one, Stack)}
    rest = [one for one in beside if one not in wanted.values()]
    for name, one in _matched(manifest, first, rest).items():
        if name in wanted:
            continue
        if isinstance(one, str):
            return INPUT_MISSING.refusal(engine=manifest.name, name=name, reason=one)
        wanted[name] = one
    return wanted


def _matched(manifest: Manifest, first: Stack, beside: Sequence[Stack]) -> dict[str, Stack | str]:
    of_facts = {id(one.facts): one for one in beside}
    found = match_further(manifest, [one.facts for one in beside], first.facts)
    return {name: one if isinstance(one, str) else of_facts[id(one)] for name, one in found.items()}


def _frames_of_reference(stack: Stack) -> set[str | None]:
    return {header.frame_of_reference_uid for header in stack.headers}


def not_analysed(package: EnginePackage, stack: Stack, refusal: Refusal, occasion: Occasion) -> Findings:
    """Say that the engine wanted the series and why it could not have it."""
    manifest = package.manifest
    fault: Fault = FAULTS[refusal.code]
    return Findings(
        outcome=Outcome.NOT_ANALYSED,
        sources=(source_of(stack, manifest.input[0].name),),
        provenance=Provenance(
            engine=manifest.name,
            version=manifest.version,
            title=manifest.title,
            use=manifest.use,
            engine_digest=package.digest,
            runtime="none",
            precision="none",
            device="none",
            node_version=__version__,
        ),
        made_at=occasion.made_at,
        study_version=occasion.study_version,
        remarks=(Remark(kind=RemarkKind.NOT_ANALYSED, text=refusal.text, code=fault.code),),
    )
