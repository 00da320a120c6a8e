"""The classical route: candidates of a filter, numbers of each, a forest; on patients that are drawn.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.classical.making import MadeForest, make_forest
    from dicomnode.learn.classical.order import ForestOrder

_HOMES = {
    "making": ("MadeForest", "make_forest"),
    "order": ("ForestOrder",),
}

__all__ = ["ForestOrder", "MadeForest", "make_forest"]

__getattr__ = lazy_face(__name__, _HOMES)
