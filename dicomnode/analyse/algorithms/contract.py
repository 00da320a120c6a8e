"""What a named algorithm of the node takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dicomnode.analyse.grids import Bool
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Code, Float64, Grid, Progress, Remark

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAlgorithm:
    """A named, versioned algorithm that makes numbers of a mask: a row for heads and for the findings.

    version: counted up whenever a number may change. parameters: as of `Algorithm`. names: all that it knows,
    in the order of a row. package: import name of what it needs beyond the node's own for names that begin
    with `needed_by`. run: image, mask on its grid, parameters, names → float64 (names,), or why not.
    """

    name: str
    version: int
    parameters: Parameters
    names: tuple[str, ...]
    package: str
    needed_by: str
    run: Callable[[Prepared, Bool, Parameters, tuple[str, ...]], Float64 | str]

    @property
    def label(self) -> str:
        """Name and version, as results carry them: "radiomics 1"."""
        return f"{self.name} {self.version}"

    def chosen(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names that are wanted, in their order; all of them where none is named."""
        return names or self.names

    def needs(self, names: tuple[str, ...]) -> str | None:
        """Return the package without which these names cannot be had."""
        return self.package if any(one.startswith(self.needed_by) for one in self.chosen(names)) else None
