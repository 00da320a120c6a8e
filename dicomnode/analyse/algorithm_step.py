"""A step of the node's own algorithms: parts or lesions in the grid of the source, or a row of numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from dicomnode.analyse.algorithms import (
    ALGORITHMS,
    CROSS_CHECKS,
    LESION_ALGORITHMS,
    ROW_ALGORITHMS,
    Algorithm,
    Anatomy,
    CrossCheck,
    LesionAlgorithm,
    Parameters,
    RowAlgorithm,
    Second,
)
from dicomnode.analyse.grids import Bool, Float32
from dicomnode.analyse.interpret import Reading, Region
from dicomnode.analyse.lesion_step import lesions_of_blobs
from dicomnode.analyse.onto import onto
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.steps import UNSEEN, Chain, Piece, Result
from dicomnode.engine import StepSpec
from dicomnode.faults import NETWORK_FAILED, NO_LUNGS, Fault, NodeError
from dicomnode.values import Remark, RemarkKind

_ROUNDING: Final = 1e-3  # of probabilities: a network may give them in float16


def run_algorithm(chain: Chain, step: StepSpec) -> Result:
    """Run a named algorithm: put its parts or lesions down in the source grid, or give its row of numbers."""
    name = step.algorithm or ""
    if name in ROW_ALGORITHMS:
        mask = _looked_in(chain, step)
        return row_of(step, ROW_ALGORITHMS[name], chain.image, mask)
    if name in CROSS_CHECKS:
        return _run_check(chain, step, CROSS_CHECKS[name])
    if name in LESION_ALGORITHMS:
        return _run_lesions(chain, step, LESION_ALGORITHMS[name])
    return _run_anatomy(chain, step, ALGORITHMS[name])


def absent(step: StepSpec) -> Fault:
    """Return the row of the table of faults for images without what a step looks for."""
    algorithm = ALGORITHMS.get(step.algorithm or "")
    return algorithm.absent if algorithm is not None else NO_LUNGS


def row_of(step: StepSpec, algorithm: RowAlgorithm, image: Prepared, mask: Bool | None) -> Result:
    """Measure a mask (bool on the grid of the image) as a step says; None: nothing was found to measure."""
    if mask is None or not mask.any():
        return Result(label=algorithm.label, unseen=UNSEEN)
    names = algorithm.chosen(step.features.names if step.features is not None else ())
    found = algorithm.run(image, mask, _parameters(step, algorithm.parameters), names)
    if isinstance(found, str):
        return Result(label=algorithm.label, unseen=found)
    return Result(label=algorithm.label, reading=Reading(row=found.astype(np.float32), names=names))


def _run_anatomy(chain: Chain, step: StepSpec, algorithm: Algorithm) -> Result:
    if chain.unit != algorithm.unit:
        return Result(label=algorithm.label, nothing=_other_unit(chain, algorithm))
    anatomy = algorithm.run(chain.image, _parameters(step, algorithm.parameters), chain.progress)
    if anatomy.nothing is not None:
        return Result(label=algorithm.label, remarks=anatomy.remarks, nothing=anatomy.nothing)
    return _put_down(chain, algorithm.label, anatomy)


def _run_check(chain: Chain, step: StepSpec, check: CrossCheck) -> Result:
    """Compare the parts of one earlier step with the map of another; without a map they are taken over.

    Raises NodeError(NETWORK_FAILED) for a map of other classes than are compared, or of no probabilities.
    """
    first, second = (chain.earlier(name) for name in step.of)
    if first.region is None:
        return Result(label=check.label, unseen=UNSEEN)
    found = Anatomy(grid=first.region.grid, parts=first.parts)
    label = f"{first.label}, {check.label}"  # the outline is that of the first
    field = second.reading.field
    if field is None:
        text = f"What {step.of[0]} found was not cross-checked: {second.unseen or second.none_found}"
        return _put_down(chain, label, replace(found, remarks=(Remark(kind=RemarkKind.QUALITY, text=text),)))
    wrong = _no_classes(step, field.values, check.classes)
    if wrong:
        engine = f"{chain.package.manifest.name} ({step.of[1]})"
        raise NodeError(NETWORK_FAILED, engine=engine, error=wrong)
    parameters = _parameters(step, check.parameters)
    seen = Second(field.values, field.grid)
    return _put_down(chain, label, check.run(chain.image, found, seen, parameters, chain.progress))


def _no_classes(step: StepSpec, values: Float32, classes: int) -> str:
    """Say why a map does not tell how probable each class is; "" where it does."""
    if len(values) != classes:
        return f"its map has {len(values)} channels, {step.name} compares {classes} classes"
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if low < 0.0 or high > 1.0 + _ROUNDING:
        hint = 'map = { activation = "softmax" } makes some of logits'
        return f"its map goes from {low:g} to {high:g}, {step.name} compares probabilities: {hint}"
    return ""


def _put_down(chain: Chain, label: str, anatomy: Anatomy) -> Result:
    """Put the parts down in the source grid."""
    pieces = tuple(
        Piece(
            mask=onto_source(part.mask, anatomy.grid, chain.source, whole=anatomy.whole),
            side=part.side,
            name=part.name,
        )
        for part in anatomy.parts
    )
    return Result(
        label=label,
        pieces=tuple(piece for piece in pieces if not piece.mask.is_empty),
        remarks=anatomy.remarks,
        region=Region(_union(anatomy), anatomy.grid),
        parts=anatomy.parts,
    )


def _run_lesions(chain: Chain, step: StepSpec, algorithm: LesionAlgorithm) -> Result:
    """Look for lesions in the mask of an earlier step; without one, in all of the image."""
    if chain.unit != algorithm.unit:
        return Result(label=algorithm.label, nothing=_other_unit(chain, algorithm))
    within = _looked_in(chain, step)
    if within is None or not within.any():
        return Result(label=algorithm.label, unseen=UNSEEN)
    blobs = algorithm.run(chain.image, within, _parameters(step, algorithm.parameters), chain.progress)
    return lesions_of_blobs(chain, algorithm.label, blobs)


def _looked_in(chain: Chain, step: StepSpec) -> Bool | None:
    """Return the mask of `crop` on the first input as it was prepared; without one, all of it."""
    if step.crop is None:
        return np.ones(chain.grid.shape_kji, dtype=bool)
    region = chain.results[step.crop.of].region
    return None if region is None else _on_image(region, chain)


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


def _other_unit(chain: Chain, algorithm: Algorithm | LesionAlgorithm) -> str:
    return f"the voxels are in {chain.unit.value}, not in {algorithm.unit.value}"


def _parameters(step: StepSpec, usual: Parameters) -> Parameters:
    return {**usual, **{name: _number(value) for name, value in step.parameters.items()}}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a parameter of an algorithm is a number, got {value!r}")
    return float(value)
