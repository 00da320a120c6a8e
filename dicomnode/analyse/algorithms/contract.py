"""What a named algorithm of the node takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dicomnode.analyse.grids import Bool
from dicomnode.analyse.resample import Prepared
from dicomnode.faults import NO_LUNGS, Fault
from dicomnode.values import Code, Float64, Grid, Progress, Remark

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of the anatomy: bool (k, j, i) on the grid of the algorithm's result.

    name: of an algorithm that gives several kinds of things, which one it is; outputs name it by `segment`.
    """

    side: Side | None
    mask: Bool
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """What an algorithm found, on a grid of its own, and how far it can be trusted.

    nothing: why there is nothing to be found, as a sentence's end ("…: no tissue"); then there are no
    parts, and what follows in the engine is not done. remarks: what a reader of the result must know.
    whole: a voxel of the grid is whole voxels of the image, and parts are put down as they are.
    """

    grid: Grid
    parts: tuple[Part, ...] = ()
    remarks: tuple[Remark, ...] = ()
    nothing: str | None = None
    whole: bool = False


Parameters = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A named, versioned algorithm.

    version: counted up whenever a voxel of a result may change; it stands in every result.
    unit: of the voxels that it understands. parameters: the names it knows, with the values it takes when
    the manifest is silent. parts: the names of its parts; none of one that tells them apart by side alone.
    absent: the row of the table of faults for images in which there is nothing of what it looks for.
    """

    name: str
    version: int
    unit: Code
    parameters: Parameters
    run: Callable[[Prepared, Parameters, Progress], Anatomy]
    parts: tuple[str, ...] = ()
    absent: Fault = NO_LUNGS

    @property
    def label(self) -> str:
        """Name and version, as results carry them: "lungs 1"."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAlgorithm:
    """A named, versioned algorithm that makes numbers of a mask: a row for heads and for the findings.

    version: counted up whenever a number may change. parameters: as of `Algorithm`. names: all that it knows,
    in the order of a row. package: import name of what it needs beyond the node's own for names that begin
    with `needed_by`; "" of one that needs nothing. around_mm: how far from the box of a mask its numbers
    look. in_voxels: names of numbers that want about cubic voxels. run: image, mask on its grid, parameters,
    names → float64 (names,), or why not.
    """

    name: str
    version: int
    parameters: Parameters
    names: tuple[str, ...]
    run: Callable[[Prepared, Bool, Parameters, tuple[str, ...]], Float64 | str]
    package: str = ""
    needed_by: str = ""
    around_mm: float = 6.0
    in_voxels: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, as results carry them: "radiomics 1"."""
        return f"{self.name} {self.version}"

    def chosen(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names that are wanted, in their order; all of them where none is named."""
        return names or self.names

    def needs(self, names: tuple[str, ...]) -> str | None:
        """Return the package without which these names cannot be had."""
        if not self.package:
            return None
        return self.package if any(one.startswith(self.needed_by) for one in self.chosen(names)) else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blob:
    """A place that may be a lesion: what a `LesionAlgorithm` gives.

    centre_kji: index on the grid of the image, of its middle; it may lie between voxels. diameter_mm: of a
    ball as large. response: how much it is what was looked for, the larger the surer; of one algorithm and
    one image alone they compare. start_kji, mask: its voxels, bool (k, j, i), some of them set, and where
    that crop begins on the grid of the image.
    """

    centre_kji: tuple[float, float, float]
    diameter_mm: float
    response: float
    start_kji: tuple[int, int, int]
    mask: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionAlgorithm:
    """A named, versioned algorithm that gives places where a lesion may be, the surest first.

    version: counted up whenever a place or a voxel may change. unit, parameters: as of `Algorithm`. cubic:
    whether it counts in voxels, which must be about cubic. run: image, where to look (bool on its grid),
    parameters, progress → blobs; none where there is nothing.
    """

    name: str
    version: int
    unit: Code
    parameters: Parameters
    run: Callable[[Prepared, Bool, Parameters, Progress], tuple[Blob, ...]]
    cubic: bool = False

    @property
    def label(self) -> str:
        """Name and version, as results carry them: "blobs 1"."""
        return f"{self.name} {self.version}"
