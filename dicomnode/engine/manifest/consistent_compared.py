"""What is wrong with steps that compare what earlier ones found, and with a spacing of a network's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomnode.engine.manifest.entries import given, no_such_keys, repeated
from dicomnode.engine.manifest.tree import Manifest
from dicomnode.settings import Problem
from dicomnode.settings.reader import nearest

_COMPARED: Final = 2


def check_of(manifest: Manifest) -> Iterator[Problem]:
    """Find what contradicts `of` and `resample_mm` of [[step]]."""
    pictures = manifest.input[0].kind != "volume"
    for number, step in enumerate(manifest.step, start=1):
        where = f"step[{number}]"
        if step.resample_mm is not None and (pictures or step.each is not None):
            hint = "Only what sees a volume once can see it in another spacing."
            yield from no_such_keys(where, ["resample_mm"], hint)
        if not step.of:
            continue
        if step.network is not None:
            hint = "of belongs to a step with an algorithm; what a network is fed with stands in inputs."
            yield from no_such_keys(where, ["of"], hint)
            continue
        yield from no_such_keys(where, given(step, ("each",)), "A step that compares runs once.")
        names = [one.name for one in manifest.step[: number - 1] if one.each is None]
        for at, name in enumerate(step.of, start=1):
            if name not in names:
                hint = nearest(name, names) or f"Steps before: {', '.join(names) or 'none'}."
                expected = "the name of an earlier step"
                yield Problem(key=f"{where}.of[{at}]", value=name, expected=expected, hint=hint)
        yield from repeated(f"{where}.of", list(step.of))
        if len(step.of) != _COMPARED:
            expected = "two earlier steps: whose mask it takes over, and what it is compared with"
            yield Problem(key=f"{where}.of", value=list(step.of), expected=expected)
