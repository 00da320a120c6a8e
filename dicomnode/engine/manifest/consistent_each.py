"""What is wrong with steps that run once for each lesion, and with lesions that are scored by one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dicomnode.engine.manifest.entries import given, no_such_keys
from dicomnode.engine.manifest.interpretation import Head
from dicomnode.engine.manifest.outputs import OutputSpec
from dicomnode.engine.manifest.tree import Manifest, StepSpec
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest

GIVE_LESIONS: Final = ("centre_heat", "boxes", "lesions")
"""What is one lesion by one: of `labels` and `sigmoid` all voxels of a class are one segment."""

_OF_A_LESION: Final = ("features", "classes", "regression")


def check_each(manifest: Manifest) -> Iterator[Problem]:
    """Find what contradicts `each` of [[step]], and `score` and `attribute` of [[output]]."""
    known = [one.name for one in manifest.step]
    for number, step in enumerate(manifest.step, start=1):
        earlier = manifest.step[: number - 1]
        where = f"step[{number}]"
        yield from _reads(where, step, earlier)
        if step.each is not None:
            yield from _each(where, step, earlier, manifest)
    for number, output in enumerate(manifest.output, start=1):
        where = f"output[{number}]"
        if output.score is not None:
            yield from _score(f"{where}.score", output, manifest)
        is_class = output.classification is not None and output.step in known
        if output.attribute is not None and is_class and manifest.each_of(output) is None:
            hint = "A value is told of each lesion: of a step with `each`."
            yield from no_such_keys(where, ["attribute"], hint)


def _each(where: str, step: StepSpec, earlier: Sequence[StepSpec], manifest: Manifest) -> Iterator[Problem]:
    """Find what is wrong with one step with `each`."""
    lesions = _lesions_at(step.each or "", earlier)
    if lesions is None:
        known = [name for one in earlier for name, head in _heads(one) if _gives_lesions(one, head)]
        hint = (
            nearest(step.each or "", known) or f"Such are {', '.join(known) or 'none of the steps before'}."
        )
        expected = f"an earlier step that gives lesions ({', '.join(GIVE_LESIONS)})"
        yield Problem(key=f"{where}.each", value=step.each, expected=expected, hint=hint)
        return
    hint = "Of a step for each lesion every head is a step of its own."
    yield from no_such_keys(where, given(step, ("head",)), hint)
    if not step.head and step.interpret not in _OF_A_LESION:
        expected = f"what a lesion can have: {', '.join(_OF_A_LESION)}"
        yield Problem(key=f"{where}.interpret", value=step.interpret, expected=expected)
    if step.network is None:
        yield from _algorithm(where, step, lesions)
    elif _sees_images(step, earlier, manifest):
        given_crop = step.crop.of if step.crop is not None else None
        wanted = (step.each or "").partition("/")[0]
        if given_crop != wanted:
            hint = "A network that sees images sees the box around the lesion."
            yield Problem(key=f"{where}.crop", value=given_crop, expected=f'of = "{wanted}"', hint=hint)
    given_as = [one for one in manifest.output if _is_of(one, step.each)]
    for one in (one for one in given_as if one.what == "segment" and one.kind not in (None, "lesion")):
        key = f"output[{manifest.output.index(one) + 1}].kind"
        hint = f"Of any other kind all of {step.each} are one segment, of which {step.name} says nothing."
        yield Problem(key=key, value=one.kind, expected='"lesion"', hint=hint)
    if not given_as:
        hint = "What is found of a lesion stands with it."
        expected = "a step whose lesions an [[output]] gives as a segment or region"
        yield Problem(key=f"{where}.each", value=step.each, expected=expected, hint=hint)


def _algorithm(where: str, step: StepSpec, lesions: Head) -> Iterator[Problem]:
    hint = "An algorithm with each measures the mask of the lesion."
    yield from no_such_keys(where, given(step, ("crop",)), hint)
    if lesions.interpret == "boxes":
        expected = "a network; boxes have no mask that an algorithm could measure"
        yield Problem(key=f"{where}.algorithm", value=step.algorithm, expected=expected)


def _reads(where: str, step: StepSpec, earlier: Sequence[StepSpec]) -> Iterator[Problem]:
    """Find what a step takes of a step for each lesion, and is not one itself of the same lesions."""
    of_lesions = {one.name: one.each for one in earlier if one.each is not None}
    for name, feed in step.inputs.items():
        for source in feed.of:
            if source in of_lesions and of_lesions[source] != step.each:
                hint = (
                    f"{source} gives a row for each lesion of {of_lesions[source]}, and nothing of the study."
                )
                expected = f'a step with each = "{of_lesions[source]}" here, or another source'
                yield Problem(key=f"{where}.inputs.{name}.of", value=source, expected=expected, hint=hint)
    if step.crop is not None and step.crop.of in of_lesions:
        hint = f"{step.crop.of} gives numbers of lesions, and no mask."
        yield Problem(key=f"{where}.crop", value=step.crop.of, expected="a step with a mask", hint=hint)


def _score(where: str, output: OutputSpec, manifest: Manifest) -> Iterator[Problem]:
    """Find a score that is none of these lesions, or of a class that is not there."""
    spec = output.score
    if spec is None or output.step not in [one.name for one in manifest.step]:
        return
    steps = {one.name: one for one in manifest.step if one.each is not None and one.interpret == "classes"}
    step = steps.get(spec.of)
    if step is None or not _is_of(output, step.each):
        known = [name for name, one in steps.items() if _is_of(output, one.each)]
        hint = nearest(spec.of, known) or f"Such are {', '.join(known) or 'none of the steps'}."
        expected = f'a step with each = "{_name_of(output)}" and interpret = "classes"'
        yield Problem(key=f"{where}.of", value=spec.of, expected=expected, hint=hint)
        return
    names = step.classes.names if step.classes is not None else ()
    if names and spec.channel >= len(names):
        yield Problem(
            key=f"{where}.channel",
            value=spec.channel,
            expected=f"below {len(names)}, as {spec.of} names them",
        )


def _name_of(output: OutputSpec) -> str:
    """Return what a step with `each` calls the lesions of an output."""
    return f"{output.step}/{output.head}" if output.head else output.step


def _is_of(output: OutputSpec, each: str | None) -> bool:
    """Tell whether an output gives the lesions that a step goes through."""
    return output.what in ("segment", "region") and _name_of(output) == each


def _lesions_at(name: str, earlier: Sequence[StepSpec]) -> Head | None:
    """Return the head that gives lesions under this name; None where none does."""
    return next(
        (
            head
            for one in earlier
            for known, head in _heads(one)
            if known == name and _gives_lesions(one, head)
        ),
        None,
    )


def _heads(step: StepSpec) -> list[tuple[str, Head]]:
    """Return the heads of a step with the names that `each` has for them."""
    return [(f"{step.name}/{head.name}", head) for head in step.head] or [(step.name, step)]


def _gives_lesions(step: StepSpec, head: Head) -> bool:
    return step.each is None and head.interpret in GIVE_LESIONS


def _sees_images(step: StepSpec, earlier: Sequence[StepSpec], manifest: Manifest) -> bool:
    """Tell whether an input of a network is no row of numbers."""
    rows = {one.name for one in manifest.input if one.kind == "tags"}
    rows |= {name for one in earlier for name, head in _heads(one) if head.interpret == "features"}
    return not step.inputs or any(source not in rows for feed in step.inputs.values() for source in feed.of)
