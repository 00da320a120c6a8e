"""Named algorithms without weights: an engine.toml calls them by name, a result carries name and version."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.analyse.algorithms.blobs import BLOBS
from dicomnode.analyse.algorithms.blobs_profile import BLOB_PROFILE
from dicomnode.analyse.algorithms.composition import BODY_COMPOSITION
from dicomnode.analyse.algorithms.contract import (
    Algorithm,
    Anatomy,
    Blob,
    LesionAlgorithm,
    Parameters,
    Part,
    RowAlgorithm,
    Side,
)
from dicomnode.analyse.algorithms.cross_checked import LUNGS_CHECKED, LUNGS_COMPARED, CrossCheck, Second
from dicomnode.analyse.algorithms.lung_profile import LUNG_PROFILE
from dicomnode.analyse.algorithms.lungs import LUNGS
from dicomnode.analyse.algorithms.radiomics import RADIOMICS

ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (LUNGS, BODY_COMPOSITION)}
)
ROW_ALGORITHMS: Final[Mapping[str, RowAlgorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (RADIOMICS, BLOB_PROFILE, LUNG_PROFILE)}
)
LESION_ALGORITHMS: Final[Mapping[str, LesionAlgorithm]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (BLOBS,)}
)
CROSS_CHECKS: Final[Mapping[str, CrossCheck]] = MappingProxyType(
    {algorithm.name: algorithm for algorithm in (LUNGS_CHECKED, LUNGS_COMPARED)}
)

__all__ = [
    "ALGORITHMS",
    "CROSS_CHECKS",
    "LESION_ALGORITHMS",
    "ROW_ALGORITHMS",
    "Algorithm",
    "Anatomy",
    "Blob",
    "CrossCheck",
    "LesionAlgorithm",
    "Parameters",
    "Part",
    "RowAlgorithm",
    "Second",
    "Side",
]
