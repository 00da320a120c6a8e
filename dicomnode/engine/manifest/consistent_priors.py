"""What is wrong with inputs of another Frame of Reference: earlier studies, and how they are registered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dicomnode.engine.manifest.inputs import InputSpec
from dicomnode.engine.manifest.outputs import VOLUMES
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.settings import Problem

_DEFAULTS: Final = InputSpec(name="-", kind="volume")
_NOT_ITS_OWN: Final = ("prepare", "outside", "beside_first")


def check_registered(inputs: Sequence[InputSpec]) -> Iterator[Problem]:
    """Find `register` and `prior` where they mean nothing, and a prior that is not registered."""
    for number, spec in enumerate(inputs, start=1):
        where = f"input[{number}]"
        if number == 1 or spec.kind != "volume":
            hint = "It is for a further input of kind volume: results go back on the first one."
            if spec.prior is not None:
                yield Problem(key=f"{where}.prior", value=None, expected="no such table", hint=hint)
            if spec.register != "none":
                yield Problem(key=f"{where}.register", value=spec.register, expected="no such key", hint=hint)
        elif spec.prior is not None and spec.register == "none":
            hint = "Between two studies a patient moves: a prior is laid over the first input."
            yield Problem(
                key=f"{where}.register", value=spec.register, expected='"rigid" or "affine"', hint=hint
            )
    if inputs and inputs[0].series == "all":
        for number, spec in enumerate(inputs, start=1):
            if spec.prior is not None:
                hint = "One prior belongs to one series; with all series it is not known to which."
                yield Problem(key=f"input[{number}].prior", value=None, expected='series = "best"', hint=hint)


def check_compared(manifest: Manifest) -> Iterator[Problem]:
    """Find what contradicts a prior that the steps run on: its lesions are compared with those found now."""
    for number, spec in enumerate(manifest.input, start=1):
        if number == 1 or not spec.is_compared:
            continue
        where = f"input[{number}]"
        for name in _NOT_ITS_OWN:
            if getattr(spec, name) != getattr(_DEFAULTS, name):
                hint = "With compare = true it is prepared as the first input is, on a grid of its own."
                yield Problem(key=f"{where}.{name}", value=None, expected="no such key", hint=hint)
        yield from _alone(f"{where}.prior.compare", spec, manifest)
        yield from _something_to_compare(f"{where}.prior.compare", manifest)


def _alone(where: str, spec: InputSpec, manifest: Manifest) -> Iterator[Problem]:
    """Find what else the steps would need: on the prior they run as on the first input, on it alone."""
    readers = [
        step.name for step in manifest.step if any(spec.name in feed.of for feed in step.inputs.values())
    ]
    if readers:
        hint = f"Step {readers[0]} reads it. The steps run on it in the place of the first input."
        yield Problem(key=where, value=True, expected="an input that no step reads", hint=hint)
    others = [one.name for one in manifest.volumes[1:] if one is not spec]
    if others:
        hint = f"Of an earlier study there is that one series; it has nothing for {', '.join(others)}."
        yield Problem(key=where, value=True, expected="no other further volume", hint=hint)


def _something_to_compare(where: str, manifest: Manifest) -> Iterator[Problem]:
    if manifest.input[0].kind != "volume":
        hint = "Only in volumes it is known where a lesion of an earlier study lies now."
        yield Problem(key=where, value=True, expected='a first input of kind "volume"', hint=hint)
    measured = [one for one in manifest.output if one.kind == "lesion" and set(VOLUMES) & set(one.measure)]
    if not measured:
        hint = f'Such as segment = "nodule", kind = "lesion", measure = ["{VOLUMES[0]}"].'
        expected = "an [[output]] that is a lesion and has its volume measured"
        yield Problem(key=where, value=True, expected=expected, hint=hint)
