"""What is asked for: which patients of nobody are learned from, and which it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from dicomnode.learn.drawn.order import (
    MOST_HELD_OUT,
    DrawnOrder,
    Seeds,
    digest_of,
    seeds_from,
)
from dicomnode.learn.lungs.worlds import FORM
from dicomnode.learn.planted.training import Course
from dicomnode.phantom.patients import CHEST_VERSION

TRAINED_FROM: Final = 310_000
MOST_WORLDS: Final = 1_000
MOST_SEED: Final = 9
_RATE: Final = 2e-3  # at most, see `Course`
_DRAFT: Final = 1  # of the recipe: goes up when equal orders would give other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(DrawnOrder):
    """One training of lung masks.

    worlds: patients of nobody that are learned from, judged: others to judge on. backgrounds: folder of real
    scans. batch: scans a step. Raises ValueError.
    """

    task: ClassVar = "lung-masks"
    asked: ClassVar = ("worlds", "judged", "steps", "batch", "backgrounds", "device")
    limits: ClassVar = {
        "seed": (0, MOST_SEED),
        "worlds": (1, MOST_WORLDS),
        "judged": (1, MOST_HELD_OUT),
        "steps": (1, 10_000_000),
        "batch": (1, 256),
    }

    worlds: int = 80
    judged: int = 12
    steps: int = 4_000
    batch: int = 2
    backgrounds: Path | None = None

    @property
    def course(self) -> Course:
        """How it learns."""
        return Course(seed=self.seed, steps=self.steps, batch=self.batch, learning_rate=_RATE, keep_every=50)

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        return seeds_from(TRAINED_FROM + self.seed * MOST_WORLDS, self.worlds, judged=self.judged)

    def digest(self, backgrounds: Sequence[str]) -> str:
        """SHA-256 of all that the weights follow from: a training goes on only where it is the same."""
        return digest_of(_DRAFT, FORM, CHEST_VERSION, self.course, self.seeds.trained, tuple(backgrounds))
