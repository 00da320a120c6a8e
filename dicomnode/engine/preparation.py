"""What engine.toml can say about making an input ready: one entry of `prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dicomnode.settings.schema import Rule, key

_POSITIVES: Final = Rule("numbers above 0", lambda numbers: all(n > 0 for n in numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """One thing done to the volume before the steps, in the order of the list; exactly one is set.

    clip: smallest and largest value kept, in the volume's unit. orient: axes turned so that k, j, i run to
    the head, the back and the left. resample_mm: spacing of the new grid along k, j, i.
    """

    clip: tuple[float, float] | None = key(
        None, "Smallest and largest value kept.", Rule("smallest, largest", lambda pair: pair[0] < pair[1])
    )
    orient: Literal["LPS"] | None = key(None, "Directions that i, j, k run to: L, P and head.")
    resample_mm: tuple[float, float, float] | None = key(None, "New spacing along k, j, i.", _POSITIVES)
