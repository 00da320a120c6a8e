"""A step that runs once for each lesion that an earlier step gave, and what it says of each of them.

For its run a lesion is all that the chain knows: rows of steps before are those of the lesion, and the mask
of the step that gave it is the lesion's own. So a step needs no second form to be one of lesions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from dicomnode.analyse.algorithm_step import row_of
from dicomnode.analyse.algorithms import ROW_ALGORITHMS
from dicomnode.analyse.grids import Box, cropped
from dicomnode.analyse.interpret import FoundBox, Point, Region
from dicomnode.analyse.radiomics import TooLittleError, around_lesion
from dicomnode.analyse.steps import Chain, Piece, Result
from dicomnode.analyse.unanswered import unanswered
from dicomnode.engine import StepSpec
from dicomnode.values import Float64, Grid, Mask, no_progress

Lesion = Piece | Point | FoundBox
Run = Callable[[Chain, StepSpec], Result]

STAGE: Final = "each lesion"
_NO_OUTLINE: Final = "it has no outline that could be measured"


def run_each(chain: Chain, step: StepSpec, run: Run) -> Result:
    """Run a step for each lesion of the step that `each` names, and put what it says with the lesion.

    run: a network's step on a chain; an algorithm's is done here. What is said stands with the lesions of
    that earlier result, which is replaced in the chain; the result of this step says what was not answered.
    """
    name = step.each or ""
    found = chain.earlier(name)
    label = label_of(chain, step)
    if found.unseen is not None:
        return Result(label=label, unseen=found.unseen)
    lesions = lesions_of(found)
    told: list[Lesion] = []
    reasons: list[str] = []
    chain.progress(STAGE, 0, len(lesions))
    for number, lesion in enumerate(lesions, start=1):
        result = _run_one(chain, step, lesion, run)
        if result.unseen is None:
            told.append(replace(lesion, answers={**lesion.answers, step.name: result.reading}))
        else:
            told.append(lesion)
            if not _follows(chain, step, lesion):
                reasons.append(result.unseen)
        chain.progress(STAGE, number, len(lesions))
    _put_back(chain, name, with_lesions(found, told))
    return Result(label=label, remarks=unanswered(chain.package.manifest, step, reasons, len(lesions)))


def lesions_of(result: Result) -> tuple[Lesion, ...]:
    """Return the lesions of a step: those with an outline, points, boxes, each in their order."""
    return (*result.pieces, *result.points, *result.reading.boxes)


def with_lesions(result: Result, lesions: Sequence[Lesion]) -> Result:
    """Return a result with these lesions in the place of its own."""
    boxes = tuple(one for one in lesions if isinstance(one, FoundBox))
    return replace(
        result,
        pieces=tuple(one for one in lesions if isinstance(one, Piece)),
        points=tuple(one for one in lesions if isinstance(one, Point)),
        reading=replace(result.reading, boxes=boxes),
    )


def label_of(chain: Chain, step: StepSpec) -> str:
    """Name what a step is made by, as results carry it."""
    if step.network is None:
        return ROW_ALGORITHMS[step.algorithm or ""].label
    return f"{step.name} {chain.package.manifest.version}"


def _run_one(chain: Chain, step: StepSpec, lesion: Lesion, run: Run) -> Result:
    if step.network is not None:
        return run(_chain_of(chain, step, lesion), step)
    algorithm = ROW_ALGORITHMS[step.algorithm or ""]
    voxels = _voxels_of(chain, lesion)
    if voxels is None:
        return Result(label=algorithm.label, unseen=_NO_OUTLINE)
    try:
        image, inside = around_lesion(chain.image, *voxels, algorithm.around_mm)
    except TooLittleError as error:
        return Result(label=algorithm.label, unseen=str(error))
    return row_of(step, algorithm, image, inside)


def _voxels_of(chain: Chain, lesion: Lesion) -> tuple[Mask, Grid] | None:
    """Return the voxels of a lesion and their grid: those that it was found with; None of one without."""
    if not isinstance(lesion, FoundBox) and lesion.own is not None:
        return lesion.own, chain.grid
    return (lesion.mask, chain.source) if isinstance(lesion, Piece) else None


def _chain_of(chain: Chain, step: StepSpec, lesion: Lesion) -> Chain:
    """Return the chain as it is for one lesion: its rows, and its place in the place of all lesions' mask."""
    base = (step.each or "").partition("/")[0]
    own = {
        name: Result(label=chain.results[name].label, reading=reading)
        for name, reading in lesion.answers.items()
    }
    place = Result(label=chain.results[base].label, region=_region_of(chain, lesion))
    return replace(chain, results={**chain.results, **own, base: place}, progress=no_progress, part=_untimed)


def _region_of(chain: Chain, lesion: Lesion) -> Region | None:
    """Return where a lesion lies: its voxels; of a point or a box the box. None beside the images."""
    voxels = _voxels_of(chain, lesion)
    if voxels is not None:
        mask, grid = voxels
        return Region(mask.crop(), cropped(grid, mask.slices_kji))
    box = _box_between(*_ends_lps_mm(lesion), chain.grid)
    if any(part.stop <= part.start for part in box):
        return None
    return Region(np.ones([part.stop - part.start for part in box], dtype=bool), cropped(chain.grid, box))


def _ends_lps_mm(lesion: Lesion) -> tuple[Float64, Float64]:
    """Return the smallest and the largest x, y, z of a lesion without voxels."""
    if isinstance(lesion, FoundBox):
        return np.array(lesion.low_lps_mm), np.array(lesion.high_lps_mm)
    if isinstance(lesion, Piece):
        raise TypeError("a piece has voxels")
    centre, reach = np.array(lesion.centre_lps_mm), lesion.diameter_mm / 2.0
    return centre - reach, centre + reach


def _box_between(low_lps_mm: Float64, high_lps_mm: Float64, grid: Grid) -> Box:
    """Return the voxels of a grid that reach into a box along the patient's axes."""
    both = np.stack([low_lps_mm, high_lps_mm])
    corners = np.array([[both[a, 0], both[b, 1], both[c, 2]] for a, b, c in np.ndindex(2, 2, 2)])
    index = grid.to_index_kji(corners)
    first = np.clip(np.floor(index.min(axis=0) + 0.5), 0, grid.shape_kji).astype(int)
    last = np.clip(np.ceil(index.max(axis=0) + 0.5), 0, grid.shape_kji).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return k, j, i


def _follows(chain: Chain, step: StepSpec, lesion: Lesion) -> bool:
    """Tell whether a lesion has no answer because a step before had none, which has said so."""
    sources = [source for feed in step.inputs.values() for source in feed.of]
    names = {one.name for one in chain.package.manifest.step if one.each is not None}
    return any(source in names and source not in lesion.answers for source in sources)


def _put_back(chain: Chain, name: str, result: Result) -> None:
    base, _, head = name.partition("/")
    whole = chain.results[base]
    chain.results[base] = replace(whole, heads={**whole.heads, head: result}) if head else result


def _untimed(part: str) -> None:
    """For the parts of a run that is one of many."""


__all__ = ["Lesion", "label_of", "lesions_of", "run_each", "with_lesions"]
