"""What is asked for: forests on numbers of lungs, who they learn from, and who they are judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from dicomnode.learn.drawn.order import DrawnOrder, Seeds, digest_of, seeds_from
from dicomnode.learn.patterns.looked import LookOrder
from dicomnode.learn.patterns.steps import FORM

TRAINED_FROM: Final = 320_000
MOST_PATIENTS: Final = 500
MOST_SEED: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternsOrder(DrawnOrder):
    """One training of forests; run: where the numbers of each patient are kept, and found again.

    patients: drawn ones that are learned from. calibrated, judged: others, for probability and threshold, and
    for the figures. Raises ValueError.
    """

    task: ClassVar = "lung-patterns"
    asked: ClassVar = ("patients", "calibrated", "judged", "trees")
    limits: ClassVar = {
        "seed": (0, MOST_SEED),
        "patients": (1, MOST_PATIENTS),
        "calibrated": (1, MOST_PATIENTS),
        "judged": (1, MOST_PATIENTS),
        "trees": (2, 1000),
    }

    patients: int = 120
    calibrated: int = 40
    judged: int = 60
    trees: int = 100

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_PATIENTS
        return seeds_from(first, self.patients, calibrated=self.calibrated, judged=self.judged)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the trees follow from."""
        return digest_of(1, FORM, self.seed, self.seeds.trained, self.seeds.calibrated, self.trees)

    @property
    def measuring(self) -> Path:
        """Folder of the engine that measures."""
        return self.run / "measuring"

    @property
    def table(self) -> Path:
        """The numbers of those who are learned from, for `dicomnode train heads`."""
        return self.run / "numbers.csv"

    def looks(self, seeds: range, digest: str) -> Iterator[LookOrder]:
        """Yield what is wanted of some patients. digest: of the engine that measures."""
        for seed in seeds:
            kept = self.run / "rows" / f"{seed}.npz"
            yield LookOrder(seed=seed, engine=self.measuring, digest=digest, kept=kept)
