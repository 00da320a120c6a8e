"""What a network's outputs mean: an engine.toml names one of these, the manifest refuses all other words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.analyse.interpret.anomaly import anomaly
from dicomnode.analyse.interpret.boxes import boxes
from dicomnode.analyse.interpret.centre_heat import centre_heat
from dicomnode.analyse.interpret.classes import labels, sigmoid
from dicomnode.analyse.interpret.contract import (
    Below,
    Field,
    FoundBox,
    Index,
    Interpret,
    Outputs,
    Pass,
    Point,
    Reading,
    Region,
    Shape,
    UnreadableError,
)
from dicomnode.analyse.interpret.fields import image, map_
from dicomnode.analyse.interpret.rows import classes, features, regression, sequence

INTERPRETATIONS: Final[Mapping[str, Interpret]] = MappingProxyType(
    {
        "anomaly": anomaly,
        "boxes": boxes,
        "centre_heat": centre_heat,
        "classes": classes,
        "features": features,
        "image": image,
        "labels": labels,
        "map": map_,
        "regression": regression,
        "sequence": sequence,
        "sigmoid": sigmoid,
    }
)

__all__ = [
    "INTERPRETATIONS",
    "Below",
    "Field",
    "FoundBox",
    "Index",
    "Interpret",
    "Outputs",
    "Pass",
    "Point",
    "Reading",
    "Region",
    "Shape",
    "UnreadableError",
]
