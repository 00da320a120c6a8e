"""Where lesions are that somebody outlined or boxed: what the map of an anomaly is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dicomnode.assemble import Stack
from dicomnode.evaluate import ScoredCases, roc_auc
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.pointing import LesionBox, Pointed, pointed
from dicomnode.learn.train.cases import Case, lies_on
from dicomnode.learn.train.samples import target_on
from dicomnode.learn.train.structures import outlined, structures_of
from dicomnode.values import Grid, Mask, ScalarMap

Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesions:
    """What is known of the lesions of a stack. mask: of all, on `grid`, where somebody outlined them."""

    boxes: tuple[LesionBox, ...]
    mask: Mask | None = None
    grid: Grid | None = None

    def pointed(self, heat: ScalarMap, patient: str) -> Pointed:
        """Tell whether the maximum of a map lies in a lesion."""
        return pointed(heat.values, heat.grid, self.boxes, patient=patient)

    def area(self, heat: ScalarMap) -> float | None:
        """Return the area under the ROC curve of voxels of the map; None without outlines on it."""
        if self.mask is None or self.grid is None:
            return None
        target = target_on(heat.grid, self.grid, {0: self.mask}, 1)[0]
        known = target <= 1
        return roc_auc(ScoredCases(truth=target[known] == 1, scores=heat.values[known])).value


def lesions_of(data: LabelledData) -> Mapping[Key, Lesions]:
    """Return what is outlined (SEG, RTSTRUCT) or boxed (SR) as a lesion, by stack."""
    every = structures_of([study.annotations for study in data.studies])
    structures = [one for one in every if one.kind == "lesion"]
    found: dict[Key, Lesions] = {}
    for study in data.studies:
        for annotation, mask in outlined(study.annotations, structures).values():
            grid = annotation.grid
            for stack in study.stacks:
                if grid is None or not lies_on(grid, stack, annotation.of_series):
                    continue
                known = found.get(key_of(stack))
                whole = mask if known is None or known.mask is None else known.mask.union(mask)
                if whole.crop().any():
                    found[key_of(stack)] = Lesions(boxes=_boxes(whole, grid), mask=whole, grid=grid)
        found |= {key: one for key, one in _boxed(study).items() if key not in found}
    return found


def key_of(stack: Stack) -> Key:
    """Return what tells stacks apart."""
    return stack.facts.series_instance_uid, stack.facts.stack


def of_case(lesions: Mapping[Key, Lesions], case: Case) -> Lesions | None:
    """Return the lesions of a case; None where none is known."""
    return lesions.get(key_of(case.stack))


def _boxes(mask: Mask, grid: Grid) -> tuple[LesionBox, ...]:
    parts, count = ndimage.label(mask.to_array(), structure=np.ones((3, 3, 3)))
    return tuple(LesionBox.around(parts == number, grid) for number in range(1, count + 1))


def _boxed(study: LabelledStudy) -> dict[Key, Lesions]:
    """Return boxes around the shapes of findings in reports."""
    boxes: dict[str, list[LesionBox]] = {}
    for annotation in study.annotations:
        for region in annotation.regions:
            if region.points_lps_mm:
                boxes.setdefault(annotation.of_series, []).append(_around(region.points_lps_mm))
    stacks: Sequence[Stack] = study.stacks
    return {
        key_of(stack): Lesions(boxes=tuple(boxes[stack.facts.series_instance_uid]))
        for stack in stacks
        if stack.facts.series_instance_uid in boxes
    }


def _around(points: Sequence[Sequence[float]]) -> LesionBox:
    places = np.asarray(points, dtype=np.float64)
    low, high = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    return LesionBox(low_lps_mm=(low[0], low[1], low[2]), high_lps_mm=(high[0], high[1], high[2]))
