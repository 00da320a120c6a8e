"""What one key of engine.toml alone cannot tell: references, keys that exclude or need each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dicomnode.engine.manifest.consistent_compared import check_of
from dicomnode.engine.manifest.consistent_each import check_each
from dicomnode.engine.manifest.consistent_outlines import check_outlines
from dicomnode.engine.manifest.consistent_outputs import check_outputs
from dicomnode.engine.manifest.consistent_pictures import check_pictures
from dicomnode.engine.manifest.consistent_priors import check_compared, check_registered
from dicomnode.engine.manifest.consistent_steps import check_steps
from dicomnode.engine.manifest.entries import exactly_one, given
from dicomnode.engine.manifest.inputs import InputSpec, Preference, Requirement, TagNumber
from dicomnode.engine.manifest.preparation import Preparation, check_preparation
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.engine.wording import COMPARISONS, FACTS, PREFERENCES
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest
from dicomnode.values import FACT_TAGS

# Attributes of the patient that a network may be given as numbers; matching sees none of them
PATIENT_TAGS: Final = ("PatientAge", "PatientSex", "PatientSize", "PatientWeight")
DEMONSTRATION: Final = "Demonstration"
_LONGEST_NAME: Final = 57
_LONGEST_NUMBERED: Final = 53


def check_manifest(manifest: Manifest, table: Mapping[str, Any]) -> list[Problem]:
    """Find what is wrong between the keys of a manifest that was read from `table`."""
    problems = [
        *_name(manifest),
        *_demonstration(manifest),
        *_inputs(manifest.input),
        *check_registered(manifest.input),
        *check_compared(manifest),
        *check_pictures(manifest),
        *_unread(manifest),
        *check_steps(manifest),
        *check_each(manifest),
        *check_of(manifest),
        *check_outlines(manifest),
        *check_outputs(manifest),
    ]
    steps = table.get("step", ())
    return problems + [one for number, raw in enumerate(steps, start=1) for one in _window(number, raw)]


def _name(manifest: Manifest) -> Iterator[Problem]:
    """The journal puts ":failed" behind its name, and ":2" to ":999" where it takes several series."""
    first = manifest.input[0]
    takes_several = "all" in (first.series, first.ties)
    longest = _LONGEST_NUMBERED if takes_several else _LONGEST_NAME
    if len(manifest.name) > longest:
        because = ", as it may take several series of a study" if takes_several else ""
        yield Problem(key="name", value=manifest.name, expected=f"{longest} characters at most{because}")


def _demonstration(manifest: Manifest) -> Iterator[Problem]:
    """Lists show the title alone: it must say it, too."""
    if manifest.demonstration is not None and not manifest.title.startswith(DEMONSTRATION):
        hint = "engine.toml calls this engine a demonstration."
        expected = f'a text that begins with "{DEMONSTRATION}"'
        yield Problem(key="title", value=manifest.title, expected=expected, hint=hint)


def _window(number: int, raw: Any) -> Iterator[Problem]:
    """A network says how it goes over its box; `raw` is the step as the file has it."""
    if not isinstance(raw, dict) or "network" not in raw:
        return
    window = raw.get("window")
    if window != "whole" and not (isinstance(window, dict) and {"size_kji", "mirror"} & set(window)):
        expected = '"whole", or a table with size_kji, or with mirror alone: whole, and flipped'
        yield Problem(key=f"step[{number}].window", value=window, expected=expected)


def _inputs(inputs: Sequence[InputSpec]) -> Iterator[Problem]:
    if inputs[0].kind == "tags":
        hint = "Results go back on a series; numbers of its attributes come after it."
        yield Problem(key="input[1].kind", value="tags", expected='"volume"', hint=hint)
    for number, spec in enumerate(inputs, start=1):
        where = f"input[{number}]"
        if spec.name in [one.name for one in inputs[: number - 1]]:
            yield Problem(key=f"{where}.name", value=spec.name, expected="a name that no earlier input has")
        if spec.kind == "tags":
            yield from _tags(where, spec)
        else:
            yield from _volume(where, spec)
        if number > 1:
            yield from _goes_with_one(where, spec)
        if number > 1 and spec.kind == "volume":
            yield from _on_a_grid(where, spec, inputs[0])
        elif spec.beside_first:
            hint = "Only a further volume can lie beside the first one, as another channel of it."
            yield Problem(key=f"{where}.beside_first", value=True, expected="no such key", hint=hint)


def _goes_with_one(where: str, spec: InputSpec) -> Iterator[Problem]:
    """Find keys that say how many series are taken, of an input that is one beside each first one."""
    for name, usual in (("series", "best"), ("ties", "first")):
        if getattr(spec, name) != usual:
            hint = "How many series an engine takes is said of its first input; of others one goes with each."
            yield Problem(key=f"{where}.{name}", value=getattr(spec, name), expected="no such key", hint=hint)


def _unread(manifest: Manifest) -> Iterator[Problem]:
    """Find further inputs that a study would be waited for, and that nothing looks at."""
    read = {source for step in manifest.step for feed in step.inputs.values() for source in feed.of}
    for number, spec in enumerate(manifest.input[1:], start=2):
        again = spec.name in [one.name for one in manifest.input[: number - 1]]
        if spec.name not in read and not again and not spec.is_compared:
            hint = f'Name it in [step.inputs], such as image = {{ of = ["{spec.name}"] }}, or take it out.'
            expected = "the name of an input that a step reads; no step reads it"
            yield Problem(key=f"input[{number}].name", value=spec.name, expected=expected, hint=hint)


def _on_a_grid(where: str, spec: InputSpec, first: InputSpec) -> Iterator[Problem]:
    """Find changes of the grid that would part a further volume from the first."""
    changes = _grid_changes(spec)
    wanted = list(_grid_changes(first).values())
    if spec.beside_first and list(changes.values()) != wanted:
        names = ", ".join(entry.name for entry in wanted) or "none"
        yield Problem(
            key=f"{where}.prepare",
            value=[entry.name for entry in changes.values()],
            expected=f"the same changes of the grid: {names}, as input {first.name} has them",
            hint="What changes the grid is done to both at once; it stands in both lists, in one order.",
        )
    if spec.beside_first:
        return
    for number, entry in changes.items():
        yield Problem(
            key=f"{where}.prepare[{number}]",
            value=entry.name,
            expected="a preparation that keeps the grid",
            hint="A further volume is resampled onto the grid that the first one was prepared on; with "
            "beside_first = true it is prepared together with it.",
        )


def _grid_changes(spec: InputSpec) -> dict[int, Preparation]:
    """Return the entries of `prepare` that give another grid, by their number from 1."""
    entries = enumerate(spec.prepare, start=1)
    return {number: entry for number, entry in entries if len(entry.given) == 1 and not entry.keeps_grid}


def _volume(where: str, spec: InputSpec) -> Iterator[Problem]:
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
