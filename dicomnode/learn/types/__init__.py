"""The type of each nodule that an engine finds, learned on drawn chests from outlines as it makes them.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.types.making import MadeTypes, make_types
    from dicomnode.learn.types.order import TypesOrder

_HOMES = {
    "making": ("MadeTypes", "make_types"),
    "order": ("TypesOrder",),
}

__all__ = ["MadeTypes", "TypesOrder", "make_types"]

__getattr__ = lazy_face(__name__, _HOMES)
