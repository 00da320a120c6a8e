"""What is asked for: types for the nodules of an engine, and the patients they are learned and judged on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode.learn.drawn.order import Seeds, seeds_from
from dicomnode.learn.types.chests import scan_of
from dicomnode.learn.types.found import LookOrder, ScanOf

TRAINED_FROM: Final = 350_000
MOST_CHESTS: Final = 500
MOST_SEED: Final = 9
LEARNED_PART: Final = 0.5
"""Of the engine's threshold: trees also learn from nodules that it is less sure of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypesOrder:
    """One training.

    engine: folder of the engine that finds the nodules; out: of the engine with types. run: where what it
    found is kept, and taken up again. chests: drawn patients that are learned from. judged: patients to
    calibrate on, and as many to judge on. sure: probability from which a type is said. version: of the new
    engine; None: that of the given one. workers: processes that draw and look. Raises ValueError.
    """

    engine: Path
    out: Path
    run: Path
    made_at: datetime
    version: str | None = None
    title: str | None = None
    seed: int = 0
    chests: int = 60
    judged: int = 20
    trees: int = 100
    sure: float = 0.6
    workers: int = 0
    threads: int = 1
    machine: str = ""

    def __post_init__(self) -> None:
        limits: Mapping[str, tuple[float, float, float]] = {
            "seed": (self.seed, 0, MOST_SEED),
            "chests": (self.chests, 1, MOST_CHESTS),
            "judged": (self.judged, 1, MOST_CHESTS),
            "trees": (self.trees, 2, 1000),
            # From one half on at most one type is said
            "sure": (self.sure, 0.5, 0.99),
            "workers": (self.workers, 0, 64),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise ValueError(f"TypesOrder.{name} must be from {least:g} to {most:g}, got {value:g}")

    @property
    def trained(self) -> range:
        """Seeds of the patients that are learned from. Raises NodeError(SEED_RESERVED)."""
        return self._seeds.trained

    @property
    def calibrated(self) -> range:
        """Seeds of those that probabilities are fitted on."""
        return self._seeds.calibrated

    @property
    def held_out(self) -> range:
        """Seeds of those that it is judged on."""
        return self._seeds.judged

    @property
    def _seeds(self) -> Seeds:
        first = TRAINED_FROM + self.seed * MOST_CHESTS
        return seeds_from(first, self.chests, calibrated=self.judged, judged=self.judged)

    def looks(self, seeds: range, digest: str, part: float, draw: ScanOf = scan_of) -> Iterator[LookOrder]:
        """Yield the scans of some patients. digest: of the engine; part: of its threshold."""
        for seed in seeds:
            kept = self.run / "found" / f"{digest[:16]}-{seed}.npz"
            yield LookOrder(seed=seed, engine=self.engine, digest=digest, part=part, kept=kept, scan_of=draw)
