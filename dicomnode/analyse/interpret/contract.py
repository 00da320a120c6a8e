"""What an interpretation of a network's outputs takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.engine import StepSpec
from dicomnode.values import Grid, Mask, PointLps, Remark


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Where a step found something: bool (k, j, i) on a grid of its own. Later steps crop to it."""

    mask: Bool
    grid: Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """What a network gave over its box.

    maps: by name of the output, (channels, k/n, j/n, i/n) float32. grid: of the box, padding included.
    source: the grid that results go back on. within: what the box was cropped to, None without a crop.
    wanted: how many kinds of segment engine.toml expects of the step.
    """

    maps: Mapping[str, Float32]
    grid: Grid
    source: Grid
    within: Region | None
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """One thing that was found: its voxels in the source grid.

    kind: which of the step's kinds of segment it is, from 0. score: 0 … 1, None for anatomy.
    """

    mask: Mask
    kind: int = 0
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """Something found whose outline is not known: its centre in LPS mm."""

    centre_lps_mm: PointLps
    score: float
    diameter_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What a network's outputs mean. none_found: what to say where neither shape nor point was found."""

    shapes: tuple[Shape, ...] = ()
    points: tuple[Point, ...] = ()
    remarks: tuple[Remark, ...] = ()
    none_found: str = "None was found."
    region: Region | None = None


class UnreadableError(ValueError):
    """The outputs are not what the interpretation needs: names or channels are wrong."""


Interpret = Callable[[Outputs, StepSpec], Reading]
