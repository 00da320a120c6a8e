"""Explain: where a network that was trained here saw what spoke for a class, on one study.

For people who look into an engine, not for the service: in service an engine gives the class activation map
that was exported with it. Names are loaded when first used: torch and captum are heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.explain.attribution import METHODS, Attribution, Method, attribute
    from dicomnode.learn.explain.explained import Explanation, explain
    from dicomnode.learn.explain.trained import TrainedNetwork, read_network

_HOMES = {
    "attribution": ("METHODS", "Attribution", "Method", "attribute"),
    "explained": ("Explanation", "explain"),
    "trained": ("TrainedNetwork", "read_network"),
}

__all__ = [
    "METHODS",
    "Attribution",
    "Explanation",
    "Method",
    "TrainedNetwork",
    "attribute",
    "explain",
    "read_network",
]

__getattr__ = lazy_face(__name__, _HOMES)
