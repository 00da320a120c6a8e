"""What is asked for: which patients are learned from, and which an engine is calibrated and judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from dicomnode.learn.drawn.order import (
    CALIBRATED_FROM,
    JUDGED_FROM,
    MOST_HELD_OUT,
    TRAINED_FROM,
    DrawnOrder,
    Seeds,
    digest_of,
    seeds_from,
)
from dicomnode.learn.planted.training import Course
from dicomnode.learn.planted.world import FORM
from dicomnode.phantom.patients import CHEST_VERSION

__all__ = ["CALIBRATED_FROM", "JUDGED_FROM", "MOST_SEED", "MOST_WORLDS", "TRAINED_FROM", "Order", "Seeds"]

MOST_WORLDS: Final = 5_000
MOST_SEED: Final = 21
"""The patients of the next one would be those that other recipes train on, which see what this one finds."""

_MINED_AT: Final = (0.35, 0.6, 0.8)  # of all steps
_DRAFT: Final = 3  # of the recipe: goes up when equal orders would give other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(DrawnOrder):
    """One training of nodules.

    worlds: procedural patients that are learned from. judged: patients to calibrate on, and as many to judge
    on. backgrounds: folder of real scans, ignore: the table of what is known in them. batch: patches a step.
    mine: whether its mistakes are looked for. Raises ValueError.
    """

    task: ClassVar = "lung-nodules"
    asked: ClassVar = ("worlds", "judged", "steps", "batch", "mine", "backgrounds", "ignore", "device")
    limits: ClassVar = {
        "seed": (0, MOST_SEED),
        "worlds": (1, MOST_WORLDS),
        "judged": (1, MOST_HELD_OUT),
        "steps": (1, 10_000_000),
        "batch": (1, 4096),
    }

    worlds: int = 80
    judged: int = 12
    steps: int = 20_000
    batch: int = 6
    backgrounds: Path | None = None
    ignore: Path | None = None
    mine: bool = True
    workers: int = 1

    @property
    def course(self) -> Course:
        """How it learns."""
        at = sorted({round(part * self.steps) for part in _MINED_AT} - {0, self.steps}) if self.mine else ()
        return Course(seed=self.seed, steps=self.steps, batch=self.batch, mine=tuple(at))

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_WORLDS
        return seeds_from(first, self.worlds, calibrated=self.judged, judged=self.judged)

    def digest(self, backgrounds: Sequence[str]) -> str:
        """SHA-256 of all that the weights follow from: a training goes on only where it is the same."""
        return digest_of(_DRAFT, FORM, CHEST_VERSION, self.course, self.seeds, tuple(backgrounds))
