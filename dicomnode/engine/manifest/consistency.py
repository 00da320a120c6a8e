"""What one key of engine.toml alone cannot tell: references, keys that exclude or need each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dicomnode.engine.manifest.consistent_outputs import check_outputs
from dicomnode.engine.manifest.consistent_steps import check_steps
from dicomnode.engine.manifest.entries import exactly_one, given
from dicomnode.engine.manifest.inputs import InputSpec, Preference, Requirement, TagNumber
from dicomnode.engine.manifest.preparation import check_preparation
from dicomnode.engine.manifest.preparation_geometry import (
    CropCentre,
    CropForeground,
    Letterbox,
    Pad,
    Resample,
    Resize,
)
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.engine.rules import COMPARISONS, FACTS, PREFERENCES
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest
from dicomnode.values import FACT_TAGS

# Attributes of the patient that a network may be given as numbers; matching sees none of them
PATIENT_TAGS: Final = ("PatientAge", "PatientSex", "PatientSize", "PatientWeight")
# Changes of the grid: a further volume lies on the grid of the first
_GRID_CHANGES: Final = (Resample, Resize, Letterbox, CropForeground, CropCentre, Pad)
_NOT_READ_YET: Final = ("picture", "cine")


def check_manifest(manifest: Manifest, table: Mapping[str, Any]) -> list[Problem]:
    """Find what is wrong between the keys of a manifest that was read from `table`."""
    problems = [*_inputs(manifest.input), *check_steps(manifest), *check_outputs(manifest)]
    steps = table.get("step", ())
    return problems + [one for number, raw in enumerate(steps, start=1) for one in _window(number, raw)]


def _window(number: int, raw: Any) -> Iterator[Problem]:
    """A network says how it goes over its box; `raw` is the step as the file has it."""
    if not isinstance(raw, dict) or "network" not in raw:
        return
    window = raw.get("window")
    if window != "whole" and not (isinstance(window, dict) and "size_kji" in window):
        yield Problem(
            key=f"step[{number}].window", value=window, expected='"whole", or a table with size_kji'
        )


def _inputs(inputs: Sequence[InputSpec]) -> Iterator[Problem]:
    if inputs[0].kind == "tags":
        hint = "Results go back on a series; numbers of its attributes come after it."
        yield Problem(key="input[1].kind", value="tags", expected='"volume"', hint=hint)
    for number, spec in enumerate(inputs, start=1):
        where = f"input[{number}]"
        if spec.name in [one.name for one in inputs[: number - 1]]:
            yield Problem(key=f"{where}.name", value=spec.name, expected="a name that no earlier input has")
        if spec.kind in _NOT_READ_YET:
            hint = "This version makes volumes of series; it reads no pictures and no cine yet."
            yield Problem(key=f"{where}.kind", value=spec.kind, expected='"volume" or "tags"', hint=hint)
        elif spec.kind == "tags":
            yield from _tags(where, spec)
        else:
            yield from _volume(where, spec, first=number == 1)


def _volume(where: str, spec: InputSpec, *, first: bool) -> Iterator[Problem]:
    if not spec.require:
        hint = "Rules; the first that fails is what `why` prints."
        yield Problem(key=f"{where}.require", value=None, expected="at least one", hint=hint)
    if spec.tags:
        hint = 'Numbers of attributes are an [[input]] of their own, with kind = "tags".'
        yield Problem(key=f"{where}.tags", value=None, expected="no such key", hint=hint)
    for n, rule in enumerate(spec.require, start=1):
        yield from _rule(f"{where}.require[{n}]", rule, COMPARISONS)
    for n, preference in enumerate(spec.prefer, start=1):
        yield from _rule(f"{where}.prefer[{n}]", preference, PREFERENCES)
    for n, entry in enumerate(spec.prepare, start=1):
        yield from check_preparation(f"{where}.prepare[{n}]", entry)
        if first or len(entry.given) != 1:
            continue
        if entry.name in {"orient", "resample_mm"} or isinstance(entry.declared, _GRID_CHANGES):
            hint = "A further volume is resampled onto the grid that the first one was prepared on."
            yield Problem(
                key=f"{where}.prepare[{n}]",
                value=entry.name,
                expected="a preparation that keeps the grid",
                hint=hint,
            )


def _tags(where: str, spec: InputSpec) -> Iterator[Problem]:
    for name in ("require", "prefer", "prepare"):
        if getattr(spec, name):
            hint = "The attributes are those of the first input's series."
            yield Problem(key=f"{where}.{name}", value=None, expected="no such key", hint=hint)
    if not spec.tags:
        hint = 'Such as tags = [{ tag = "PatientAge" }].'
        yield Problem(key=f"{where}.tags", value=None, expected="at least one", hint=hint)
    for n, number in enumerate(spec.tags, start=1):
        yield from _tag_number(f"{where}.tags[{n}]", number)


def _tag_number(where: str, number: TagNumber) -> Iterator[Problem]:
    known = [*PATIENT_TAGS, *FACT_TAGS]
    if number.tag not in known:
        yield Problem(
            key=f"{where}.tag",
            value=number.tag,
            expected="the keyword of an attribute that can be a number",
            hint=nearest(number.tag, known) or f"Keywords: {', '.join(known)}.",
        )
    if number.tag == "PatientSex" and not number.values:
        hint = "Such as values = { M = 1.0, F = 0.0 }."
        yield Problem(key=f"{where}.values", value=None, expected="the number of each text", hint=hint)


def _rule(where: str, rule: Requirement | Preference, comparisons: Sequence[str]) -> Iterator[Problem]:
    yield from exactly_one(where, given(rule, ("tag", "fact")), ("tag", "fact"))
    yield from exactly_one(where, given(rule, comparisons), comparisons)
    if rule.fact is not None and rule.fact not in FACTS:
        yield Problem(
            key=f"{where}.fact",
            value=rule.fact,
            expected="a fact of a series",
            hint=nearest(rule.fact, list(FACTS)) or f"Facts: {', '.join(FACTS)}.",
        )
    if rule.tag is not None and rule.tag not in FACT_TAGS:
        yield Problem(
            key=f"{where}.tag",
            value=rule.tag,
            expected="the keyword of an attribute that matching sees",
            hint=nearest(rule.tag, list(FACT_TAGS)) or f"Keywords: {', '.join(FACT_TAGS)}.",
        )
    if rule.matches is not None:
        try:
            re.compile(rule.matches)
        except re.error as error:
            hint = f"{error}."
            yield Problem(
                key=f"{where}.matches", value=rule.matches, expected="a regular expression", hint=hint
            )
