"""Patients whose lungs show patterns, and scans of them: a seed says who has which.

What is looked for is drawn more often than where nobody says what a patient has, each by itself, so that a
few dozen patients show all of them, alone and together. All else stays as often as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.phantom.change import Disease
from dicomnode.phantom.disease import draw_diseases
from dicomnode.phantom.patients import ChestScan, World, chest
from dicomnode.phantom.streams import stream

OFTEN: Final[Mapping[Disease, float]] = MappingProxyType(
    {"emphysema": 0.40, "consolidation": 0.35, "effusion": 0.35, "collapse": 0.30}
)
"""What is looked for, and how often it is drawn."""

PATTERNS: Final[tuple[Disease, ...]] = tuple(OFTEN)


def diseases_of(seed: int) -> tuple[Disease, ...]:
    """Draw what the patient of a seed has."""
    chances = stream(seed, "patterns").uniform(size=len(PATTERNS))
    looked_for = [name for name, at in zip(PATTERNS, chances, strict=True) if at < OFTEN[name]]
    return (*looked_for, *(name for name in draw_diseases(seed) if name not in OFTEN))


def scan_of(seed: int) -> ChestScan:
    """Scan the patient of a seed, small: three seconds of a core. The protocol and nodules are the seed's."""
    return chest(seed, "small", world=World(diseases=diseases_of(seed)))
