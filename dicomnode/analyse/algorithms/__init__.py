"""Named algorithms without weights: an engine.toml calls them by name, a result carries name and version."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.analyse.algorithms.contract import Algorithm, Anatomy, Parameters, Part, Side
from dicomnode.analyse.algorithms.lungs import LUNGS

ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (LUNGS,)}
)

__all__ = ["ALGORITHMS", "Algorithm", "Anatomy", "Parameters", "Part", "Side"]
