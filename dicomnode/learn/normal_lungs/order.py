"""What is asked for: how many normal chests are learned from, and how many say what is usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode.learn.drawn.order import Seeds, seeds_from
from dicomnode.learn.normal_lungs.scans import ScanOrder

TRAINED_FROM: Final = 330_000
MOST_CHESTS: Final = 500
MOST_SEED: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalOrder:
    """One training.

    out: folder of the engine; run: where scans are kept, and found again another time. chests: normal
    patients that are learned from; usual: others, who say how far normal scans reach. parts: Gaussians of
    the mixture. cells: of all patients together that it is fitted to. workers: processes that draw. Raises
    ValueError.
    """

    out: Path
    run: Path
    title: str
    version: str
    made_at: datetime
    seed: int = 0
    chests: int = 16
    usual: int = 12
    parts: int = 16
    cells: int = 60_000
    workers: int = 0
    machine: str = ""

    def __post_init__(self) -> None:
        limits: Mapping[str, tuple[int, int, int]] = {
            "seed": (self.seed, 0, MOST_SEED),
            "chests": (self.chests, 1, MOST_CHESTS),
            "usual": (self.usual, 3, MOST_CHESTS),
            "parts": (self.parts, 1, 64),
            "cells": (self.cells, 1000, 2_000_000),
            "workers": (self.workers, 0, 64),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise ValueError(f"NormalOrder.{name} must be from {least} to {most}, got {value}")

    @property
    def trained(self) -> range:
        """Seeds of the patients that are learned from. Raises NodeError(SEED_RESERVED)."""
        return self._seeds.trained

    @property
    def calibrated(self) -> range:
        """Seeds of those who say what is usual."""
        return self._seeds.calibrated

    @property
    def _seeds(self) -> Seeds:
        first = TRAINED_FROM + self.seed * MOST_CHESTS
        return seeds_from(first, self.chests, calibrated=self.usual, judged=0)

    def scans(self, seeds: range) -> list[ScanOrder]:
        """Return the scans of some patients."""
        return [ScanOrder(seed, self.run / "scans" / f"{seed}.npz") for seed in seeds]
