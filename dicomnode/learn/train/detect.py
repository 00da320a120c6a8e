"""Learning to find lesions in volumes and pictures: centres with a size, and a mask where there are outlines.

Each connected part of an outline is a lesion; so is what a report or a table only points at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.evaluate import (
    Figure,
    Interval,
    StudyOutcome,
    false_alarms_at,
    sensitivity_at,
    study_outcome,
)
from dicomnode.evaluate.data import LabelledData
from dicomnode.evaluate.figures import share
from dicomnode.evaluate.running import candidates_of
from dicomnode.evaluate.truth import TrueLesion, parts_of, wanted_outputs
from dicomnode.faults import NETWORK_UNBUILT, NOTHING_TO_LEARN, PREPARATION_FAILED, NodeError
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.cases import Case, of_usual_form, outlined_cases
from dicomnode.learn.train.centres import CANDIDATES, Lesion, Operating, Spacing, operating_point
from dicomnode.learn.train.detecting import DetectLesson, edge_of, has_lesion, is_outlined, validated
from dicomnode.learn.train.detector import STRIDE, CentreLoss, Detector
from dicomnode.learn.train.held_out import figure_interval, run_engine
from dicomnode.learn.train.job import HeldOut, Judged, Meaning
from dicomnode.learn.train.loop import Lesson
from dicomnode.learn.train.losses import MapLoss, structure_weights
from dicomnode.learn.train.networks import build
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.points import Pointed, lost_lesions, pointed_cases, with_findings, without_sides
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample, fed, target_on
from dicomnode.learn.train.segment import SegmentJob
from dicomnode.learn.train.shapes import Shape, shape_of
from dicomnode.learn.train.structures import Structure, key_of, structures_of
from dicomnode.learn.train.targets import centre_target
from dicomnode.values import Grid, Mask, Progress, Refusal, reaches

_FEW_LESIONS: Final = 20  # of the validation part: a threshold that was set on fewer may lie elsewhere
_USUAL_MM: Final = 10.0  # of a lesion in a volume where no size is known at all
_USUAL_PART: Final = 0.05  # of the side of a picture
_NO_OUTLINE: Final = 1e6  # logit that no mask reaches: of an engine that has learned none
_MOST_VOXELS: Final = 20_000_000  # of a study; `residual_unet` takes about 300 bytes for each
_NEXT: Final = 0.01  # mm: half the larger diameter alone tells two centres of a picture apart


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectJob(SegmentJob):
    """A `Job`: finds lesions of one kind. pointed: those without an outline."""

    pointed: Pointed
    score_name: str = "mean of average precision and sensitivity of centres, and Dice of masks"
    output_names: Sequence[str] = ("heat", "logd", "mask")

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, wanted: Sequence[str] = ()) -> DetectJob:
        """Take the lesions that are outlined or pointed at, or those wanted; NodeError(NOTHING_TO_LEARN)."""
        data = without_sides(data)
        structure = _structure(data, wanted)
        outlined = any(
            key_of(segment) == structure.key
            for study in data.studies
            for one in study.annotations
            if one.grid is not None
            for segment in one.segments
        )
        found = outlined_cases(data, [structure]) if outlined else None
        cases = () if found is None else found.cases
        pointed = pointed_cases(data, structure, cases)
        usual = of_usual_form([*cases, *pointed.cases], () if found is None else found.left_out)
        return cls(
            recipe=recipe,
            cases=usual.cases,
            structures=(structure,),
            left_out=usual.left_out,
            pointed=pointed,
        )

    def stratum_of(self, case: Case) -> str:
        """Return whether it has a lesion."""
        mask = case.truths.get(0)
        return "1" if self.pointed.of(case) or (mask is not None and not mask.is_empty) else "0"

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """As of outlines; volumes are padded to what the network halves. NodeError for slices of volumes.

        The network sees a study whole. Unless spacing_kji_mm is given it is so coarse that this can be done.
        """
        plan = super(DetectJob, self).plan(training, progress)
        spacing = fitting_spacing(plan.spacing_kji_mm, _largest_mm3(training))
        if self.recipe.spacing_kji_mm is None and spacing != plan.spacing_kji_mm:
            coarser = replace(self, recipe=replace(self.recipe, spacing_kji_mm=spacing))
            plan = super(DetectJob, coarser).plan(training, progress)
        plan = replace(plan, usual_mm=self.pointed.usual_mm(training))
        picture = plan.input["kind"] != "volume"
        if plan.shape.is_flat and not picture:
            reason = "it finds lesions in volumes as a whole, and patch_kji has one slice"
            raise NodeError(NETWORK_UNBUILT, network=self.recipe.net, reason=reason)
        if self.recipe.patch_kji is None:
            plan = replace(plan, shape=_even(plan.shape, plan.spacing_kji_mm, self.recipe.levels))
        if any(side % STRIDE for side in plan.shape.own_patch):
            reason = f"the patch {plan.shape.patch_kji} must have even sides"
            raise NodeError(NETWORK_UNBUILT, network=self.recipe.net, reason=reason)
        if picture:
            return plan
        pad = {
            "pad": {"multiple_kji": list(_multiple(plan)), "where": "end", "value": round(plan.pad_value, 6)}
        }
        prepare = [*plan.input["prepare"], pad]
        return replace(plan, input={**plan.input, "prepare": prepare}, free=_multiple(plan))

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare images and outlines, and say where centres are; of pictures all in pixels that it sees.

        Raises NodeError(PREPARATION_FAILED), also where a picture has several frames.
        """
        ready = fed(plan.manifest("training"), case.load())
        if isinstance(ready, Refusal):
            return ready
        if plan.shape.is_flat and ready.inputs.shape[1] != 1:
            raise NodeError(PREPARATION_FAILED, reason=f"it has {ready.inputs.shape[1]} frames, and not one")
        source = case.grid or ready.source
        nothing = Mask.from_array(np.zeros(source.shape_kji, dtype=bool))
        [mask] = target_on(ready.grid, source, {0: case.truths.get(0, nothing)}, 1)
        flat = plan.shape.is_flat
        spacing = (1.0, 1.0, 1.0) if flat else ready.grid.spacing_kji_mm
        pixel_mm = float(np.sqrt(np.prod(ready.grid.spacing_kji_mm[1:]))) if flat else 1.0
        usual = _USUAL_PART * max(mask.shape) if flat else _USUAL_MM
        if plan.usual_mm is not None:
            usual = plan.usual_mm / pixel_mm
        lost = lost_lesions(case.truths.get(0, nothing), source, mask, ready.grid)
        drawn = _on_grid([*self.pointed.of(case), *lost], ready.grid, pixel_mm)
        return Sample(
            name="",
            patient=case.patient,
            inputs=ready.inputs,
            target=centre_target(mask, spacing, drawn, usual),
            spacing_kji_mm=spacing,
        )

    def content(self, case: Case) -> Sequence[bytes | str]:
        """Return the masks, and the lesions without one."""
        said = [(one.centre_lps_mm, one.diameter_mm) for one in self.pointed.of(case)]
        return [*super(DetectJob, self).content(case), repr(said)]

    def network(self, plan: Plan) -> nn.Module:
        """Build it. Running norms of batches of two would not be those that it learned with."""
        features = self.recipe.width
        backbone = build(self.recipe, plan.shape, plan.channels, features)
        return Detector(backbone, features, flat=plan.shape.is_flat)

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return patches of the training part, half of them at lesions.

        Raises NodeError(NOTHING_TO_LEARN) where a part has no lesion: to say nothing would be best there.
        """
        for name, some in (("training", training), ("validation", validation)):
            if not any(has_lesion(one) for one in some):
                raise NodeError(
                    NOTHING_TO_LEARN,
                    task="lesions",
                    reason=f"no case of the {name} part has one",
                    advice="Label more patients with lesions, or give a new --split.",
                )
        gamma = self.recipe.focal_gamma if self.recipe.loss == "focal" else None
        mask_loss = MapLoss(structure_weights(self.recipe, _masks(training)), gamma)
        how = self.recipe.augmentation
        return DetectLesson(
            recipe=self.recipe,
            shape=plan.shape,
            training=training,
            validation=validation,
            names=[one.name for one in self.structures],
            pad_value=plan.pad_value,
            loss_of=mask_loss,
            augment=Augmenter(how, self.flips, flat=plan.shape.is_flat, pad_value=plan.pad_value),
            centre_loss=CentreLoss(mask_loss),
            multiple=_multiple(plan),
        )

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """The node's own reading of centres; the mask was learned with weighted voxels, so its edge moves."""
        [weight] = structure_weights(self.recipe, _masks(training))
        edge, cpu = edge_of(weight), torch.device("cpu")
        outcomes, _ = validated(network, validation, _multiple(plan), plan.pad_value, edge, cpu)
        point = operating_point(outcomes)
        outlines = sum(is_outlined(one) for one in training)
        heat: dict[str, Any] = {
            "heat": "heat",
            "size": "logd",
            "mask": "mask",
            "stride": STRIDE,
            "heat_at_least": CANDIDATES,
            "threshold": point.threshold,
            "mask_logit": edge if outlines else _NO_OUTLINE,
        }
        if plan.shape.is_flat:
            heat |= {
                "size_in": "voxels",
                "suppress_mm": _NEXT,
                "mask_reach_diameters": 1.0,
                "mask_reach_mm": 0.0,
            }
        made = super(DetectJob, self).meaning(network, _masks(training), _masks(validation), plan)
        outputs = [
            {name: one for name, one in output.items() if name != "channel"} for output in made.outputs
        ]
        step = {"window": "whole", "interpret": "centre_heat", "centre_heat": heat}
        [structure] = self.structures
        name, some = structure.name, sum(map(has_lesion, training))
        lines = (
            f"{name}: in {some} of {len(training)} cases of the training part, outlined in {outlines}",
            *([] if outlines else [f"{name}: nobody outlined any, so that results are points"]),
            _said(point, outcomes),
        )
        return Meaning(step=step, outputs=outputs, lines=lines)

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Sensitivity by lesion, false alarms a study, and quiet healthy studies, of what is reported."""
        missed: list[Refusal] = []
        patients: list[str] = []
        outcomes: list[StudyOutcome] = []
        [wanted] = wanted_outputs(package.manifest, {})
        for case, images, findings in run_engine(package, cases, made_at, threads, missed):
            found = candidates_of(wanted, findings)
            mask = case.truths.get(0)
            truth = [*([] if mask is None else parts_of(mask, images.grid)), *self.pointed.of(case)]
            scored = [(centre, 1.0 if score is None else score) for centre, score in found]
            outcomes.append(study_outcome(scored, truth))
            patients.append(case.patient)
        if not outcomes:
            return Judged(missed=tuple(missed))
        # What is reported has passed its own threshold
        figures: Mapping[str, Callable[[Sequence[StudyOutcome]], Figure]] = {
            "sensitivity by lesion": partial(sensitivity_at, threshold=0.0),
            "false alarms a study": partial(false_alarms_at, threshold=0.0),
            "studies without a lesion in which none is reported": quiet_share,
        }
        found_of = [
            HeldOut(
                name=name,
                cases=len(outcomes),
                interval=_interval(figure, outcomes, patients, self.recipe.seed),
            )
            for name, figure in figures.items()
        ]
        return Judged(figures=tuple(found_of), missed=tuple(missed))


def _on_grid(lesions: Sequence[TrueLesion], grid: Grid, pixel_mm: float) -> list[Lesion]:
    """Return lesions without an outline on the prepared grid; what was cut away is not there."""
    found = []
    for one in lesions:
        k, j, i = (float(at) for at in grid.to_index_kji(one.centre_lps_mm))
        if all(-0.5 <= at < side - 0.5 for at, side in zip((k, j, i), grid.shape_kji, strict=True)):
            found.append(Lesion(centre=(k, j, i), diameter_mm=one.diameter_mm / pixel_mm))
    return found


def fitting_spacing(spacing_kji_mm: Spacing, largest_mm3: float) -> Spacing:
    """Return a spacing at which the largest study has as few voxels as a network can see whole.

    The finest axes give way first, as far as they stay no coarser than the others.
    """
    needed = largest_mm3 / _MOST_VOXELS
    if float(np.prod(spacing_kji_mm)) >= needed:
        return spacing_kji_mm
    for many in (1, 2, 3):
        others = sorted(spacing_kji_mm)[many:]
        least = (needed / float(np.prod(others))) ** (1.0 / many)
        if not others or least <= others[0]:
            break
    k, j, i = (max(mm, round(least, 3)) for mm in spacing_kji_mm)
    return k, j, i


def _even(shape: Shape, spacing_kji_mm: Spacing, levels: int) -> Shape:
    """Return a shape whose patch has whole cells: studies of an odd number of slices are padded."""
    if shape.is_flat:
        return shape
    k, j, i = (side + side % STRIDE for side in shape.patch_kji)
    return shape_of((k, j, i), spacing_kji_mm, levels)


def _largest_mm3(cases: Sequence[Case]) -> float:
    grids = [case.stack.placement.grid for case in cases if case.stack.placement is not None]
    return max((float(np.prod(one.shape_kji)) * one.voxel_mm3 for one in grids), default=0.0)


def quiet_share(outcomes: Sequence[StudyOutcome]) -> Figure:
    """Share of the studies without a lesion in which nothing is found."""
    healthy = [one for one in outcomes if not one.lesions]
    quiet = sum(not one.false_alarms for one in healthy)
    return share("quiet_share", quiet, len(healthy), "each study has a lesion")


def _structure(data: LabelledData, wanted: Sequence[str]) -> Structure:
    """Return the only kind of lesion, or the wanted one; NodeError(NOTHING_TO_LEARN)."""
    every = with_findings(data.studies)
    found = structures_of(every, wanted)
    able = [one for one in found if wanted or one.kind == "lesion"]
    if len(able) == 1:
        return replace(able[0], kind="lesion")
    names = ", ".join(one.name for one in able) or "none"
    known = ", ".join(one.name for one in structures_of(every)) or "nothing"
    raise NodeError(
        NOTHING_TO_LEARN,
        task="lesions",
        reason=f"one kind of lesion is learned at a time; {'found of those wanted' if wanted else 'there'} "
        f"are: {names}",
        advice=f"Name it: --structure NAME. Outlined or pointed at: {known}.",
    )


def _masks(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(one, target=one.target[:1]) for one in samples]


def _interval(
    figure: Callable[[Sequence[StudyOutcome]], Figure],
    outcomes: Sequence[StudyOutcome],
    patients: Sequence[str],
    seed: int,
) -> Interval:
    return figure_interval(patients, lambda rows: figure([outcomes[row] for row in rows]), seed)


def _said(point: Operating, outcomes: Sequence[StudyOutcome]) -> str:
    """Return a sentence for the card: where the threshold comes from, and what it lets through."""
    lesions = sum(len(one.lesions) for one in outcomes)
    few = ": so few that it may lie elsewhere" if lesions < _FEW_LESIONS else ""
    healthy = [one for one in outcomes if not one.lesions]
    alarms = sum(reaches(score, point.threshold) for one in healthy for score in one.false_alarms)
    beside = (
        f"; its {len(healthy)} studies without a lesion have {alarms} false alarms then" if healthy else ""
    )
    return (
        f"The threshold of {point.threshold:g} has the best F1 of the validation part, {point.f1:.2f}, on "
        f"{lesions} lesions{few}{beside}."
    )


def _multiple(plan: Plan) -> tuple[int, int, int]:
    """Return what sides must be a multiple of: of all levels, and of the cells; 1 along k of a picture."""
    product = np.prod(np.array(plan.shape.strides), axis=0)
    k, j, i = (max(int(one), STRIDE) for one in product)
    return (1 if plan.shape.is_flat else k), j, i
