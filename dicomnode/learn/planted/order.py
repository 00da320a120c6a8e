"""What is asked for: which patients are learned from, and which an engine is calibrated and judged on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode import __version__
from dicomnode.learn.planted.training import Course
from dicomnode.learn.planted.world import FORM
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.phantom.suite import refuse_reserved

CALIBRATED_FROM: Final = 150_000
JUDGED_FROM: Final = 160_000
TRAINED_FROM: Final = 200_000
"""Seeds of patients; those of the frozen suite lie below all of them."""

MOST_WORLDS: Final = 5_000
MOST_SEED: Final = 1_000
_MINED_AT: Final = (0.35, 0.6, 0.8)  # of all steps
_DRAFT: Final = 3  # of the recipe: goes up when equal orders would give other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One training.

    out: folder of the engine, run: of the training itself. worlds: procedural patients that are learned from.
    judged: patients to calibrate on, and as many to judge on. backgrounds: folder of real scans, ignore: the
    table of what is known in them. mine: whether its mistakes are looked for. workers: processes that draw.
    """

    out: Path
    run: Path
    title: str
    version: str
    made_at: datetime
    seed: int = 0
    worlds: int = 80
    judged: int = 12
    steps: int = 20_000
    batch: int = 6
    backgrounds: Path | None = None
    ignore: Path | None = None
    mine: bool = True
    resume: bool = False
    workers: int = 1
    threads: int = 1
    device: str = "cpu"
    machine: str = ""

    def __post_init__(self) -> None:
        limits: Mapping[str, tuple[int, int, int]] = {
            "seed": (self.seed, 0, MOST_SEED),
            "worlds": (self.worlds, 1, MOST_WORLDS),
            "judged": (self.judged, 1, JUDGED_FROM - CALIBRATED_FROM),
            "steps": (self.steps, 1, 10_000_000),
            "batch": (self.batch, 1, 4096),
            "workers": (self.workers, 0, 64),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise ValueError(f"Order.{name} must be from {least} to {most}, got {value}")

    @property
    def course(self) -> Course:
        """How it learns."""
        at = (
            tuple(sorted({round(part * self.steps) for part in _MINED_AT} - {0, self.steps}))
            if self.mine
            else ()
        )
        return Course(seed=self.seed, steps=self.steps, batch=self.batch, mine=at)

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_WORLDS
        seeds = Seeds(
            trained=range(first, first + self.worlds),
            calibrated=range(CALIBRATED_FROM, CALIBRATED_FROM + self.judged),
            judged=range(JUDGED_FROM, JUDGED_FROM + self.judged),
        )
        for some in (seeds.trained, seeds.calibrated, seeds.judged):
            refuse_reserved(some)
        return seeds

    def digest(self, backgrounds: Sequence[str]) -> str:
        """SHA-256 of all that the weights follow from: a training goes on only where it is the same."""
        said = repr((_DRAFT, __version__, FORM, CHEST_VERSION, self.course, self.seeds, tuple(backgrounds)))
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Patients of nobody, by what they are for."""

    trained: range
    calibrated: range
    judged: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a training was made of, for the card. real: UID and digest of each scan."""

    order: Order
    step: int
    real: Sequence[tuple[str, str]]
    left_out: Sequence[str]
    curves: str
    versions: Mapping[str, str] = field(default_factory=dict)
