"""What is wrong with inputs of another Frame of Reference: earlier studies, and how they are registered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dicomnode.engine.manifest.inputs import InputSpec
from dicomnode.settings import Problem


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
