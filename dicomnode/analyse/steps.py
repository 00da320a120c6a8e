"""One step of an engine's chain: what it found, in the grid of the source; and the node's own algorithms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dicomnode.analyse.algorithms import ALGORITHMS, ROW_ALGORITHMS, Anatomy, Part, RowAlgorithm, Side
from dicomnode.analyse.grids import Bool, Float32
from dicomnode.analyse.interpret import Point, Reading, Region
from dicomnode.analyse.onto import onto
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import EnginePackage, StepSpec
from dicomnode.values import Code, Grid, Mask, Progress, Remark


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Something a step found: voxels in the source grid, and which of the step's kinds of segment it is.

    kind: number of the kind among the [[output]] tables of its head; None for an algorithm, which tells its
    parts apart by side.
    """

    mask: Mask
    kind: int | None = None
    side: Side | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What a step found. label: name and version of what made it, as results carry them.

    none_found: what to say of a kind of segment that has no piece. parts: of the anatomy on the grid of
    `region`, for telling on which side something lies. reading: what a network's outputs mean beside pieces
    and points; of a network with several heads, that of each is in `heads` by its name, and the first one's
    here. nothing: why there is nothing to be analysed; then the chain ends here. unseen: why the step has not
    looked at anything, which is another thing than looking and finding nothing; the chain goes on.
    """

    label: str
    pieces: tuple[Piece, ...] = ()
    points: tuple[Point, ...] = ()
    remarks: tuple[Remark, ...] = ()
    none_found: str = "None was found."
    region: Region | None = None
    parts: tuple[Part, ...] = ()
    reading: Reading = field(default_factory=Reading)
    heads: Mapping[str, Result] = field(default_factory=dict)
    nothing: str | None = None
    unseen: str | None = None

    def of_head(self, name: str) -> Result:
        """Return what one head found; "" is the only one."""
        return self.heads.get(name, self)


def _untimed(part: str) -> None:
    """For a chain that nobody takes the time of."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain:
    """What the steps of one analysis share: the prepared inputs, the grid of the source, earlier results.

    images: by name of the [[input]], the first one first, all on one `grid`. rows: numbers of attributes.
    unit: of the first input's volume. part: is told when a part of a step has ended, see `clock`. unreported:
    whether candidates that are not reported are kept.
    """

    package: EnginePackage
    images: Mapping[str, Prepared]
    grid: Grid
    source: Grid
    unit: Code
    progress: Progress
    rows: Mapping[str, Float32] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    part: Callable[[str], None] = _untimed
    unreported: bool = False

    @property
    def image(self) -> Prepared:
        """The first input."""
        return next(iter(self.images.values()))

    def channels(self, source: str) -> list[str]:
        """Return the names of the images that an input gives: three of colours; none of an earlier step."""
        return [name for name in self.images if name == source or name.startswith(f"{source}/")]

    def earlier(self, name: str) -> Result:
        """Return what an earlier step found, or one head of it ("step/head")."""
        step, _, head = name.partition("/")
        return self.results[step].of_head(head)


def run_algorithm(chain: Chain, step: StepSpec) -> Result:
    """Run a named algorithm: put its parts down in the source grid, or give its row of numbers."""
    of_rows = ROW_ALGORITHMS.get(step.algorithm or "")
    if of_rows is not None:
        return _run_row(chain, step, of_rows)
    algorithm = ALGORITHMS[step.algorithm or ""]
    if chain.unit != algorithm.unit:
        nothing = f"the voxels are in {chain.unit.value}, not in {algorithm.unit.value}"
        return Result(label=algorithm.label, nothing=nothing)
    parameters = {**algorithm.parameters, **{name: _number(v) for name, v in step.parameters.items()}}
    anatomy = algorithm.run(chain.image, parameters, chain.progress)
    if anatomy.nothing is not None:
        return Result(label=algorithm.label, remarks=anatomy.remarks, nothing=anatomy.nothing)
    pieces = tuple(
        Piece(mask=onto_source(part.mask, anatomy.grid, chain.source), side=part.side)
        for part in anatomy.parts
    )
    return Result(
        label=algorithm.label,
        pieces=tuple(piece for piece in pieces if not piece.mask.is_empty),
        remarks=anatomy.remarks,
        region=Region(_union(anatomy), anatomy.grid),
        parts=anatomy.parts,
    )


def _run_row(chain: Chain, step: StepSpec, algorithm: RowAlgorithm) -> Result:
    """Measure the mask of an earlier step, on the first input as it was prepared; without one, all of it."""
    mask: Bool | None = np.ones(chain.grid.shape_kji, dtype=bool)
    if step.crop is not None:
        region = chain.results[step.crop.of].region
        mask = None if region is None else _on_image(region, chain)
    if mask is None or not mask.any():
        return Result(label=algorithm.label, unseen="there was nothing to look at")
    parameters = {**algorithm.parameters, **{name: _number(v) for name, v in step.parameters.items()}}
    names = algorithm.chosen(step.features.names if step.features is not None else ())
    found = algorithm.run(chain.image, mask, parameters, names)
    if isinstance(found, str):
        return Result(label=algorithm.label, unseen=found)
    row = found.astype(np.float32)
    return Result(label=algorithm.label, reading=Reading(row=row, names=names))


def _on_image(region: Region, chain: Chain) -> Bool:
    """Put a mask down on the grid of the first input: cut at one half where it must be interpolated."""
    if region.grid.same_as(chain.grid):
        return region.mask
    image = Prepared(region.mask.astype(np.float32), region.grid)
    found: Bool = onto(image, chain.grid, 0.0, chain.progress)[0] > 0.5
    return found


def _union(anatomy: Anatomy) -> Bool:
    union = np.zeros(anatomy.grid.shape_kji, dtype=bool)
    for part in anatomy.parts:
        union |= part.mask
    return union


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a parameter of an algorithm is a number, got {value!r}")
    return float(value)
