"""What is asked for: which patients films are drawn of, and which an engine is calibrated and judged on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode import __version__
from dicomnode.learn.views.training import Course
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.phantom.projection import PROJECTION_VERSION
from dicomnode.phantom.suite import refuse_reserved

CALIBRATED_FROM: Final = 150_000
JUDGED_FROM: Final = 160_000
TRAINED_FROM: Final = 340_000
"""Seeds of patients; those of the frozen suite lie below all of them."""

MOST_PATIENTS: Final = 5_000
_FORM: Final = 1  # of films and network: goes up when equal orders would give other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One training. out: folder of the engine, run: of the training itself.

    patients, calibrated, judged: how many patients films are drawn of to learn from, to fit probabilities to,
    and to judge on. films: of each patient of the last two.
    """

    out: Path
    run: Path
    title: str
    version: str
    made_at: datetime
    seed: int = 0
    patients: int = 64
    calibrated: int = 24
    judged: int = 40
    films: int = 30
    steps: int = 3_000
    batch: int = 24
    resume: bool = False
    threads: int = 1
    machine: str = ""

    def __post_init__(self) -> None:
        limits: Mapping[str, tuple[int, int, int]] = {
            "seed": (self.seed, 0, 1_000),
            "patients": (self.patients, 1, MOST_PATIENTS),
            "calibrated": (self.calibrated, 1, MOST_PATIENTS),
            "judged": (self.judged, 1, MOST_PATIENTS),
            "films": (self.films, 1, 1_000),
            "steps": (self.steps, 1, 10_000_000),
            "batch": (self.batch, 1, 4_096),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise ValueError(f"Order.{name} must be from {least} to {most}, got {value}")

    @property
    def course(self) -> Course:
        """How it learns."""
        return Course(seed=self.seed, steps=self.steps, batch=self.batch)

    @property
    def trained_seeds(self) -> range:
        """Patients to learn from. Raises NodeError(SEED_RESERVED)."""
        return _seeds(TRAINED_FROM + self.seed * MOST_PATIENTS, self.patients)

    @property
    def calibrated_seeds(self) -> range:
        """Patients to fit probabilities to. Raises NodeError(SEED_RESERVED)."""
        return _seeds(CALIBRATED_FROM, self.calibrated)

    @property
    def judged_seeds(self) -> range:
        """Patients to judge on. Raises NodeError(SEED_RESERVED)."""
        return _seeds(JUDGED_FROM, self.judged)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the weights follow from: a training goes on only where it is the same."""
        parts = (_FORM, __version__, CHEST_VERSION, PROJECTION_VERSION, self.course, self.trained_seeds)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _seeds(first: int, count: int) -> range:
    seeds = range(first, first + count)
    refuse_reserved(seeds)
    return seeds
