"""How unusual each place in the lungs is among drawn chests without disease: a demonstration.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.normal_lungs.making import MadeNormal, make_normal
    from dicomnode.learn.normal_lungs.order import NormalOrder

_HOMES = {
    "making": ("MadeNormal", "make_normal"),
    "order": ("NormalOrder",),
}

__all__ = ["MadeNormal", "NormalOrder", "make_normal"]

__getattr__ = lazy_face(__name__, _HOMES)
