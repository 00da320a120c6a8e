"""One step of an engine's chain: an algorithm or a network, and what it found in the grid of the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.algorithms import ALGORITHMS, Anatomy, Part, Side
from dicomnode.analyse.crop import crop_around, cut_out
from dicomnode.analyse.grids import Bool, Box
from dicomnode.analyse.interpret import (
    INTERPRETATIONS,
    Outputs,
    Point,
    Reading,
    Region,
    UnreadableError,
)
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.window import OutputShapeError, infer_windows
from dicomnode.engine import Crop, EnginePackage, Session, StepSpec
from dicomnode.faults import NETWORK_FAILED, NodeError
from dicomnode.values import Code, Grid, Mask, Progress, Remark


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Something a step found: voxels in the source grid, and which of the step's kinds of segment it is.

    kind: number of the kind among the step's [[output]] tables; None for an algorithm, which tells its
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
    `region`, for telling on which side something lies. nothing: why there is nothing to be analysed; then
    the chain ends here.
    """

    label: str
    pieces: tuple[Piece, ...] = ()
    points: tuple[Point, ...] = ()
    remarks: tuple[Remark, ...] = ()
    none_found: str = "None was found."
    region: Region | None = None
    parts: tuple[Part, ...] = ()
    nothing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain:
    """What the steps of one analysis share: the prepared volume, the grid of the source, earlier results."""

    package: EnginePackage
    image: Prepared
    source: Grid
    unit: Code
    progress: Progress
    results: dict[str, Result] = field(default_factory=dict)


def run_algorithm(chain: Chain, step: StepSpec) -> Result:
    """Run a named algorithm and put its parts down in the source grid."""
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


def run_network(chain: Chain, step: StepSpec, session: Session) -> Result:
    """Crop, run the network over the box, and read its outputs.

    Raises NodeError(NETWORK_FAILED) when the network fails or its outputs are not what engine.toml says.
    """
    label = f"{step.name} {chain.package.manifest.version}"
    box, within = _box(chain, step)
    if box is None:
        return Result(label=label)
    crop = step.crop or Crop(of="")
    patch = cut_out(chain.image, box, crop, step.window)
    try:
        maps = infer_windows(
            _feed(session),
            np.asarray(patch.voxels, np.float32),
            step.window,
            multiple=crop.multiple,
            progress=chain.progress,
        )
        reading = _read(chain, step, maps, patch.grid, within)
    except (OutputShapeError, UnreadableError) as error:
        engine = f"{chain.package.manifest.name} ({step.network})"
        raise NodeError(NETWORK_FAILED, engine=engine, error=error) from error
    pieces = tuple(Piece(mask=one.mask, kind=one.kind, score=one.score) for one in reading.shapes)
    return Result(
        label=label,
        pieces=pieces,
        points=reading.points,
        remarks=reading.remarks,
        none_found=reading.none_found,
        region=reading.region,
    )


def _read(
    chain: Chain,
    step: StepSpec,
    maps: Mapping[str, NDArray[np.float32]],
    grid: Grid,
    within: Region | None,
) -> Reading:
    outputs = Outputs(
        maps=maps,
        grid=grid,
        source=chain.source,
        within=within,
        wanted=sum(output.step == step.name for output in chain.package.manifest.output),
    )
    return INTERPRETATIONS[step.interpret or ""](outputs, step)


def _box(chain: Chain, step: StepSpec) -> tuple[Box | None, Region | None]:
    """Return the box that the network sees, and what it is cropped to."""
    if step.crop is None:
        k, j, i = chain.image.grid.shape_kji
        return (slice(0, k), slice(0, j), slice(0, i)), None
    region = chain.results[step.crop.of].region
    if region is None:
        return None, None
    return crop_around(chain.image, region.mask, region.grid, step.crop), region


def _feed(session: Session) -> Callable[[NDArray[np.float32]], Mapping[str, NDArray[Any]]]:
    name = session.inputs[0].name

    def infer(tensor: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        return session.run({name: tensor})

    return infer


def _union(anatomy: Anatomy) -> Bool:
    union = np.zeros(anatomy.grid.shape_kji, dtype=bool)
    for part in anatomy.parts:
        union |= part.mask
    return union


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a parameter of an algorithm is a number, got {value!r}")
    return float(value)
