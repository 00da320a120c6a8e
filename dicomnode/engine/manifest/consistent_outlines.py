"""What is wrong with how outlines of lesions are to be drawn: where an image is needed, and keys in vain."""

from __future__ import annotations

from collections.abc import Iterator

from dicomnode.engine.manifest.entries import no_such_keys
from dicomnode.engine.manifest.interpretation import CentreHeat
from dicomnode.engine.manifest.tree import Manifest, StepSpec
from dicomnode.settings import Problem

_DENSE_LOGIT = CentreHeat().dense_logit


def check_outlines(manifest: Manifest) -> Iterator[Problem]:
    """Find what contradicts `dense_part` and `dense_logit` of [step.centre_heat]."""
    for number, step in enumerate(manifest.step, start=1):
        for n, head in enumerate(step.heads, start=1):
            if head.centre_heat is not None:
                of_head = f".head[{n}]" if step.head else ""
                yield from _of_one(f"step[{number}]{of_head}.centre_heat", head.centre_heat, step)


def _of_one(where: str, how: CentreHeat, step: StepSpec) -> Iterator[Problem]:
    if how.dense_part is None:
        if how.dense_logit != _DENSE_LOGIT:
            yield from no_such_keys(where, ["dense_logit"], "It says how far dense_part may reach.")
        return
    if how.dense_logit > how.mask_logit:
        expected = f"mask_logit, {how.mask_logit:g}, or less: a border beyond the mask's own is looked for"
        yield Problem(key=f"{where}.dense_logit", value=how.dense_logit, expected=expected)
    if sum((2 * feed.neighbours + 1) * len(feed.of) for feed in step.inputs.values()) > 1:
        hint = "Half the height of which one? The network sees several images."
        yield from no_such_keys(where, ["dense_part"], hint)
