"""Lesions that nobody outlined: points, boxes and circles of reports, and rows of a table.

They are found by the very rules of an evaluation (`evaluate.truth.lesions`): what counts as a truth there is
learned from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.assemble import Stack
from dicomnode.engine import OutputSpec
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.truth import Labels, TrueLesion, Wanted, drawn_lesions, labels_for, parts_of
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.centres import CORNERS
from dicomnode.learn.train.samples import UInt8
from dicomnode.learn.train.structures import Structure, key_of
from dicomnode.settings import read_table
from dicomnode.values import AnnotatedRegion, AnnotatedSegment, Annotation, Code, Grid, Mask

StackKey = tuple[str, int]

_NOWHERE: Final = Grid((1, 1, 1), np.eye(4), "")
_NO_VOXELS: Final = Mask.from_array(np.zeros((1, 1, 1), dtype=bool))
_LESION: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_ANATOMY: Final = Code("91723000", "SCT", "Anatomical Structure")


def key_of_stack(stack: Stack) -> StackKey:
    """Return what tells stacks apart."""
    return stack.facts.series_instance_uid, stack.facts.stack


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pointed:
    """Cases with lesions that have no outline. drawn: by stack; () where it is said that there is none."""

    cases: tuple[Case, ...] = ()
    drawn: Mapping[StackKey, tuple[TrueLesion, ...]]

    def of(self, case: Case) -> tuple[TrueLesion, ...]:
        """Return the lesions of a case that have no outline."""
        return self.drawn.get(key_of_stack(case.stack), ())

    def usual_mm(self, cases: Sequence[Case]) -> float | None:
        """Return the median of the diameters that are known in these cases; None where none is."""
        sizes = [one.diameter_mm for case in cases for one in self.of(case) if one.diameter_mm]
        return float(np.median(sizes)) if sizes else None


def without_sides(data: LabelledData) -> LabelledData:
    """Return the data with lesions that have no side: that is where one lies, not another kind of it."""
    studies = [
        replace(study, annotations=tuple(_without_sides(one) for one in study.annotations))
        for study in data.studies
    ]
    return replace(data, studies=tuple(studies))


def _without_sides(annotation: Annotation) -> Annotation:
    segments = tuple(
        one if one.category == _ANATOMY else replace(one, laterality=None) for one in annotation.segments
    )
    regions = tuple(replace(one, laterality=None) for one in annotation.regions)
    return replace(annotation, segments=segments, regions=regions)


def with_findings(studies: Sequence[LabelledStudy]) -> list[tuple[Annotation, ...]]:
    """Return what is said of each study, findings of reports as segments without voxels.

    So they are structures, too, by code or by name. What is outlined anywhere keeps its own category; what is
    only pointed at is a lesion.
    """
    outlined = {key_of(one) for study in studies for each in study.annotations for one in each.segments}
    return [
        (*study.annotations, *(_as_segments(one, outlined) for one in study.annotations if one.regions))
        for study in studies
    ]


def _as_segments(annotation: Annotation, outlined: set[tuple[str, str, str]]) -> Annotation:
    shapes = [one for one in annotation.regions if one.points_lps_mm and one.segment is None]
    segments = [_as_segment(n, one, annotation) for n, one in enumerate(shapes, start=1)]
    told = [one if key_of(one) in outlined else replace(one, category=_LESION) for one in segments]
    return replace(annotation, grid=_NOWHERE, segments=tuple(told))


def _as_segment(number: int, region: AnnotatedRegion, annotation: Annotation) -> AnnotatedSegment:
    return AnnotatedSegment(
        number=number,
        label=region.label,
        mask=_NO_VOXELS,
        type=region.type,
        laterality=region.laterality,
        site=region.site,
        made_by=annotation.made_by,
    )


def pointed_cases(data: LabelledData, structure: Structure, outlined: Sequence[Case]) -> Pointed:
    """Return the stacks on which lesions are pointed at, or of which it is said that there is none.

    data: with the annotations that are trusted. outlined: cases that have outlines; they are not given again.
    """
    wanted = wanted_of(structure)
    known = {key_of_stack(case.stack) for case in outlined}
    cases: list[Case] = []
    drawn: dict[StackKey, tuple[TrueLesion, ...]] = {}
    for study in data.studies:
        drawn |= _said_of(study, wanted)
        fresh = [one for one in study.stacks if key_of_stack(one) in drawn and key_of_stack(one) not in known]
        cases += [
            Case(
                patient=study.patient,
                stack=stack,
                place=study.place,
                synthetic=study.synthetic,
                labels=study.labels_of(stack),
            )
            for stack in fresh
        ]
    return Pointed(cases=tuple(cases), drawn=drawn)


def lost_lesions(mask: Mask, source: Grid, prepared: UInt8, grid: Grid) -> list[TrueLesion]:
    """Return the outlined lesions of which no voxel is left at the spacing that a network sees.

    mask: on `source`; prepared: (k, j, i) on `grid`. They are learned as points: without them a study with
    small lesions would teach that there is nothing.
    """
    if mask.is_empty:
        return []
    parts, _ = ndimage.label(mask.crop(), structure=CORNERS)
    start = np.array([low for low, _ in mask.box_kji])
    lost = []
    boxes = zip(ndimage.find_objects(parts), parts_of(mask, source), strict=True)
    for number, (box, lesion) in enumerate(boxes, start=1):
        voxels = np.argwhere(parts[box] == number) + [one.start for one in box] + start
        at = np.rint(grid.to_index_kji(source.to_lps_mm(voxels))).astype(np.intp)
        within = at[((at >= 0) & (at < grid.shape_kji)).all(axis=1)]
        if not (prepared[tuple(within.T)] == 1).any():
            lost.append(lesion)
    return lost


def wanted_of(structure: Structure) -> Wanted:
    """Return a structure as an evaluation asks for it."""
    table = {name: one for name, one in structure.output("-", 0, in_hu=False).items() if name != "channel"}
    spec, problems = read_table(OutputSpec, table, "output")
    if spec is None:
        raise ValueError(f"the output of {structure.name} cannot be: {problems}")
    return Wanted(spec=spec)


def _said_of(study: LabelledStudy, wanted: Wanted) -> dict[StackKey, tuple[TrueLesion, ...]]:
    """Return what is said of the stacks of a study.

    What is said of the study as a whole is said of the stack with the most slices.
    """
    able = [one for one in study.stacks if one.facts.refusal is None]
    found: dict[StackKey, tuple[TrueLesion, ...]] = {}
    spoken = {one.of_series for one in study.annotations} - {""}
    for stack in able:
        if stack.facts.series_instance_uid not in spoken:
            continue
        lesions = drawn_lesions(wanted, _labels(study, stack))
        if lesions is not None:
            found[key_of_stack(stack)] = lesions
    if found or not able:
        return found
    largest = max(able, key=lambda one: len(one.headers))
    lesions = drawn_lesions(wanted, _labels(study, largest))
    return {} if lesions is None else {key_of_stack(largest): lesions}


def _labels(study: LabelledStudy, stack: Stack) -> Labels:
    grid = None if stack.placement is None else stack.placement.grid
    return labels_for(study, stack, grid, machine_labels=True)  # those of machines were left out before
