"""Learning to find lesions: each connected part of an outline becomes a centre with a size and a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from torch import Tensor, nn

from dicomnode.engine import EnginePackage
from dicomnode.evaluate import Figure, Interval, StudyOutcome, false_alarms_at, sensitivity_at, study_outcome
from dicomnode.evaluate.data import LabelledData
from dicomnode.evaluate.running import candidates_of
from dicomnode.evaluate.truth import parts_of, wanted_outputs
from dicomnode.faults import NETWORK_UNBUILT, NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.centres import (
    CANDIDATES,
    CORNERS,
    Operating,
    average_precision_of,
    lesions_of,
    operating_point,
    outcome_of,
)
from dicomnode.learn.train.detector import HEAT_STEPS, LOG_STEPS, STRIDE, CentreLoss, Detector
from dicomnode.learn.train.held_out import figure_interval, run_engine
from dicomnode.learn.train.job import HeldOut, Judged, Meaning
from dicomnode.learn.train.lessons import SegmentLesson, mean_dice, told_dice
from dicomnode.learn.train.loop import Lesson, Score
from dicomnode.learn.train.losses import MapLoss, structure_weights
from dicomnode.learn.train.networks import build
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import IGNORED, Sample, UInt8
from dicomnode.learn.train.segment import SegmentJob
from dicomnode.values import Progress, Refusal

_SPREAD: Final = 0.2  # of the diameter: standard deviation of the heat around a centre
_LEAST_SPREAD: Final = 0.8  # voxels
_WARM: Final = 0.5  # cells with more heat tell the size
_FEW_LESIONS: Final = 20  # of the validation part: a threshold that was set on fewer may lie elsewhere


def centre_target(mask: UInt8, spacing_kji_mm: tuple[float, float, float]) -> UInt8:
    """Return (3, k, j, i): the mask, heat around centres, and the logarithm of the diameter within lesions.

    mask: 0, 1 or IGNORED, (k, j, i). The voxel nearest to a centre has all the heat.
    """
    heat = np.zeros(mask.shape, dtype=np.float64)
    logs = np.full(mask.shape, IGNORED, dtype=np.uint8)
    places = np.indices(mask.shape).astype(np.float32)
    parts, _ = ndimage.label(mask == 1, structure=CORNERS)
    for number, one in enumerate(lesions_of(mask == 1, float(np.prod(spacing_kji_mm))), start=1):
        near = [round(at) for at in one.centre]
        spread = [max(_SPREAD * one.diameter_mm / mm, _LEAST_SPREAD) for mm in spacing_kji_mm]
        apart = sum(((places[a] - near[a]) / spread[a]) ** 2 for a in range(3))
        heat = np.maximum(heat, np.exp(-0.5 * apart))
        logs[parts == number] = np.clip(round(np.log(max(one.diameter_mm, 1.0)) * LOG_STEPS), 0, HEAT_STEPS)
    warm = np.rint(heat * HEAT_STEPS).astype(np.uint8)
    # Cells around a centre tell the size, too
    close = heat > _WARM
    if close.any() and (mask == 1).any():
        nearest = ndimage.distance_transform_edt(mask != 1, return_distances=False, return_indices=True)
        logs[close] = logs[tuple(nearest)][close]
    warm[mask == IGNORED] = IGNORED
    return np.stack([mask, warm, logs])


@dataclass(kw_only=True, eq=False)
class DetectLesson(SegmentLesson):
    """Learns centres, sizes and masks from patches; judged by the centres that are found."""

    centre_loss: CentreLoss = field(kw_only=True)
    multiple: tuple[int, int, int] = (2, 2, 2)

    def loss(self, found: Any, target: Tensor) -> Tensor:
        """Return the loss of heat, size and mask."""
        return self.centre_loss(found, target)

    def score(self, network: nn.Module, device: torch.device) -> Score:
        """Return the mean of the average precision of the centres and of the Dice of the masks.

        Studies in which there is nothing and nothing was outlined have no Dice: silence must not be best.
        """
        edge = edge_of(self.loss_of.weights[0])
        outcomes, dices = validated(network, self.validation, self.multiple, self.pad_value, edge, device)
        found = average_precision_of(outcomes)
        figures = {"average precision of centres": found, "dice of masks": mean_dice(dices) or 0.0}
        return Score(value=float(np.mean(list(figures.values()))), figures=figures)


def edge_of(weight: float) -> float:
    """Return the logit at which a mask ends whose lesion voxels had that weight while it was learned."""
    return round(float(np.log(weight)), 4)


def validated(
    network: nn.Module,
    samples: Sequence[Sample],
    multiple: tuple[int, int, int],
    pad_value: float,
    edge: float,
    device: torch.device,
) -> tuple[list[StudyOutcome], list[float | None]]:
    """Return of each study which lesions the centres hit, and the Dice of its mask (see `told_dice`).

    edge: logit at which masks end, the same in service.
    """
    outcomes, dices = [], []
    for sample in samples:
        heat, _, mask = whole_maps(network, sample, multiple, pad_value, device)
        target = np.asarray(sample.target[0])
        dices.append(told_dice(mask > edge, target))
        outcomes.append(outcome_of(expit(heat), target, sample.spacing_kji_mm))
    return outcomes, dices


def whole_maps(
    network: nn.Module,
    sample: Sample,
    multiple: tuple[int, int, int],
    pad_value: float,
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Run the network over a whole study, padded at the end as in service; heat, size, mask without it."""
    shape = sample.shape_kji
    margins = [(0, -n % m) for n, m in zip(shape, multiple, strict=True)]
    box = np.pad(np.asarray(sample.inputs), [(0, 0), *margins], constant_values=np.float32(pad_value))
    with torch.no_grad():
        found = network(torch.from_numpy(np.array(box))[None].to(device))
    heat, size, mask = (one.float().cpu().numpy()[0, 0] for one in found)
    k, j, i = shape
    return heat, size, mask[:k, :j, :i]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectJob(SegmentJob):
    """A `Job`: finds lesions of one kind."""

    score_name: str = "average precision of centres and Dice of masks"
    output_names: Sequence[str] = ("heat", "logd", "mask")

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, wanted: Sequence[str] = ()) -> DetectJob:
        """Take the lesions that are outlined, or what is wanted; NodeError(NOTHING_TO_LEARN)."""
        found = SegmentJob.of(recipe, data, wanted)
        able = [n for n, one in enumerate(found.structures) if wanted or one.kind == "lesion"]
        if len(able) != 1:
            names = ", ".join(found.structures[n].name for n in able) or "none"
            raise NodeError(
                NOTHING_TO_LEARN,
                task="lesions",
                reason=f"one kind of lesion is learned at a time, and outlined are: {names}",
                advice="Name it: --structure NAME.",
            )
        [number] = able
        structure = replace(found.structures[number], kind="lesion")
        cases = [
            replace(case, truths={0: case.truths[number]}) for case in found.cases if number in case.truths
        ]
        return cls(recipe=recipe, cases=cases, structures=(structure,), left_out=found.left_out)

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """As of outlines, with sides that are padded to what the network halves; NodeError for slices."""
        plan = super(DetectJob, self).plan(training, progress)
        if plan.shape.is_flat or plan.input["kind"] != "volume":
            reason = "it finds lesions in volumes, and sees one slice"
            raise NodeError(NETWORK_UNBUILT, network=self.recipe.net, reason=reason)
        if any(side % STRIDE for side in plan.shape.patch_kji):
            reason = f"the patch {plan.shape.patch_kji} must have even sides"
            raise NodeError(NETWORK_UNBUILT, network=self.recipe.net, reason=reason)
        pad = {
            "pad": {"multiple_kji": list(_multiple(plan)), "where": "end", "value": round(plan.pad_value, 6)}
        }
        prepare = [*plan.input["prepare"], pad]
        return replace(plan, input={**plan.input, "prepare": prepare}, free=_multiple(plan))

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare images and outlines, and say where centres are."""
        made = super(DetectJob, self).sample(case, plan)
        if isinstance(made, Refusal):
            return made
        target = centre_target(np.asarray(made.target[0]), made.spacing_kji_mm)
        return replace(made, target=target)

    def network(self, plan: Plan) -> nn.Module:
        """Build it. Running norms of batches of two would not be those that it learned with."""
        features = self.recipe.width
        backbone = build(self.recipe, plan.shape, plan.channels, features)
        return Detector(backbone, features)

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return patches of the training part, half of them at lesions.

        Raises NodeError(NOTHING_TO_LEARN) where a part has no lesion: to say nothing would be best there.
        """
        for name, some in (("training", training), ("validation", validation)):
            if not any((np.asarray(one.target[0]) == 1).any() for one in some):
                raise NodeError(
                    NOTHING_TO_LEARN,
                    task="lesions",
                    reason=f"no case of the {name} part has one",
                    advice="Label more patients with lesions, or give a new --split.",
                )
        masks = [replace(one, target=one.target[:1]) for one in training]
        gamma = self.recipe.focal_gamma if self.recipe.loss == "focal" else None
        mask_loss = MapLoss(structure_weights(self.recipe, masks), gamma)
        how = self.recipe.augmentation
        return DetectLesson(
            recipe=self.recipe,
            shape=plan.shape,
            training=training,
            validation=validation,
            names=[one.name for one in self.structures],
            pad_value=plan.pad_value,
            loss_of=mask_loss,
            augment=Augmenter(how, self.flips, flat=False, pad_value=plan.pad_value),
            centre_loss=CentreLoss(mask_loss),
            multiple=_multiple(plan),
            drawn_from=(0,),
        )

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """The node's own reading of centres; the mask was learned with weighted voxels, so its edge moves."""
        [weight] = structure_weights(self.recipe, [replace(one, target=one.target[:1]) for one in training])
        made = super(DetectJob, self).meaning(network, training, validation, plan)
        edge, cpu = edge_of(weight), torch.device("cpu")
        outcomes, _ = validated(network, validation, _multiple(plan), plan.pad_value, edge, cpu)
        point = operating_point(outcomes)
        heat = {
            "heat": "heat",
            "size": "logd",
            "mask": "mask",
            "stride": STRIDE,
            "heat_at_least": CANDIDATES,
            "threshold": point.threshold,
            "mask_logit": edge,
        }
        outputs = [
            {name: one for name, one in output.items() if name != "channel"} for output in made.outputs
        ]
        step = {"window": "whole", "interpret": "centre_heat", "centre_heat": heat}
        return Meaning(step=step, outputs=outputs, lines=(*made.lines, _said(point, outcomes)))

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Sensitivity by lesion and false alarms a study, at the threshold of the engine."""
        missed: list[Refusal] = []
        patients: list[str] = []
        outcomes: list[StudyOutcome] = []
        [wanted] = wanted_outputs(package.manifest, {})
        for case, images, findings in run_engine(package, cases, made_at, threads, missed):
            found = candidates_of(wanted, findings)
            truth = parts_of(next(iter(case.truths.values())), images.grid)
            scored = [(centre, 1.0 if score is None else score) for centre, score in found]
            outcomes.append(study_outcome(scored, truth))
            patients.append(case.patient)
        if not outcomes:
            return Judged(missed=tuple(missed))
        figures: Mapping[str, Callable[[Sequence[StudyOutcome]], Figure]] = {
            "sensitivity by lesion": partial(
                sensitivity_at, threshold=0.0
            ),  # what is reported has passed its own
            "false alarms a study": partial(false_alarms_at, threshold=0.0),
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


def _interval(
    figure: Callable[[Sequence[StudyOutcome]], Figure],
    outcomes: Sequence[StudyOutcome],
    patients: Sequence[str],
    seed: int,
) -> Interval:
    return figure_interval(patients, lambda rows: figure([outcomes[row] for row in rows]), seed)


def _said(point: Operating, outcomes: Sequence[StudyOutcome]) -> str:
    """Return a sentence for the card: where the threshold comes from."""
    lesions = sum(len(one.lesions) for one in outcomes)
    few = ": so few that it may lie elsewhere" if lesions < _FEW_LESIONS else ""
    return (
        f"The threshold of {point.threshold:g} has the best F1 of the validation part, {point.f1:.2f}, on "
        f"{lesions} lesions{few}."
    )


def _multiple(plan: Plan) -> tuple[int, int, int]:
    """Return what sides must be a multiple of: of all levels, and of the cells."""
    product = np.prod(np.array(plan.shape.strides), axis=0)
    k, j, i = (max(int(one), STRIDE) for one in product)
    return k, j, i
