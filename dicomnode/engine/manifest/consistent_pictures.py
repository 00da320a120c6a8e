"""What is wrong between the keys of engine.toml where an input is a picture or cine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomnode.engine.manifest.inputs import InputSpec
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.settings import Problem

_MEASURES: Final = ("long_axis_mm", "short_axis_mm")
_OF_SOURCE_FRAMES: Final = ("segment", "region", "map", "image")
_OPPOSITE: Final = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}


def check_pictures(manifest: Manifest) -> Iterator[Problem]:
    """Find what is wrong with pictures among the inputs, and with what is wanted of them."""
    series = [one for one in manifest.input if one.kind != "tags"]
    for number, spec in enumerate(manifest.input, start=1):
        where = f"input[{number}]"
        if not spec.is_picture:
            if spec.picture is not None:
                hint = "It is of an input of kind picture or cine."
                yield Problem(key=f"{where}.picture", value=None, expected="no such key", hint=hint)
        elif any(not one.is_picture for one in series):
            hint = "A picture has no place in patient space, so nothing can be laid over it."
            yield Problem(key=f"{where}.kind", value=spec.kind, expected="pictures only, or none", hint=hint)
        else:
            yield from _picture(where, spec)
    if series and all(one.is_picture for one in series):
        yield from _outputs(manifest, series[0])


def _picture(where: str, spec: InputSpec) -> Iterator[Problem]:
    how = spec.how
    if spec.kind == "picture" and how.frames_per_s is not None:
        hint = "One picture has no frames."
        yield Problem(
            key=f"{where}.picture.frames_per_s", value=how.frames_per_s, expected="no such key", hint=hint
        )
    if how.rows_toward and how.columns_toward in (how.rows_toward, _OPPOSITE[how.rows_toward]):
        yield Problem(
            key=f"{where}.picture.columns_toward",
            value=how.columns_toward,
            expected="another axis of the body than that of rows_toward",
        )
    for name in ("mean", "sd"):
        given = getattr(how, name)
        if given is not None and len(given) != how.channels:
            expected = f"{how.channels} number(s), one a channel"
            yield Problem(key=f"{where}.picture.{name}", value=list(given), expected=expected)


def _outputs(manifest: Manifest, first: InputSpec) -> Iterator[Problem]:
    for number, output in enumerate(manifest.output, start=1):
        for measure in output.measure:
            if measure not in _MEASURES:
                yield Problem(
                    key=f"output[{number}].measure",
                    value=measure,
                    expected=f"what a picture has: {', '.join(_MEASURES)}",
                )
        if first.how.frames_per_s is not None and output.what in _OF_SOURCE_FRAMES:
            yield Problem(
                key=f"output[{number}].{output.what}",
                value=output.label,
                expected="a result without a place, such as classification or measurement",
                hint="With frames_per_s a network sees other frames than the cine has.",
            )
    for number, step in enumerate(manifest.step, start=1):
        if step.algorithm is not None:
            hint = "The node's algorithms look at volumes."
            yield Problem(
                key=f"step[{number}].algorithm", value=step.algorithm, expected="a network", hint=hint
            )
