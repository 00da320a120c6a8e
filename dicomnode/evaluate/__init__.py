"""Compares what an engine found with what is true: overlap of masks, distances, hits and misses.

Needs no DICOM and no engine: masks, points in LPS mm and numbers. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.matching import Hit, KnownFinding, Matching, match_candidates
    from dicomnode.evaluate.metrics import VolumeError, dice, hausdorff95_mm, volume_error

_HOMES = {
    "matching": ("Hit", "KnownFinding", "Matching", "match_candidates"),
    "metrics": ("VolumeError", "dice", "hausdorff95_mm", "volume_error"),
}

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

__getattr__ = lazy_face(__name__, _HOMES)
