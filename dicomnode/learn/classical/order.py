"""What is asked for: a forest, the patients it learns from, and those it is calibrated and judged on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode.learn.classical.looked import LookOrder
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.phantom.suite import refuse_reserved

TRAINED_FROM: Final = 320_000
CALIBRATED_FROM: Final = 150_000
JUDGED_FROM: Final = 160_000
MOST_WORLDS: Final = 500
MOST_SEED: Final = 9
_MOST_JUDGED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestOrder:
    """One training.

    out: folder of the engine; run: where worlds and rows are kept, and found again another time. worlds:
    drawn patients that are learned from, each with `plantings` sets of about twelve nodules. judged: patients
    to calibrate on, and as many to judge on. workers: processes that draw. Raises ValueError.
    """

    out: Path
    run: Path
    title: str
    version: str
    made_at: datetime
    seed: int = 0
    worlds: int = 60
    plantings: int = 2
    judged: int = 12
    trees: int = 100
    workers: int = 0
    threads: int = 1
    machine: str = ""

    def __post_init__(self) -> None:
        limits: Mapping[str, tuple[int, int, int]] = {
            "seed": (self.seed, 0, MOST_SEED),
            "worlds": (self.worlds, 1, MOST_WORLDS),
            "plantings": (self.plantings, 1, 20),
            "judged": (self.judged, 1, _MOST_JUDGED),
            "trees": (self.trees, 2, 1000),
            "workers": (self.workers, 0, 64),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise ValueError(f"ForestOrder.{name} must be from {least} to {most}, got {value}")

    @property
    def trained(self) -> range:
        """Seeds of the patients that are learned from. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_WORLDS
        return _free(range(first, first + self.worlds))

    @property
    def calibrated(self) -> range:
        """Seeds of those that the line and the threshold are set on."""
        return _free(range(CALIBRATED_FROM, CALIBRATED_FROM + self.judged))

    @property
    def held_out(self) -> range:
        """Seeds of those that it is judged on."""
        return _free(range(JUDGED_FROM, JUDGED_FROM + self.judged))

    def world(self, seed: int) -> Path:
        """Return the folder of a patient."""
        return self.run / "worlds" / f"{seed}-{CHEST_VERSION}"

    def looks(self, seeds: range, plantings: int = 1) -> Iterator[LookOrder]:
        """Yield the exams of some patients."""
        for seed in seeds:
            for planted in range(plantings):
                kept = self.run / "rows" / f"{seed}-{planted}.npz"
                yield LookOrder(world=self.world(seed), kept=kept, planted=planted)


def _free(seeds: range) -> range:
    refuse_reserved(seeds)
    return seeds
