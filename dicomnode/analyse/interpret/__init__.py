"""What a network's outputs mean: an engine.toml names one of these, the manifest refuses all other words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.analyse.interpret.centre_heat import centre_heat
from dicomnode.analyse.interpret.classes import labels, sigmoid
from dicomnode.analyse.interpret.contract import (
    Interpret,
    Outputs,
    Point,
    Reading,
    Region,
    Shape,
    UnreadableError,
)

INTERPRETATIONS: Final[Mapping[str, Interpret]] = MappingProxyType(
    {"centre_heat": centre_heat, "labels": labels, "sigmoid": sigmoid}
)

__all__ = [
    "INTERPRETATIONS",
    "Interpret",
    "Outputs",
    "Point",
    "Reading",
    "Region",
    "Shape",
    "UnreadableError",
]
