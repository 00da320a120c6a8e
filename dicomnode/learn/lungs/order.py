"""What is asked for: which patients of nobody are learned from, and which it is judged on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode import __version__
from dicomnode.learn.lungs.worlds import FORM
from dicomnode.learn.planted.order import JUDGED_FROM
from dicomnode.learn.planted.training import Course
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.phantom.suite import refuse_reserved

TRAINED_FROM: Final = 310_000
MOST_WORLDS: Final = 1_000
MOST_SEED: Final = 9
_MOST_JUDGED: Final = 40_000
_RATE: Final = 2e-3  # at most, see `Course`
_DRAFT: Final = 1  # of the recipe: goes up when equal orders would give other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One training.

    out: folder of the engine, run: of the training itself. worlds: patients of nobody that are learned from,
    judged: others to judge on. backgrounds: folder of real scans. batch: scans a step.
    """

    out: Path
    run: Path
    title: str
    version: str
    made_at: datetime
    seed: int = 0
    worlds: int = 80
    judged: int = 12
    steps: int = 4_000
    batch: int = 2
    backgrounds: Path | None = None
    resume: bool = False
    threads: int = 1
    device: str = "cpu"
    machine: str = ""

    def __post_init__(self) -> None:
        limits: Mapping[str, tuple[int, int, int]] = {
            "seed": (self.seed, 0, MOST_SEED),
            "worlds": (self.worlds, 1, MOST_WORLDS),
            "judged": (self.judged, 1, _MOST_JUDGED),
            "steps": (self.steps, 1, 10_000_000),
            "batch": (self.batch, 1, 256),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise ValueError(f"Order.{name} must be from {least} to {most}, got {value}")

    @property
    def course(self) -> Course:
        """How it learns."""
        return Course(seed=self.seed, steps=self.steps, batch=self.batch, learning_rate=_RATE, keep_every=50)

    @property
    def trained(self) -> range:
        """Seeds of the patients that are learned from. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_WORLDS
        seeds = range(first, first + self.worlds)
        refuse_reserved(seeds)
        return seeds

    @property
    def judged_seeds(self) -> range:
        """Seeds of the patients that it is judged on."""
        return range(JUDGED_FROM, JUDGED_FROM + self.judged)

    def digest(self, backgrounds: Sequence[str]) -> str:
        """SHA-256 of all that the weights follow from: a training goes on only where it is the same."""
        said = repr((_DRAFT, __version__, FORM, CHEST_VERSION, self.course, self.trained, tuple(backgrounds)))
        return hashlib.sha256(said.encode()).hexdigest()
