"""Named algorithms without weights: an engine.toml calls them by name, a result carries name and version."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.analyse.algorithms.contract import Algorithm, Anatomy, Parameters, Part, RowAlgorithm, Side
from dicomnode.analyse.algorithms.lungs import LUNGS
from dicomnode.analyse.algorithms.radiomics import RADIOMICS

ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (LUNGS,)}
)
ROW_ALGORITHMS: Final[Mapping[str, RowAlgorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (RADIOMICS,)}
)

__all__ = [
    "ALGORITHMS",
    "ROW_ALGORITHMS",
    "Algorithm",
    "Anatomy",
    "Parameters",
    "Part",
    "RowAlgorithm",
    "Side",
]
