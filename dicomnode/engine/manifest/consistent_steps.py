"""What is wrong between the keys of [[step]] tables: networks and algorithms, their heads and inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from dicomnode.engine.manifest.entries import exactly_one, given, no_such_keys, repeated
from dicomnode.engine.manifest.inputs import Feed
from dicomnode.engine.manifest.interpretation import NEEDED_TABLES, PARAMETER_TABLES, Anomaly, Features, Head
from dicomnode.engine.manifest.tree import Crop, GateSpec, Manifest, StepSpec, Window
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest

# The gate runs at every start of a worker; more than this is no quick try.
_LARGEST_GATE: Final = 2**24

_HEAD_KEYS: Final = ("interpret", "output", *PARAMETER_TABLES)
_NETWORK_KEYS: Final = ("sha256", "crop", "gate", "head", "inputs", "typical_kji", "resample_mm", *_HEAD_KEYS)
# Of an algorithm that gives a row of numbers: interpret = "features"
_ROW_KEYS: Final = ("interpret", "features", "crop")
# Of one that looks for lesions: interpret = "lesions"
_LESION_KEYS: Final = ("interpret", "crop")
# One answer for the whole box: windows would give several
_OF_THE_WHOLE: Final = ("classes", "sequence", "regression", "features")
_SLICES: Final = ("t", "k")
# Keys of [step.window] that only the rules of other frameworks know, and that only outputs on a grid know
_OF_RULES: Final = ("pad", "pad_value")
_OF_MAPS: Final = ("rule", *_OF_RULES, "mirror", "batch")
_OF_WINDOWS: Final = ("overlap", "blend", "rule", "sigma", *_OF_RULES, "batch")
_WINDOW: Final = Window()


def check_steps(manifest: Manifest) -> Iterator[Problem]:
    """Find what is wrong with the steps of a manifest."""
    earlier: list[StepSpec] = []
    for number, step in enumerate(manifest.step, start=1):
        where = f"step[{number}]"
        names = [one.name for one in earlier]
        yield from exactly_one(where, given(step, ("algorithm", "network")), ("algorithm", "network"))
        if step.name in names:
            yield Problem(key=f"{where}.name", value=step.name, expected="a name that no earlier step has")
        if step.crop is not None and step.crop.of not in names:
            hint = nearest(step.crop.of, names)
            yield Problem(
                key=f"{where}.crop", value=step.crop.of, expected="the name of an earlier step", hint=hint
            )
        if step.network is None:
            yield from _algorithm(where, step)
        else:
            yield from _network(where, step)
            yield from _feeds(where, step, manifest, earlier)
        earlier.append(step)


def _algorithm(where: str, step: StepSpec) -> Iterator[Problem]:
    """Find keys of networks; one that gives a row of numbers, or lesions, says so, and in whose mask."""
    may = {"features": _ROW_KEYS, "lesions": _LESION_KEYS}.get(step.interpret or "", ())
    for name in given(step, _NETWORK_KEYS):
        if name not in may:
            also = ', or to an algorithm with interpret = "features"' if name in ("crop", "features") else ""
            yield from no_such_keys(where, [name], f"{{name}} belongs to a step with a network{also}.")
    if "crop" in may and step.crop is not None and step.crop != Crop(of=step.crop.of):
        hint = "An algorithm sees the mask of that step: it has no margin, and nothing is padded."
        yield Problem(key=f"{where}.crop", value=step.crop.of, expected="the name of a step alone", hint=hint)
    if (
        "features" in may
        and step.features is not None
        and step.features != Features(names=step.features.names)
    ):
        yield from no_such_keys(f"{where}.features", ["pool"], "An algorithm gives no map that is pooled.")


def _network(where: str, step: StepSpec) -> Iterator[Problem]:
    needed = {
        "sha256": "the SHA-256 of the network",
        "gate": "[step.gate] with what the network is tried with",
    }
    for name, expected in needed.items():
        if getattr(step, name) is None:
            yield Problem(key=f"{where}.{name}", value=None, expected=expected)
    if step.parameters:
        hint = "parameters belong to a step with an algorithm."
        yield Problem(key=f"{where}.parameters", value=None, expected="no such key", hint=hint)
    if step.head:
        hint = "{name} belongs to one of the [[step.head]] tables."
        yield from no_such_keys(where, given(step, _HEAD_KEYS), hint)
        yield from repeated(f"{where}.head", [head.name for head in step.head])
    yield from _window(f"{where}.window", step)
    yield from _typical(f"{where}.typical_kji", step)
    for number, head in enumerate(step.heads, start=1):
        yield from _head(f"{where}.head[{number}]" if step.head else where, head, step)
    if step.gate is not None:
        yield from _gate(f"{where}.gate", step.gate, step)


def _window(where: str, step: StepSpec) -> Iterator[Problem]:
    """Find keys of [step.window] that its rule, or what reads the network, would pass over."""
    yield from repeated(f"{where}.mirror", list(step.window.mirror))
    read = {head.interpret for head in step.heads}
    known_to: tuple[str, ...] = ()
    hint = ""
    if step.window.whole:
        known_to = (*_OF_WINDOWS, "mirror") if read & {*_OF_THE_WHOLE, "boxes"} else _OF_WINDOWS
        hint = "A box that goes through whole has no windows, and a mean of flipped ones is one of maps."
    elif "boxes" in read:
        known_to, hint = _OF_MAPS, "boxes are looked for window by window, by the node's own rule."
    elif step.window.rule == "even":
        known_to, hint = ("pad",), 'By the rule "even" a small box has one value around it.'
        if step.crop is not None:
            known_to, hint = _OF_RULES, 'By the rule "even" [step.crop] says what lies around a small box.'
    names = [name for name in known_to if getattr(step.window, name) != getattr(_WINDOW, name)]
    yield from no_such_keys(where, names, hint)


def _typical(where: str, step: StepSpec) -> Iterator[Problem]:
    """Find a usual box that the network never sees."""
    if step.typical_kji is None:
        return
    multiple = step.crop.multiple if step.crop is not None else 1
    if not step.window.whole:
        hint = "A network that goes over its box in windows is tuned for those."
        yield Problem(key=where, value=list(step.typical_kji), expected="no such key", hint=hint)
    elif any(side % multiple for side in step.typical_kji):
        expected = f"multiples of {multiple}, as sides of the box are"
        yield Problem(key=where, value=list(step.typical_kji), expected=expected)


def _head(where: str, head: Head, step: StepSpec) -> Iterator[Problem]:
    if head.interpret is None:
        yield Problem(key=f"{where}.interpret", value=None, expected="what the outputs of the network mean")
        return
    if head.interpret == "lesions":
        hint = "It is what an algorithm gives, such as blobs; of a network see centre_heat and boxes."
        yield Problem(key=f"{where}.interpret", value="lesions", expected="what a network gives", hint=hint)
    if head.interpret in NEEDED_TABLES and getattr(head, head.interpret) is None:
        table = f"[step.{'head.' if step.head else ''}{head.interpret}]"
        yield Problem(
            key=f"{where}.{head.interpret}",
            value=None,
            expected=f"{table} with the parameters of interpret",
        )
    others = [name for name in given(head, PARAMETER_TABLES) if name != head.interpret]
    yield from no_such_keys(where, others, f"They are not the parameters of {head.interpret}.")
    one_answer = head.interpret in _OF_THE_WHOLE or (head.anomaly is not None and head.anomaly.score)
    if one_answer and not step.window.whole:
        where_window = where.partition(".head")[0]
        hint = f"{head.interpret} gives one answer for the box: prepare it to the size of the network."
        yield Problem(
            key=f"{where_window}.window.size_kji",
            value=list(step.window.size_kji or ()),
            expected='window = "whole"',
            hint=hint,
        )
    if head.anomaly is not None:
        yield from _anomaly(f"{where}.anomaly", head.anomaly)
    for name in ("classes", "sequence"):
        how = getattr(head, name)
        if how is not None and how.activation == "none" and how.temperature != 1.0:
            hint = "A temperature divides logits: what needs no activation has none."
            yield from no_such_keys(f"{where}.{name}", ["temperature"], hint)


def _anomaly(where: str, anomaly: Anomaly) -> Iterator[Problem]:
    if not given(anomaly, ("score", "map", "reconstruction")):
        expected = "at least one of score, map, reconstruction"
        yield Problem(key=where, value=None, expected=expected)
    if anomaly.map is not None and anomaly.reconstruction is not None:
        hint = "The map is the difference between input and reconstruction."
        yield Problem(key=f"{where}.map", value=anomaly.map, expected="no such key", hint=hint)


def _feeds(where: str, step: StepSpec, manifest: Manifest, earlier: Sequence[StepSpec]) -> Iterator[Problem]:
    for name, feed in step.inputs.items():
        key = f"{where}.inputs.{name}"
        rows = [_is_row(source, manifest, earlier) for source in feed.of]
        for n, (source, row) in enumerate(zip(feed.of, rows, strict=True), start=1):
            if row is None:
                known = [*(one.name for one in manifest.input), *(one.name for one in earlier)]
                hint = nearest(source, known) or f"Names: {', '.join(known)}."
                expected = "the name of an input or of an earlier step that gives numbers"
                yield Problem(key=f"{key}.of[{n}]", value=source, expected=expected, hint=hint)
        if True in rows and False in rows:
            hint = "Channels and rows of numbers go into inputs of their own."
            expected = "volumes only, or rows of numbers only"
            yield Problem(key=f"{key}.of", value=list(feed.of), expected=expected, hint=hint)
    yield from _sequence_axes(where, step)


def _sequence_axes(where: str, step: StepSpec) -> Iterator[Problem]:
    """A sequence needs a network that tells slices apart: along t, or each for itself."""
    if not any(head.interpret == "sequence" for head in step.heads):
        return
    if not any(_tells_slices(feed) for feed in step.inputs.values()):
        hint = 'Such as inputs = { image = { of = "ct", axes = "ntcji" } }, or axes = "ncji".'
        yield Problem(
            key=f"{where}.inputs", value=None, expected="an input with slices as a sequence", hint=hint
        )


def _tells_slices(feed: Feed) -> bool:
    return "t" in feed.axes or not any(letter in feed.axes for letter in _SLICES)


def _is_row(source: str, manifest: Manifest, earlier: Sequence[StepSpec]) -> bool | None:
    """Tell whether a source is a row of numbers (or a volume); None when it is nothing that can be fed."""
    for given_input in manifest.input:
        if given_input.name == source:
            return given_input.kind == "tags"
    step_name, _, head_name = source.partition("/")
    for step in earlier:
        if step.name != step_name:
            continue
        heads = [head for head in step.heads if head_name in ("", head.name)]
        if any(head.interpret == "features" for head in heads[:1]):
            return True
        fields = ("labels", "sigmoid", "centre_heat", "map", "image")
        return False if step.network is None or (heads and heads[0].interpret in fields) else None
    return None


def _gate(where: str, gate: GateSpec, step: StepSpec) -> Iterator[Problem]:
    if not gate.low < gate.high:
        yield Problem(key=f"{where}.high", value=gate.high, expected=f"more than low, {gate.low:g}")
    if not gate.shape and not gate.shapes:
        yield Problem(key=f"{where}.shape", value=None, expected="the shape of the input tensor")
    sizes = {"shape": gate.shape, **{f"shapes.{name}": shape for name, shape in gate.shapes.items()}}
    for name, shape in sizes.items():
        if math.prod(shape) > _LARGEST_GATE:
            expected = f"at most {_LARGEST_GATE} numbers in all"
            yield Problem(key=f"{where}.{name}", value=list(shape), expected=expected)
        if min(shape, default=1) < 1:
            yield Problem(key=f"{where}.{name}", value=list(shape), expected="numbers above 0")
    for name in gate.shapes:
        if step.inputs and name not in step.inputs:
            hint = nearest(name, list(step.inputs)) or f"Inputs: {', '.join(step.inputs)}."
            yield Problem(
                key=f"{where}.shapes.{name}", value=name, expected="an input of the step", hint=hint
            )
    yield from repeated(f"{where}.expect", [one.output for one in gate.expect])
