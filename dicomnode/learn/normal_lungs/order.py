"""What is asked for: how many normal chests are learned from, and how many say what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from dicomnode.learn.drawn.order import DrawnOrder, Seeds, digest_of, seeds_from
from dicomnode.learn.normal_lungs.scans import FORM, SCANS_FOLDER, ScanOrder

TRAINED_FROM: Final = 330_000
MOST_CHESTS: Final = 500
MOST_SEED: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalOrder(DrawnOrder):
    """One training; run: where scans are kept, and found again another time.

    chests: normal patients that are learned from; usual: others, who say how far normal scans reach. parts:
    Gaussians of the mixture. cells: of all patients together that it is fitted to. Raises ValueError.
    """

    task: ClassVar = "lung-anomaly"
    asked: ClassVar = ("chests", "usual", "parts")
    limits: ClassVar = {
        "seed": (0, MOST_SEED),
        "chests": (1, MOST_CHESTS),
        "usual": (3, MOST_CHESTS),
        "parts": (1, 64),
        "cells": (1000, 2_000_000),
    }

    chests: int = 16
    usual: int = 12
    parts: int = 16
    cells: int = 60_000

    @property
    def seeds(self) -> Seeds:
        """Which patients are for what; nobody is judged here. Raises NodeError(SEED_RESERVED)."""
        first = TRAINED_FROM + self.seed * MOST_CHESTS
        return seeds_from(first, self.chests, calibrated=self.usual, judged=0)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the mixture, and what is usual, follow from."""
        seeds = self.seeds
        return digest_of(1, FORM, self.seed, seeds.trained, seeds.calibrated, self.parts, self.cells)

    def scans(self, seeds: range) -> list[ScanOrder]:
        """Return the scans of some patients."""
        return [ScanOrder(seed, self.run / SCANS_FOLDER / f"{seed}.npz") for seed in seeds]
