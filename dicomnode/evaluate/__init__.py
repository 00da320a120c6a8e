"""Compares what an engine found with what is true: overlap of masks, distances, hits and misses.

Needs no DICOM and no engine: masks, points in LPS mm and numbers. Names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomnode.evaluate.matching import Hit, KnownFinding, Matching, match_candidates
    from dicomnode.evaluate.metrics import VolumeError, dice, hausdorff95_mm, volume_error

_HOMES = {
    "matching": ("Hit", "KnownFinding", "Matching", "match_candidates"),
    "metrics": ("VolumeError", "dice", "hausdorff95_mm", "volume_error"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Hit",
    "KnownFinding",
    "Matching",
    "VolumeError",
    "dice",
    "hausdorff95_mm",
    "match_candidates",
    "volume_error",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
