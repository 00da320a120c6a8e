"""What is asked for: types for the nodules of an engine, and the patients they are learned and judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from dicomnode.learn.drawn.order import DrawnOrder, Seeds, digest_of, seeds_from
from dicomnode.learn.types.chests import scan_of
from dicomnode.learn.types.found import FORM, LookOrder, ScanOf

TRAINED_FROM: Final = 350_000
MOST_CHESTS: Final = 500
MOST_SEED: Final = 9
FOUND_FOLDER: Final = "found"
LEARNED_PART: Final = 0.5
"""Of the engine's threshold: trees also learn from nodules that it is less sure of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypesOrder(DrawnOrder):
    """One training; run: where what the engine found is kept, and taken up again.

    engine: folder of the engine that finds the nodules. title, version: of the engine with types; "": those
    of the given one. chests: drawn patients that are learned from. judged: patients to calibrate on, and as
    many to judge on. sure: probability from which a type is said. Raises ValueError.
    """

    task: ClassVar = "lung-types"
    asked: ClassVar = ("engine", "chests", "judged", "trees", "sure")
    limits: ClassVar = {
        "seed": (0, MOST_SEED),
        "chests": (1, MOST_CHESTS),
        "judged": (1, MOST_CHESTS),
        "trees": (2, 1000),
        "sure": (0.5, 0.99),  # from one half on at most one type is said
    }

    engine: Path
    title: str = ""
    version: str = ""
    chests: int = 60
    judged: int = 20
    trees: int = 100
    sure: float = 0.6

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_CHESTS
        return seeds_from(first, self.chests, calibrated=self.judged, judged=self.judged)

    def digest(self, engine: str) -> str:
        """SHA-256 of all that the trees follow from. engine: digest of the one that finds the nodules."""
        return digest_of(
            1, FORM, engine, LEARNED_PART, self.seed, self.seeds.trained, self.seeds.calibrated, self.trees
        )

    def looks(self, seeds: range, digest: str, part: float, draw: ScanOf = scan_of) -> Iterator[LookOrder]:
        """Yield the scans of some patients. digest: of the engine; part: of its threshold."""
        for seed in seeds:
            kept = self.run / FOUND_FOLDER / f"{digest[:16]}-{seed}.npz"
            yield LookOrder(seed=seed, engine=self.engine, digest=digest, part=part, kept=kept, scan_of=draw)
