"""What an interpretation of a network's outputs takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.engine import Head
from dicomnode.values import Float64, Grid, Mask, PointLps, Remark

T = TypeVar("T")

Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Where a step found something: bool (k, j, i) on a grid of its own. Later steps crop to it."""

    mask: Bool
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Numbers on a grid: (channels, k, j, i) float32."""

    values: Float32
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One run of a network: its outputs as they came, and which part of the box it saw.

    The input covers the voxels start … start + shape − 1 of the box, along k, j, i.
    """

    outputs: Mapping[str, NDArray[Any]]
    start: Index
    shape: Index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """What a network gave over its box.

    maps: by name of the output, (channels, k/n, j/n, i/n) float32, of those that lie on a grid. passes: all
    outputs as the network gave them, of each of its runs. grid: of the box, padding included; `inside`
    voxels of it are no padding (None: all). source: the grid that results go back on. within: what the box
    was cropped to, None without a crop. wanted: how many outputs engine.toml has of this head; channels: the
    channel of each; largest: how many connected parts of each are kept, None: all. seen: what went in as
    channels, (channels, k, j, i). unreported: whether candidates that are not reported are wanted, too.
    scored_later: whether a later step selects what is reported of what is found here.
    """

    maps: Mapping[str, Float32]
    grid: Grid
    source: Grid
    within: Region | None
    wanted: int
    channels: tuple[int, ...] = ()
    largest: tuple[int | None, ...] = ()
    passes: tuple[Pass, ...] = ()
    inside: Index | None = None
    seen: Mapping[str, Float32] = field(default_factory=dict)
    unreported: bool = False
    scored_later: bool = False

    def map_of(self, name: str | None) -> Float32:
        """Return the map that is named, or the only one; raises UnreadableError."""
        values: Float32 = named(self.maps, name, "map on the grid of its input")
        return values

    def single(self, name: str | None) -> NDArray[Any]:
        """Return an output of the only run, by its name or the only one; raises UnreadableError."""
        if len(self.passes) != 1:
            raise UnreadableError(f"the network ran {len(self.passes)} times, one answer is needed")
        return named(self.passes[0].outputs, name, "output")

    def row(self, name: str | None) -> Float64:
        """Return an output of one row, (n,), (1, n) or (1, n, 1 …), as float64 (n,).

        Raises UnreadableError for other shapes, and where something is not a number.
        """
        values = self.single(name)
        shape = [length for length in values.shape if length != 1]
        if len(shape) > 1 or (values.ndim > 1 and values.shape[0] != 1):
            raise UnreadableError(f"output {name or ''} of {values.shape} is not one row of numbers")
        row: Float64 = values.astype(np.float64).ravel()
        return _finite(row)


def named(found: Mapping[str, T], name: str | None, what: str) -> T:
    """Return what is named, or the only one; raises UnreadableError. what: "output", for its text."""
    if name is None:
        if len(found) != 1:
            raise UnreadableError(
                f"the network has the outputs {sorted(found)}, not one: engine.toml names none"
            )
        return next(iter(found.values()))
    if name not in found:
        raise UnreadableError(f"the network has no {what} {name!r}, it has {sorted(found)}")
    return found[name]


def _finite(values: Float64) -> Float64:
    if not np.isfinite(values).all():
        raise UnreadableError("the network gave what is not a number")
    return values


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
    """Something found whose outline is not known: its centre in LPS mm.

    score: 0 … 1. scored: whether anything has; else the score is 0 and says nothing. own: its voxels on the
    grid of the first input as it was prepared, where it has some there and none on the source. answers: what
    steps for each lesion said of it, by step.
    """

    centre_lps_mm: PointLps
    score: float
    diameter_mm: float
    scored: bool = True
    own: Mask | None = None
    answers: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundBox:
    """A box that was found: smallest and largest x, y, z in LPS mm of what it covers, its class and score.

    answers: as of `Point`.
    """

    low_lps_mm: PointLps
    high_lps_mm: PointLps
    channel: int
    score: float
    answers: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """Candidates that are not reported: channel, centre in LPS mm and score of each, the surest first.

    down_to: the score from which on they are all here; there are none below what makes a candidate.
    """

    places: tuple[tuple[int, PointLps, float], ...]
    down_to: float


MOST_BELOW: Final = 200
"""Candidates of a head that are kept of a study, reported or not: who judges needs the first dozens."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What a network's outputs mean. none_found: what to say where neither shape, point nor box was found.

    probabilities: float64, one a channel, 0 … 1, with `names` of all channels where engine.toml has them;
    threshold: from which such a one is "present", where the interpretation itself says so. values: float64,
    one a channel, as the network gave them. frames: probabilities of each slice of the source that the box
    reaches, as (k of the source, one a channel). row: features with their names. field: numbers on a grid.
    below: candidates that are not reported, where `Outputs.unreported` asked for them.
    """

    shapes: tuple[Shape, ...] = ()
    points: tuple[Point, ...] = ()
    boxes: tuple[FoundBox, ...] = ()
    remarks: tuple[Remark, ...] = ()
    none_found: str = "None was found."
    region: Region | None = None
    probabilities: Float64 | None = None
    names: tuple[str, ...] = ()
    threshold: float | None = None
    values: Float64 | None = None
    frames: tuple[tuple[int, Float64], ...] = ()
    row: Float32 | None = None
    field: Field | None = None
    below: Below | None = None


def without_padding(grid: Grid, inside: Index | None) -> Grid:
    """Return the grid of the voxels that are no padding, which lies at the end of each axis."""
    return grid if inside is None else Grid(inside, grid.affine_lps, grid.frame_of_reference_uid)


class UnreadableError(ValueError):
    """The outputs are not what the interpretation needs: names or channels are wrong."""


Interpret = Callable[[Outputs, Head], Reading]
