"""What every training of drawn patients is asked: where it goes, and which patients are for what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from dicomnode import __version__
from dicomnode.phantom.suite import refuse_reserved

CALIBRATED_FROM: Final = 150_000
JUDGED_FROM: Final = 160_000
TRAINED_FROM: Final = 200_000
"""Seeds of patients: those of the frozen suite lie below all of them; each recipe trains on a range above."""

MOST_HELD_OUT: Final = JUDGED_FROM - CALIBRATED_FROM

_USUAL: Final[Mapping[str, tuple[int, int]]] = {"workers": (0, 64), "threads": (1, 1024)}

Limits = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnOrder:
    """One training. An order of a recipe adds what it asks beside this. Raises ValueError.

    task: of `dicomnode train`. asked: fields that are options of its command and change what comes out.
    limits: the least and the most of each field that has them. out: folder of the engine, run: of the
    training itself. made_at: when it begins. resume: whether one that was stopped is gone on with; replace:
    whether an engine that is there makes way. workers: processes that draw. threads: of the CPU. machine:
    what the card calls it.
    """

    task: ClassVar[str] = ""
    asked: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[Limits] = {}

    out: Path
    run: Path
    title: str
    version: str
    made_at: datetime
    seed: int = 0
    resume: bool = False
    replace: bool = False
    workers: int = 0
    threads: int = 1
    device: str = "cpu"
    machine: str = ""

    def __post_init__(self) -> None:
        for name, (least, most) in {**self.limits, **_USUAL}.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"Order.{name} must be from {least} to {most}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Patients of nobody, by what they are for."""

    trained: range
    calibrated: range
    judged: range


def seeds_from(first: int, trained: int, *, calibrated: int = 0, judged: int) -> Seeds:
    """Return which patients are for what; trained: how many, from `first` on. NodeError(SEED_RESERVED).

    Those who are calibrated and judged on are the same for all recipes, and nobody trains on them.
    """
    if first < TRAINED_FROM or max(calibrated, judged) > MOST_HELD_OUT:
        raise ValueError(f"patients from {first}, {calibrated} and {judged} held out, would meet")
    seeds = Seeds(
        trained=range(first, first + trained),
        calibrated=range(CALIBRATED_FROM, CALIBRATED_FROM + calibrated),
        judged=range(JUDGED_FROM, JUDGED_FROM + judged),
    )
    for some in (seeds.trained, seeds.calibrated, seeds.judged):
        refuse_reserved(some)
    return seeds


def digest_of(*parts: Any) -> str:
    """SHA-256 of all that weights follow from: a training goes on only where it is the same.

    parts: first the number of the recipe's draft; each says all of itself in its `repr`.
    """
    draft, *others = parts
    return hashlib.sha256(repr((draft, __version__, *others)).encode()).hexdigest()
