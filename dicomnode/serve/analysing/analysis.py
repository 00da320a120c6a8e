"""From a chosen stack to Findings: the piece of the walk that `try` and the worker share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import DecodeSlices, Stack, decode_here, load_picture, load_volume
from dicomnode.engine import InputSpec, Manifest, match_further
from dicomnode.faults import FILE_UNREADABLE, INPUT_MISSING, NodeError
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.patient import of_two_persons
from dicomnode.serve.analysing.unanswered import not_analysed
from dicomnode.serve.analysing.unseen import unseen_remarks
from dicomnode.serve.asking.given_priors import NO_PRIORS, Priors
from dicomnode.values import Findings, Picture, Progress, Refusal, Volume

# Rows that say something about the images, not about this machine: a result ("not analysed, because …"),
# not a failure to be tried again.
_OF_THE_IMAGES: Final = "DN-3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is there beside the stack that an engine takes.

    others: the other stacks of the study, of which an engine with several inputs takes what it needs; what of
    the same series lies beyond the stack, the Findings say. priors: stacks of earlier studies; where there is
    none, the Findings say why.
    """

    others: Sequence[Stack] = ()
    priors: Priors = NO_PRIORS


ALONE: Final = Beside()


def analyse_stack(
    analyst: Analyst,
    stack: Stack,
    occasion: Occasion,
    progress: Progress,
    decode: DecodeSlices = decode_here,
    beside: Beside = ALONE,
) -> tuple[Findings, Volume | Picture | None]:
    """Decode the stack and run the engine on it; return what it looked at, too.

    Images that turn out not to be readable as a volume give Findings "not analysed"; then there is no volume.
    Raises NodeError for what is the machine's fault.
    """
    package = analyst.package
    if stack.facts.refusal is not None:
        return not_analysed(package, stack, stack.facts.refusal, occasion), None
    stacks = further_stacks(package.manifest, stack, beside.others)
    if isinstance(stacks, Refusal):
        return not_analysed(package, stack, stacks, occasion), None
    given = {package.manifest.input[0].name: stack, **stacks}
    mixed = of_two_persons(given, occasion.renaming)
    if mixed is not None:
        return not_analysed(package, stack, mixed, occasion), None
    volumes: dict[str, Volume | Picture] = {}
    inputs = {spec.name: spec for spec in package.manifest.input}
    try:
        for name, one in given.items():
            volumes[name] = load_input(inputs[name], one, progress, decode)
    except NodeError as error:
        if not error.fault.code.startswith(_OF_THE_IMAGES):
            raise
        refusal = error.refusal
        return not_analysed(package, stack, refusal, occasion), None
    priors = _load_priors(beside.priors, volumes, progress, decode)
    refused = priors.missing(package.manifest)
    if refused is not None:
        return not_analysed(package, stack, refused, occasion), None
    analysis = Analysis(
        volumes=volumes,
        remarks=(*unseen_remarks(stack, beside.others), *priors.remarks(package.manifest)),
        told=priors.told,
        earlier=priors.earlier,
        days=priors.days,
        salt=occasion.salt,
        study_version=occasion.study_version,
        made_at=occasion.made_at,
    )
    return analyst.analyse(analysis, progress), volumes[package.manifest.input[0].name]


def load_input(
    spec: InputSpec, stack: Stack, progress: Progress, decode: DecodeSlices = decode_here
) -> Volume | Picture:
    """Decode the stack that an [[input]] gets; raises NodeError as `load_volume` and `load_picture` do."""
    if spec.is_picture:
        return load_picture(stack, progress, decode, display=spec.how.display)
    return load_volume(stack, progress, decode)


def load_inputs(
    manifest: Manifest, stacks: Mapping[str, Stack], progress: Progress
) -> dict[str, Volume | Picture]:
    """Decode, in this process, the stacks of all inputs by name; raises as `load_input`."""
    specs = {spec.name: spec for spec in manifest.input}
    return {name: load_input(specs[name], stack, progress) for name, stack in stacks.items()}


def _load_priors(
    priors: Priors, volumes: dict[str, Volume | Picture], progress: Progress, decode: DecodeSlices
) -> Priors:
    """Decode the priors into `volumes`; return those that could be."""
    for name, stack in priors.stacks.items():
        try:
            volumes[name] = load_volume(stack, progress, decode)
        except NodeError as error:
            if not error.fault.code.startswith(_OF_THE_IMAGES) and error.fault is not FILE_UNREADABLE:
                raise
            priors = priors.without(name, error.refusal.text.rstrip("."))
    return priors


def further_stacks(manifest: Manifest, first: Stack, others: Sequence[Stack]) -> dict[str, Stack] | Refusal:
    """Choose a stack for each further volume: of those in the Frame of Reference of the first, else of all.

    One of another Frame of Reference is still chosen: the analysis then says that registration is needed.
    """
    if not manifest.beside:
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
