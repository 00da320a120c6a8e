"""What is asked for: which patients films are drawn of, and which an engine is calibrated and judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from dicomnode.learn.drawn.order import DrawnOrder, Seeds, digest_of, seeds_from
from dicomnode.learn.views.training import Course
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.phantom.projection import PROJECTION_VERSION

TRAINED_FROM: Final = 340_000
MOST_PATIENTS: Final = 5_000
_FORM: Final = 1  # of films and network: goes up when equal orders would give other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(DrawnOrder):
    """One training of the view check.

    patients, calibrated, judged: how many patients films are drawn of to learn from, to fit probabilities to,
    and to judge on. films: of each patient of the last two. batch: films a step. Raises ValueError.
    """

    task: ClassVar = "view-check"
    asked: ClassVar = ("patients", "calibrated", "judged", "films", "steps", "batch")
    limits: ClassVar = {
        "seed": (0, 1_000),
        "patients": (1, MOST_PATIENTS),
        "calibrated": (1, MOST_PATIENTS),
        "judged": (1, MOST_PATIENTS),
        "films": (1, 1_000),
        "steps": (1, 10_000_000),
        "batch": (1, 4_096),
    }

    patients: int = 64
    calibrated: int = 24
    judged: int = 40
    films: int = 30
    steps: int = 3_000
    batch: int = 24

    @property
    def course(self) -> Course:
        """How it learns."""
        return Course(seed=self.seed, steps=self.steps, batch=self.batch)

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_PATIENTS
        return seeds_from(first, self.patients, calibrated=self.calibrated, judged=self.judged)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the weights follow from: a training goes on only where it is the same."""
        return digest_of(_FORM, CHEST_VERSION, PROJECTION_VERSION, self.course, self.seeds.trained)
