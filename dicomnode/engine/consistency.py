"""What one key of engine.toml alone cannot tell: references, keys that exclude or need each other."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dicomnode.engine.manifest import (
    GateSpec,
    InputSpec,
    Manifest,
    OutputSpec,
    Preference,
    Requirement,
    StepSpec,
)
from dicomnode.engine.rules import COMPARISONS, FACTS, PREFERENCES
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest
from dicomnode.values import FACT_TAGS

# The gate runs at every start of a worker; more than this is no quick try.
_LARGEST_GATE: Final = 2**24

_NETWORK_KEYS: Final = ("sha256", "crop", "interpret", "centre_heat", "gate")


def check_manifest(manifest: Manifest, table: Mapping[str, Any]) -> list[Problem]:
    """Find what is wrong between the keys of a manifest that was read from `table`."""
    problems = [*_inputs(manifest.input), *_steps(manifest.step), *_outputs(manifest)]
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
    for number, spec in enumerate(inputs, start=1):
        where = f"input[{number}]"
        for n, rule in enumerate(spec.require, start=1):
            yield from _rule(f"{where}.require[{n}]", rule, COMPARISONS)
        for n, preference in enumerate(spec.prefer, start=1):
            yield from _rule(f"{where}.prefer[{n}]", preference, PREFERENCES)
        for n, preparation in enumerate(spec.prepare, start=1):
            given = _given(preparation, ("clip", "orient", "resample_mm"))
            yield from _exactly_one(f"{where}.prepare[{n}]", given, ("clip", "orient", "resample_mm"))


def _rule(where: str, rule: Requirement | Preference, comparisons: Sequence[str]) -> Iterator[Problem]:
    yield from _exactly_one(where, _given(rule, ("tag", "fact")), ("tag", "fact"))
    yield from _exactly_one(where, _given(rule, comparisons), comparisons)
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


def _steps(steps: Sequence[StepSpec]) -> Iterator[Problem]:
    earlier: list[str] = []
    for number, step in enumerate(steps, start=1):
        where = f"step[{number}]"
        yield from _exactly_one(where, _given(step, ("algorithm", "network")), ("algorithm", "network"))
        if step.name in earlier:
            yield Problem(key=f"{where}.name", value=step.name, expected="a name that no earlier step has")
        if step.crop is not None and step.crop.of not in earlier:
            hint = nearest(step.crop.of, earlier)
            yield Problem(
                key=f"{where}.crop", value=step.crop.of, expected="the name of an earlier step", hint=hint
            )
        yield from _network(where, step) if step.network is not None else _algorithm(where, step)
        earlier.append(step.name)


def _algorithm(where: str, step: StepSpec) -> Iterator[Problem]:
    for name in _given(step, _NETWORK_KEYS):
        hint = f"{name} belongs to a step with a network."
        yield Problem(key=f"{where}.{name}", value=None, expected="no such key", hint=hint)


def _network(where: str, step: StepSpec) -> Iterator[Problem]:
    needed = {
        "sha256": "the SHA-256 of the network",
        "interpret": "what the outputs of the network mean",
        "gate": "[step.gate] with what the network is tried with",
    }
    for name, expected in needed.items():
        if getattr(step, name) is None:
            yield Problem(key=f"{where}.{name}", value=None, expected=expected)
    if step.interpret == "centre_heat" and step.centre_heat is None:
        expected = "[step.centre_heat] with the parameters of interpret"
        yield Problem(key=f"{where}.centre_heat", value=None, expected=expected)
    if step.interpret not in {"centre_heat", None} and step.centre_heat is not None:
        hint = f"They are not the parameters of {step.interpret}."
        yield Problem(key=f"{where}.centre_heat", value=None, expected="no such key", hint=hint)
    if step.parameters:
        hint = "parameters belong to a step with an algorithm."
        yield Problem(key=f"{where}.parameters", value=None, expected="no such key", hint=hint)
    if step.gate is not None:
        yield from _gate(f"{where}.gate", step.gate)


def _gate(where: str, gate: GateSpec) -> Iterator[Problem]:
    if not gate.low < gate.high:
        yield Problem(key=f"{where}.high", value=gate.high, expected=f"more than low, {gate.low:g}")
    if math.prod(gate.shape) > _LARGEST_GATE:
        expected = f"at most {_LARGEST_GATE} numbers in all"
        yield Problem(key=f"{where}.shape", value=list(gate.shape), expected=expected)
    yield from _repeated(f"{where}.expect", [one.output for one in gate.expect])


def _outputs(manifest: Manifest) -> Iterator[Problem]:
    steps = [step.name for step in manifest.step]
    for number, output in enumerate(manifest.output, start=1):
        where = f"output[{number}]"
        if output.step not in steps:
            hint = nearest(output.step, steps) or f"Steps: {', '.join(steps)}."
            yield Problem(key=f"{where}.step", value=output.step, expected="the name of a step", hint=hint)
        yield from _repeated(f"{where}.measure", list(output.measure))
        yield from _tracking(f"{where}.tracking", output)
    labels = [f"{one.segment} {one.laterality or ''}".strip() for one in manifest.output]
    yield from _repeated("output", labels)


def _tracking(key: str, output: OutputSpec) -> Iterator[Problem]:
    wanted = ["number"] if output.kind == "lesion" else []
    expected = "{number} once, as there can be several" if wanted else "text without { }, as there is one"
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(output.tracking) if name is not None]
    except ValueError:
        names = ["?"]
    if names != wanted:
        yield Problem(key=key, value=output.tracking, expected=expected)


def _repeated(key: str, names: Sequence[str]) -> Iterator[Problem]:
    for number, name in enumerate(names, start=1):
        if name in names[: number - 1]:
            yield Problem(key=f"{key}[{number}]", value=name, expected="another one than the entries before")


def _given(entry: object, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(entry, name) is not None]


def _exactly_one(key: str, given: Sequence[str], names: Sequence[str]) -> Iterator[Problem]:
    if len(given) != 1:
        yield Problem(key=key, value=list(given) or None, expected=f"exactly one of {', '.join(names)}")
