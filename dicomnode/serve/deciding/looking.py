"""A look at some slices where a verdict hangs on what a series shows: headers say nothing, or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dicomnode.assemble import DecodeSlices, Stack, sample_slices
from dicomnode.engine import COVERS_FROM, PIXELS, EnginePackage, hang_on_pixels


def looked_at(
    stacks: Sequence[Stack], packages: Sequence[EnginePackage], decode: DecodeSlices
) -> list[Stack]:
    """Return the stacks with what their pixels show in `covers`, of those whose verdict hangs on it.

    Axial CT alone is looked at. What does not show plainly stays as the header has it. Raises NodeError about
    the disk.
    """
    facts = [stack.facts for stack in stacks]
    wanted = {
        (one.series_instance_uid, one.stack)
        for package in packages
        for one in hang_on_pixels(package.manifest, facts)
        if one.facts.get("unit") == "HU" and one.facts.get("plane") == "axial"
    }
    return [
        _looked_at(stack, decode) if (stack.facts.series_instance_uid, stack.facts.stack) in wanted else stack
        for stack in stacks
    ]


def _looked_at(stack: Stack, decode: DecodeSlices) -> Stack:
    from dicomnode.analyse import covered_by  # noqa: PLC0415 (slow to load, and few series are looked at)

    slices = sample_slices(stack, decode)
    seen = covered_by([(one.values, one.spacing_ji_mm) for one in slices])
    if not (seen.there or seen.not_there):
        return stack
    facts = stack.facts
    amended = {"covers": seen.amend(_words(facts.facts.get("covers"))), COVERS_FROM: PIXELS}
    return replace(stack, facts=replace(facts, facts={**facts.facts, **amended}))


def _words(said: object) -> tuple[str, ...] | None:
    return tuple(str(one) for one in said) if isinstance(said, tuple) else None
