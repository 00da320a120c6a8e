"""What a named algorithm of the node takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dicomnode.analyse.grids import Bool
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Code, Grid, Progress, Remark

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of the anatomy: bool (k, j, i) on the grid of the algorithm's result."""

    side: Side | None
    mask: Bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """What an algorithm found, on a grid of its own, and how far it can be trusted.

    nothing: why there is nothing to be found, as a sentence's end ("…: no tissue"); then there are no
    parts, and what follows in the engine is not done. remarks: what a reader of the result must know.
    """

    grid: Grid
    parts: tuple[Part, ...] = ()
    remarks: tuple[Remark, ...] = ()
    nothing: str | None = None


Parameters = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A named, versioned algorithm.

    version: counted up whenever a voxel of a result may change; it stands in every result.
    unit: of the voxels that it understands. parameters: the names it knows, with the values it takes when
    the manifest is silent.
    """

    name: str
    version: int
    unit: Code
    parameters: Parameters
    run: Callable[[Prepared, Parameters, Progress], Anatomy]

    @property
    def label(self) -> str:
        """Name and version, as results carry them: "lungs 1"."""
        return f"{self.name} {self.version}"
