"""Learning to outline: structures of SEG and RTSTRUCT become channels of a map that may overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.evaluate import dice
from dicomnode.evaluate.data import LabelledData
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.augment import Augmenter, flips_of
from dicomnode.learn.train.cases import Case, Found, outlined_cases
from dicomnode.learn.train.fusion import fused, on_first_series, with_series
from dicomnode.learn.train.held_out import mean_interval, run_engine, share_interval
from dicomnode.learn.train.job import HeldOut, Judged, Meaning
from dicomnode.learn.train.lessons import SegmentLesson
from dicomnode.learn.train.looking import look_at_all
from dicomnode.learn.train.loop import Lesson
from dicomnode.learn.train.losses import map_loss
from dicomnode.learn.train.networks import begin_silent, build
from dicomnode.learn.train.plan import Plan, plan_pictures, plan_volumes
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample, digests_of, fed, target_on
from dicomnode.learn.train.structures import Structure, structures_of
from dicomnode.values import Findings, Mask, Progress, Refusal

STEP: Final = "network"

_NONE: Final = "without false"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentJob:
    """A `Job`: outlines structures."""

    recipe: Recipe
    cases: Sequence[Case]
    structures: Sequence[Structure]
    left_out: Sequence[Refusal] = ()
    score_name: str = "mean Dice"
    output_names: Sequence[str] = ("map",)

    @property
    def flips(self) -> Sequence[str]:
        """None where a structure has a side: a mirrored left lung is no left lung."""
        return flips_of(self.recipe.augmentation, sided=any(one.side is not None for one in self.structures))

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, wanted: Sequence[str] = ()) -> SegmentJob:
        """Find structures and cases; NodeError(NOTHING_TO_LEARN) where a wanted one is nowhere outlined."""
        structures = structures_of([study.annotations for study in data.studies], wanted)
        if wanted and len(structures) < len(set(wanted)):
            known = ", ".join(one.name for one in structures_of([s.annotations for s in data.studies]))
            raise NodeError(
                NOTHING_TO_LEARN,
                task="segments",
                reason=f"not all of {', '.join(wanted)} are outlined",
                advice=f"Outlined are: {known or 'none'}.",
            )
        found = _with_series(outlined_cases(data, structures), data, recipe)
        known_now = {number for case in found.cases for number in case.truths}
        if len(known_now) < len(structures):
            # Those that only another kind of series has; numbers of the rest stay in their order
            kept = [one for number, one in enumerate(structures) if number in known_now]
            again = _with_series(outlined_cases(data, kept), data, recipe)
            return cls(recipe=recipe, cases=again.cases, structures=kept, left_out=found.left_out)
        return cls(recipe=recipe, cases=found.cases, structures=structures, left_out=found.left_out)

    def stratum_of(self, case: Case) -> str:
        """Return which structures it has: present, known to be absent, not known."""
        known = (case.truths.get(number) for number in range(len(self.structures)))
        return "".join("?" if mask is None else "0" if mask.is_empty else "1" for mask in known)

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """Decide it by the looks at the training part."""
        if training[0].stack.kind != "volume":
            return fused(plan_pictures(self.recipe, training), self.recipe, training)
        looked, looks = look_at_all(training, progress)
        return fused(plan_volumes(self.recipe, looked, looks), self.recipe, training)

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare images and outlines."""
        ready = fed(plan.manifest("training"), case.load(), case.load_beside())
        if isinstance(ready, Refusal):
            return ready
        target = target_on(ready.grid, case.grid or ready.source, case.truths, len(self.structures))
        return Sample(
            name="",
            patient=case.patient,
            inputs=ready.inputs,
            target=target,
            spacing_kji_mm=ready.grid.spacing_kji_mm,
        )

    def content(self, case: Case) -> Sequence[bytes | str]:
        """Return the masks, and which structures they are of."""
        parts: list[bytes | str] = [repr([one.key for one in self.structures])]
        for number, mask in sorted(case.truths.items()):
            parts += [f"{number} {mask.box_kji}", mask.bits.tobytes()]
        for name, stack in case.beside.items():
            parts += [name, *digests_of(stack)]
        return parts

    def network(self, plan: Plan) -> nn.Module:
        """Build it: a channel a structure, in which hardly a voxel is taken for one at first."""
        network = build(self.recipe, plan.shape, plan.channels, len(self.structures))
        begin_silent(network)
        return network

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return patches of the training part, and Dice on the validation part.

        Raises NodeError(NOTHING_TO_LEARN) where the training part has none of the structures.
        """
        if not any(_occurs(training, number) for number in range(len(self.structures))):
            names = ", ".join(one.name for one in self.structures)
            raise NodeError(
                NOTHING_TO_LEARN,
                task="segments",
                reason=f"all outlines of the training part are empty ({names})",
                advice="Add studies that have it, or give a new --split.",
            )
        how = self.recipe.augmentation
        return SegmentLesson(
            recipe=self.recipe,
            shape=plan.shape,
            training=training,
            validation=validation,
            names=[one.name for one in self.structures],
            pad_value=plan.pad_value,
            loss_of=map_loss(self.recipe, training),
            augment=Augmenter(how, self.flips, flat=plan.shape.is_flat, pad_value=plan.pad_value),
        )

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """Every structure is a channel, present where its probability is above one half."""
        del network
        window = {"size_kji": list(plan.shape.patch_kji), "overlap": 0.5}
        if plan.pad_value:
            window["pad_value"] = round(plan.pad_value, 6)
        picture = plan.input["kind"] != "volume"
        outputs = []
        for channel, one in enumerate(self.structures):
            output = one.output(STEP, channel, in_hu=plan.in_hu)
            if picture:
                output["measure"] = [
                    name for name in output["measure"] if name in {"long_axis_mm", "short_axis_mm"}
                ]
            outputs.append(output)
        lines = [
            f"{one.name}: outlined in {one.studies} studies"
            + (
                f", {one.by_machine} outlines made by an algorithm and looked at by nobody"
                if one.by_machine
                else ""
            )
            for one in self.structures
        ]
        for number, one in enumerate(self.structures):
            if not _occurs(training, number):
                lines.append(f"{one.name}: in no study of the training part; the engine has not learned it")
            elif not _occurs(validation, number):
                lines.append(f"{one.name}: in no study of the validation part; it did not choose the weights")
        return Meaning(step={"window": window, "interpret": "sigmoid"}, outputs=outputs, lines=lines)

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Dice of each structure on the grid of the images; of empty truths the share without a false one."""
        missed: list[Refusal] = []
        found: dict[str, list[tuple[str, float]]] = {}
        for case, images, findings in run_engine(package, cases, made_at, threads, missed):
            for number, truth in case.truths.items():
                mask = _found(findings, package, number, images.grid.shape_kji)
                name = outline_name(truth, self.structures[number])
                found.setdefault(name, []).append((case.patient, dice(mask, truth)))
        return Judged(figures=tuple(outline_figures(found, self.recipe.seed)), missed=tuple(missed))


