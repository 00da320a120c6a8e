"""What is asked for: a forest, the patients it learns from, and those it is calibrated and judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from dicomnode.learn.classical.looked import FORM_OF_ROWS, LookOrder
from dicomnode.learn.drawn.order import DrawnOrder, Seeds, digest_of, seeds_from
from dicomnode.phantom.patients import CHEST_VERSION

TRAINED_FROM: Final = 320_000
MOST_WORLDS: Final = 500
MOST_SEED: Final = 9
_MOST_JUDGED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestOrder(DrawnOrder):
    """One training of a forest; run: where worlds and rows are kept, and found again another time.

    worlds: drawn patients that are learned from, each with `plantings` sets of about twelve nodules. judged:
    patients to calibrate on, and as many to judge on. Raises ValueError.
    """

    task: ClassVar = "lung-forest"
    asked: ClassVar = ("worlds", "plantings", "judged", "trees")
    limits: ClassVar = {
        "seed": (0, MOST_SEED),
        "worlds": (1, MOST_WORLDS),
        "plantings": (1, 20),
        "judged": (1, _MOST_JUDGED),
        "trees": (2, 1000),
    }

    worlds: int = 60
    plantings: int = 2
    judged: int = 12
    trees: int = 100

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_WORLDS
        return seeds_from(first, self.worlds, calibrated=self.judged, judged=self.judged)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the trees follow from."""
        return digest_of(1, FORM_OF_ROWS, self.seed, self.seeds.trained, self.plantings, self.trees)

    def world(self, seed: int) -> Path:
        """Return the folder of a patient."""
        return self.run / "worlds" / f"{seed}-{CHEST_VERSION}"

    def looks(self, seeds: range, plantings: int = 1) -> Iterator[LookOrder]:
        """Yield the exams of some patients."""
        for seed in seeds:
            for planted in range(plantings):
                kept = self.run / "rows" / f"{seed}-{planted}.npz"
                yield LookOrder(world=self.world(seed), kept=kept, planted=planted)
