"""Patterns of whole lungs by the classical route: numbers of what is drawn, a forest for each pattern.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.patterns.judging import Judged
    from dicomnode.learn.patterns.making import MadePatterns, make_patterns
    from dicomnode.learn.patterns.order import PatternsOrder

_HOMES = {
    "judging": ("Judged",),
    "making": ("MadePatterns", "make_patterns"),
    "order": ("PatternsOrder",),
}

__all__ = ["Judged", "MadePatterns", "PatternsOrder", "make_patterns"]

__getattr__ = lazy_face(__name__, _HOMES)
