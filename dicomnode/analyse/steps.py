"""One step of an engine's chain: what it found, in the grid of the source, and what steps share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomnode.analyse.algorithms import Part, Side
from dicomnode.analyse.grids import Float32
from dicomnode.analyse.interpret import Point, Reading, Region
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import EnginePackage
from dicomnode.values import Code, Grid, Mask, Progress, Remark

UNSEEN: Final = "there was nothing to look at"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Something a step found: voxels in the source grid, and which of the step's kinds of segment it is.

    kind: number of the kind among the [[output]] tables of its head; None for an algorithm, which tells its
    parts apart by side, or by name. own: the same voxels on the grid of the first input as it was prepared,
    where they were found there. answers: what steps for each lesion said of it, by step.
    """

    mask: Mask
    kind: int | None = None
    side: Side | None = None
    name: str | None = None
    score: float | None = None
    own: Mask | None = None
    answers: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What a step found. label: name and version of what made it, as results carry them.

    none_found: what to say of a kind of segment that has no piece. parts: of the anatomy on the grid of
    `region`, for telling on which side something lies. reading: what a network's outputs mean beside pieces
    and points; of a network with several heads, that of each is in `heads` by its name, and the first one's
    here. nothing: why there is nothing to be analysed; then the chain ends here. unseen: why the step has not
    looked at anything, which is another thing than looking and finding nothing; the chain goes on.
    undecided: why it is not known of what was found whether it is anything, and nothing is reported.
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
    undecided: str | None = None

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