def outline_name(truth: Mask, structure: Structure) -> str:
    """Name the figure of an outline: where there is none the share of cases without a false one."""
    return f"{_NONE if truth.is_empty else 'Dice'} {structure.name}"


def outline_figures(found: Mapping[str, Sequence[tuple[str, float]]], seed: int) -> list[HeldOut]:
    """Return the figures of outlines, by name. found: patient and Dice of each case, by `outline_name`."""
    figures = []
    for name, pairs in sorted(found.items()):
        patients, values = zip(*pairs, strict=True)
        if name.startswith(_NONE):  # of an empty truth Dice is 1 or 0: they are counted
            right = np.array(values) == 1.0
            interval = share_interval(name, patients, np.ones_like(right), right, seed)
        else:
            interval = mean_interval(name, patients, values, seed)
        figures.append(HeldOut(name=name, cases=len(pairs), interval=interval))
    return figures


def _with_series(found: Found, data: LabelledData, recipe: Recipe) -> Found:
    """Give each case its further series; NodeError(NOTHING_TO_LEARN) where none has them."""
    together = with_series(on_first_series(found, recipe), data, recipe)
    if found.cases and not together.cases:
        why = together.left_out[-1].text.rstrip(".")
        raise NodeError(
            NOTHING_TO_LEARN,
            task="segments",
            reason=f"no outlined study has the series of the recipe: {why}",
            advice="Correct the rules of [[series]]; outlines lie on the first.",
        )
    return together


def _occurs(samples: Sequence[Sample], number: int) -> bool:
    """Tell whether any sample has a voxel of a structure."""
    return any(bool((np.asarray(one.target[number]) == 1).any()) for one in samples)


def _found(findings: Findings, package: EnginePackage, channel: int, shape_kji: tuple[int, ...]) -> Mask:
    """Return all that the engine found of a structure, one mask of the source grid."""
    output = next(one for one in package.manifest.output if one.channel == channel)
    stem = f"{output.label}-{output.laterality}" if output.laterality else output.label
    k, j, i = shape_kji
    whole = Mask((k, j, i), ((0, 0), (0, 0), (0, 0)), np.empty(0, dtype=np.uint8))
    for segment in findings.segments:
        label = segment.label
        if label == stem or (output.kind == "lesion" and label.rpartition("-")[0] == output.label):
            whole = whole.union(segment.mask)
    return whole
