"""What is wrong between the keys of [[output]] tables, and with the steps that they name."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Final

from dicomnode.engine.manifest.entries import exactly_one, given, no_such_keys, repeated
from dicomnode.engine.manifest.interpretation import Head
from dicomnode.engine.manifest.outputs import GIVEN_BY, KINDS, OutputSpec
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest

_NAMES: Final = {
    "kind": '"anatomy", "lesion" or "tissue"',
    "category": "{ scheme, code, meaning }: the segmented property category",
    "type": "{ scheme, code, meaning }: what it is",
    "tracking": "the Tracking Identifier",
    "unit": '{ scheme = "UCUM", code, meaning }',
}
_DEFAULTS: Final = OutputSpec(step="-")
_BY_CHANNEL: Final = ("labels", "sigmoid")
_ONE_KIND: Final = ("centre_heat", "lesions")
_WITHOUT_CHANNELS: Final = (None, *_ONE_KIND, "anomaly")


def check_outputs(manifest: Manifest) -> Iterator[Problem]:
    """Find what is wrong with the outputs of a manifest."""
    steps = [step.name for step in manifest.step]
    for number, output in enumerate(manifest.output, start=1):
        where = f"output[{number}]"
        yield from exactly_one(where, given(output, tuple(KINDS)), tuple(KINDS))
        if output.step not in steps:
            hint = nearest(output.step, steps) or f"Steps: {', '.join(steps)}."
            yield Problem(key=f"{where}.step", value=output.step, expected="the name of a step", hint=hint)
        elif output.what:
            yield from _given_by(where, output, manifest)
        if output.what:
            yield from _keys(where, output)
        yield from repeated(f"{where}.measure", list(output.measure))
    yield from repeated("output", [_given_label(one) for one in manifest.output])


def _given_label(output: OutputSpec) -> str:
    """Return what a label will be; tracking UIDs are made of it, so segments and regions share none."""
    if output.what == "region" or output.kind == "lesion":
        return f"{output.label}-{{number}}"
    if output.what == "segment":
        return f"{output.label}-{output.laterality}" if output.laterality else output.label
    return f"{output.what} {output.label}"


def _given_by(where: str, output: OutputSpec, manifest: Manifest) -> Iterator[Problem]:
    """Find whether the step has the head that is named, and whether that gives such a thing."""
    step = manifest.step_named(output.step)
    names = [head.name for head in step.head]
    head: Head | None = None
    if output.head and output.head not in names:
        hint = nearest(output.head, names) or f"Heads: {', '.join(names) or 'the step has none'}."
        yield Problem(key=f"{where}.head", value=output.head, expected="a head of the step", hint=hint)
        return
    if not output.head and len(names) > 1:
        yield Problem(
            key=f"{where}.head", value=None, expected="a head of the step", hint=f"Heads: {', '.join(names)}."
        )
        return
    head = step.head_named(output.head)
    gives = GIVEN_BY[head.interpret]
    if output.what not in gives:
        maker = f"interpret = {head.interpret}" if head.interpret else "an algorithm"
        yield Problem(
            key=f"{where}.{output.what}",
            value=output.label,
            expected=" or ".join(gives),
            hint=f"That is what {maker} gives.",
        )
        return
    yield from _passed_over(where, output, head)
    yield from _again(where, output, head, manifest)


def _passed_over(where: str, output: OutputSpec, head: Head) -> Iterator[Problem]:
    """Find keys that what reads the head would pass over."""
    reader = head.interpret or "An algorithm"
    if head.interpret == "anomaly" and output.threshold != _DEFAULTS.threshold:
        yield from no_such_keys(where, ["threshold"], "Of anomaly it is the quantile of its table.")
    if head.interpret not in _BY_CHANNEL and output.largest is not None:
        yield from no_such_keys(where, ["largest"], f"{reader} does not tell parts apart by their size.")
    if output.interval_channels is None and output.interval_percent != _DEFAULTS.interval_percent:
        yield from no_such_keys(
            where, ["interval_percent"], "It is of the interval that interval_channels give."
        )
    if head.interpret in _WITHOUT_CHANNELS and output.channel:
        yield from no_such_keys(where, ["channel"], f"{reader} has no channels.")


def _again(where: str, output: OutputSpec, head: Head, manifest: Manifest) -> Iterator[Problem]:
    """Find whether an earlier output is the same voxels, or the same boxes."""
    if head.interpret not in (*_BY_CHANNEL, "boxes", *_ONE_KIND):
        return
    channel = 0 if head.interpret in _ONE_KIND else manifest.channel_of(output)
    for other in manifest.of_head(output.step, output.head):
        if other is output:
            return
        same = head.interpret in _ONE_KIND or manifest.channel_of(other) == channel
        if same and _given_label(other) != _given_label(output):  # else one word on it is enough
            yield Problem(
                key=f"{where}.channel",
                value=channel,
                expected="a channel that no earlier [[output]] is",
                hint=f"{other.label} is that of {head.interpret}.",
            )
            return


def _keys(where: str, output: OutputSpec) -> Iterator[Problem]:
    """Find keys that this kind of output needs and has not, or has and does not know."""
    kind = KINDS[output.what]
    for name in kind.needs:
        if getattr(output, name) is None:
            yield Problem(key=f"{where}.{name}", value=None, expected=_NAMES[name])
    known = {*kind.needs, *kind.may, "step", "head", *KINDS}
    strange = [
        name
        for name in OutputSpec.__dataclass_fields__
        if name not in known and getattr(output, name) != getattr(_DEFAULTS, name)
    ]
    others = [*kind.needs, *kind.may]
    hint = f"A {output.what} has {', '.join(others)}." if others else f"{output.what} takes no more keys."
    yield from no_such_keys(where, strange, hint)
    if output.tracking is not None and "tracking" in kind.needs:
        yield from _tracking(f"{where}.tracking", output)


def _tracking(key: str, output: OutputSpec) -> Iterator[Problem]:
    wanted = ["number"] if output.kind == "lesion" or output.what == "region" else []
    expected = "{number} once, as there can be several" if wanted else "text without { }, as there is one"
    try:
        # A width or a conversion is none of the few things that a number can be written as
        names = [
            f"{name}{form}{turn or ''}"
            for _, name, form, turn in string.Formatter().parse(output.tracking or "")
            if name is not None
        ]
    except ValueError:
        names = ["?"]
    if names != wanted:
        yield Problem(key=key, value=output.tracking, expected=expected)
