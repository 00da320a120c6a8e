"""The true outline of an output, on the grid that the engine's masks are in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.truth.trust import Labels
from dicomnode.evaluate.truth.wanted import By, Wanted
from dicomnode.evaluate.truth.words import says_no
from dicomnode.values import AnnotatedSegment, Annotation, Grid, Mask

Voxels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueOutline:
    """What is true, and whence.

    mask: on the case's grid; it may be empty, where the labels say that there is nothing. readers: the
    outline of each object that has one. by: how it was matched. source: in a word ("segment Lung").
    """

    mask: Mask
    readers: tuple[Mask, ...]
    by: By
    source: str


def true_outline(wanted: Wanted, labels: Labels) -> TrueOutline | None:
    """Return what is true of an output; None where no label says it.

    Segments of one object that fit are taken together. Where several objects outline the same, each is a
    reader's: a voxel belongs to it that at least half of them outline. Of lesions every outline counts: one
    may have marked what the other did not look at. Where only the table says that there is none, the outline
    is empty. Outlines that lie beside this stack altogether say nothing of it.
    """
    grid = labels.grid
    if grid is None:
        return None
    found = list(fitting_segments(wanted, labels))
    if not found:
        return _none_there(wanted, labels, grid)
    readers = []
    for annotation, segments in found:
        masks = [onto(one.mask, annotation.grid or grid, grid) for one, _ in segments]
        lost = all(mask.is_empty for mask in masks) and not all(one.mask.is_empty for one, _ in segments)
        readers += [] if lost else [reduce(Mask.union, masks)]
    if not readers:
        return None
    bys = [by for _, segments in found for _, by in segments]
    first = found[0][1][0][0]
    return TrueOutline(
        mask=reduce(Mask.union, readers) if wanted.is_lesion else majority(readers),
        readers=tuple(readers),
        by=min(bys, key=list(By).index),
        source=_source(first, bys[0]),
    )


def _none_there(wanted: Wanted, labels: Labels, grid: Grid) -> TrueOutline | None:
    """An empty outline, where the table says that there is none."""
    column = wanted.column(tuple(labels.row))
    if column is None or not says_no(labels.row[column[0]]):
        return None
    empty = Mask.from_crop(np.zeros((0, 0, 0), dtype=bool), grid.shape_kji, (0, 0, 0))
    return TrueOutline(mask=empty, readers=(), by=column[1], source=f"column {column[0]}")


def fitting_segments(
    wanted: Wanted, labels: Labels
) -> Iterator[tuple[Annotation, list[tuple[AnnotatedSegment, By]]]]:
    """Give each object on this case with its segments that are counterparts.

    Those on the stack itself; where there are none, those on others of the same Frame of Reference. Segments
    that match by code leave out those that match by their label only.
    """
    on_it = [one for one in labels.annotations if one.segments and is_on(one, labels)]
    near = [one for one in labels.annotations if one.segments and one not in on_it and _shares(one, labels)]
    for objects in (on_it, near):
        found = [(one, _fitting(wanted, one)) for one in objects]
        best = min((by for _, segments in found for _, by in segments), key=list(By).index, default=None)
        if best is None:
            continue
        for annotation, segments in found:
            kept = [(segment, by) for segment, by in segments if by is best]
            if kept:
                yield annotation, kept
        return


def _fitting(wanted: Wanted, annotation: Annotation) -> list[tuple[AnnotatedSegment, By]]:
    pairs = (
        (one, wanted.fits(one.label, one.type, laterality=one.laterality, site=one.site))
        for one in annotation.segments
    )
    return [(one, by) for one, by in pairs if by is not None]


def is_on(annotation: Annotation, labels: Labels) -> bool:
    """Tell whether an object speaks of the stack of this case."""
    same = annotation.of_series == labels.series_instance_uid
    return same and annotation.of_stack in (None, labels.stack)


def speaks_of(annotation: Annotation, labels: Labels) -> bool:
    """Tell whether a report speaks of this case: of its stack, or of the study as a whole."""
    return not annotation.of_series or is_on(annotation, labels)


def _shares(annotation: Annotation, labels: Labels) -> bool:
    """Tell whether an object lies in the Frame of Reference of this case, on another stack."""
    if annotation.grid is None or labels.grid is None:
        return False
    space = annotation.grid.frame_of_reference_uid
    return bool(space) and space == labels.grid.frame_of_reference_uid


def majority(readers: Sequence[Mask]) -> Mask:
    """Return the voxels that at least half of the masks have; of two that differ, those of either."""
    if len(readers) == 1:
        return readers[0]
    votes = np.zeros(readers[0].shape_kji, dtype=np.uint16)
    for one in readers:
        votes[one.slices_kji] += one.crop()
    return Mask.from_array(2 * votes >= len(readers)) if votes.any() else readers[0]


def onto(mask: Mask, grid: Grid, target: Grid) -> Mask:
    """Take a mask onto another grid of the same patient space: each voxel has what its centre lies in.

    Raises ValueError where mask and grid differ in shape.
    """
    if mask.shape_kji != grid.shape_kji:
        raise ValueError(f"a mask of {mask.shape_kji} on a grid of {grid.shape_kji}")
    if grid.shape_kji == target.shape_kji and grid.same_as(target):
        return mask
    box = _box_on(mask, grid, target)
    if box is None:
        return Mask.from_crop(np.zeros((0, 0, 0), dtype=bool), target.shape_kji, (0, 0, 0))
    source = mask.to_array()
    k, j, i = (np.arange(span.start, span.stop) for span in box)
    crop = np.zeros((len(k), len(j), len(i)), dtype=bool)
    for n, plane in enumerate(k):
        centres = np.stack(np.meshgrid([plane], j, i, indexing="ij"), axis=-1)[0]
        index = np.rint(grid.to_index_kji(target.to_lps_mm(centres))).astype(np.intp)
        inside = np.all((index >= 0) & (index < np.array(grid.shape_kji)), axis=-1)
        crop[n][inside] = source[tuple(index[inside].T)]
    return Mask.from_crop(crop, target.shape_kji, (box[0].start, box[1].start, box[2].start))


def _box_on(mask: Mask, grid: Grid, target: Grid) -> tuple[slice, slice, slice] | None:
    """Return the box of `target` around all of a mask, one voxel wider; None where that is nothing."""
    if mask.is_empty:
        return None
    ends = [(start - 0.5, stop - 0.5) for start, stop in mask.box_kji]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    index = target.to_index_kji(grid.to_lps_mm(corners))
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 2, target.shape_kji)
    if (high <= low).any():
        return None
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i


def _source(segment: AnnotatedSegment, by: By) -> str:
    if by is By.CODE and segment.type is not None:
        return f"segments of type {segment.type}"
    return f"segments called {segment.label!r}"
