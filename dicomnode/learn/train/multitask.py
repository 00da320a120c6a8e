"""Learning several questions at once: one encoder outlines structures, tells classes and estimates numbers.

A volume goes through the network whole and at one size: a window of it could not answer for the study.
Studies may know some of the answers only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.evaluate.data import LabelledData
from dicomnode.faults import NOTHING_TO_LEARN, PREPARATION_FAILED, QUESTIONS_UNFIT, NodeError
from dicomnode.learn.train.augment import Augmenter, flips_of, speaks_of_side
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.classify import calibrated_by
from dicomnode.learn.train.job import Judged, Meaning
from dicomnode.learn.train.looking import look_at_all
from dicomnode.learn.train.loop import Lesson
from dicomnode.learn.train.multitask_cases import MAP, WantedAnswers, answers_of, gather
from dicomnode.learn.train.multitask_judging import judged
from dicomnode.learn.train.multitask_lesson import MultitaskLesson, answered
from dicomnode.learn.train.multitask_lesson import answers_of as known_answers
from dicomnode.learn.train.multitask_loss import multitask_loss
from dicomnode.learn.train.multitask_network import multitask_network
from dicomnode.learn.train.package import STEP
from dicomnode.learn.train.plan import Plan, plan_pictures, plan_volumes
from dicomnode.learn.train.questions import Question, Standard
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample, fed, target_on
from dicomnode.learn.train.structures import Structure
from dicomnode.values import Progress, Refusal

_OF_PICTURES: Final = frozenset({"long_axis_mm", "short_axis_mm"})
_ROWS_ALONE: Final = "densenet121"
_SCORE: Final = "mean skill of the questions"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MultitaskJob:
    """A `Job`: answers questions, and outlines structures. rare: answers, the rarest first."""

    recipe: Recipe
    cases: Sequence[Case]
    structures: Sequence[Structure]
    questions: Sequence[Question]
    left_out: Sequence[Refusal] = ()
    rare: Sequence[str] = ()
    score_name: str = _SCORE
    output_names: Sequence[str] = field(default=())

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, wanted: WantedAnswers) -> MultitaskJob:
        """Find cases; NodeError: QUESTIONS_UNFIT, NOTHING_TO_LEARN, LABELS_UNFIT."""
        if recipe.network is None and not wanted.structures:
            recipe = replace(recipe, network=_ROWS_ALONE)
        found = gather(data, wanted)
        names = [*([MAP] if found.structures else []), *(one.column for one in found.questions)]
        strange = [name for name in recipe.loss_weights or {} if name not in names]
        if strange:
            reason = f"loss_weights weighs {', '.join(strange)}, which is not asked"
            raise NodeError(QUESTIONS_UNFIT, reason=reason, advice=f"Asked are: {', '.join(names)}.")
        outputs = [MAP] if found.structures else []
        return cls(
            recipe=recipe,
            cases=found.cases,
            structures=found.structures,
            questions=found.questions,
            left_out=found.left_out,
            rare=found.rare,
            output_names=(*outputs, *(one.output for one in found.questions)),
        )

    @property
    def flips(self) -> Sequence[str]:
        """None where a structure has a side, or a question speaks of one."""
        said = [word for one in self.questions for word in (one.column, *one.labels)]
        sided = any(one.side is not None for one in self.structures) or speaks_of_side(said)
        return flips_of(self.recipe.augmentation, sided=sided)

    def stratum_of(self, case: Case) -> str:
        """Return the rarest answer that it has, so that rare ones come into all parts."""
        known = set(answers_of(case, self.structures, self.questions))
        return next((one for one in self.rare if one in known), "")

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """Decide size and spacing; values are scaled by what is outlined, where anything is.

        As much again on either side is kept: what is asked of a whole study may lie beyond its outlines.
        """
        if training[0].stack.kind != "volume":
            return plan_pictures(self.recipe, training)
        looked, looks = look_at_all(training, progress)
        there = [any(not mask.is_empty for mask in case.truths.values()) for case in looked]
        if any(there):
            pairs = zip(there, looks, strict=True)
            looks = [look if some else replace(look, values=look.values[:0]) for some, look in pairs]
        return plan_volumes(self.recipe, looked, looks, beyond=1.0 if any(there) else 0.0)

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare images and outlines; answers go along as numbers."""
        ready = fed(plan.manifest("training"), case.load())
        if isinstance(ready, Refusal):
            return ready
        if ready.inputs.shape[1:] != plan.shape.patch_kji:
            reason = f"it has the size {ready.inputs.shape[1:]} and not {plan.shape.patch_kji}"
            raise NodeError(PREPARATION_FAILED, reason=f"{reason} (several frames)")
        source = case.grid or ready.source
        return Sample(
            name="",
            patient=case.patient,
            inputs=ready.inputs,
            target=target_on(ready.grid, source, case.truths, len(self.structures)),
            spacing_kji_mm=ready.grid.spacing_kji_mm,
            answers=tuple(one.answer(case.labels) for one in self.questions),
        )

    def content(self, case: Case) -> Sequence[bytes | str]:
        """Return masks and answers, and what they are of."""
        asked = [one.key for one in self.structures], [(one.column, one.labels) for one in self.questions]
        parts: list[bytes | str] = [json.dumps(asked)]
        parts.append(repr([one.answer(case.labels) for one in self.questions]))
        for number, mask in sorted(case.truths.items()):
            parts += [f"{number} {mask.box_kji}", mask.bits.tobytes()]
        return parts

    def network(self, plan: Plan) -> nn.Module:
        """Build it."""
        widths = [one.width for one in self.questions]
        return multitask_network(self.recipe, plan.shape, plan.channels, len(self.structures), widths)

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return whole studies; NodeError(NOTHING_TO_LEARN) where a part knows none of the answers."""
        for name, some in (("training", training), ("validation", validation)):
            if not any(self._known(some)):
                reason = f"no case of the {name} part knows any of the answers"
                advice = "Label more patients, or give a new --split."
                raise NodeError(NOTHING_TO_LEARN, task="several questions", reason=reason, advice=advice)
        standards = self._standards(training)
        how = self.recipe.augmentation
        return MultitaskLesson(
            recipe=self.recipe,
            is_flat=plan.shape.is_flat,
            training=training,
            validation=validation,
            structures=[one.name for one in self.structures],
            questions=self.questions,
            standards=standards,
            loss_of=multitask_loss(self.recipe, training, self.questions, standards),
            augment=Augmenter(how, self.flips, flat=plan.shape.is_flat, pad_value=plan.pad_value),
        )

    def _known(self, samples: Sequence[Sample]) -> list[bool]:
        """Tell which can be learned of a part: structures with a voxel, classes of two kinds, numbers."""
        structures = (
            any(bool((np.asarray(one.target[number]) == 1).any()) for one in samples)
            for number in range(len(self.structures))
        )
        kinds = (len(np.unique(known_answers(samples, n)[1])) for n in range(len(self.questions)))
        least = (1 if one.is_number else 2 for one in self.questions)
        return [*structures, *(kind >= few for kind, few in zip(kinds, least, strict=True))]

    def _standards(self, training: Sequence[Sample]) -> list[Standard]:
        return [
            Standard.of(known_answers(training, number)[1].tolist()) if one.is_number else Standard()
            for number, one in enumerate(self.questions)
        ]

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """A head for the map and one for each question, classes calibrated where there are cases enough."""
        rows = self._rows(network, validation, plan)
        standards = self._standards(training)
        heads: list[dict[str, Any]] = []
        outputs: list[dict[str, Any]] = []
        lines = [_outlined(one) for one in self.structures]
        if self.structures:
            heads.append({"name": MAP, "output": MAP, "interpret": "sigmoid"})
            outputs += [self._segment(number, plan) for number in range(len(self.structures))]
        for number, question in enumerate(self.questions):
            if question.is_number:
                values = [one for one in map(question.answer, self._labels) if not math.isnan(one)]
                temperature = 1.0
                taught = known_answers(training, number)[1].tolist()
                outputs.append(question.number_output(standards[number], taught))
                span = f"from {min(values):g} to {max(values):g} {question.unit.value}"
                lines.append(f"{question.column}: {len(values)} cases, {span}")
            else:
                known, truth = known_answers(validation, number)
                temperature, note = calibrated_by(rows[number][known], truth.astype(np.int64), question.width)
                outputs += question.class_outputs(calibrated=note == "")
                lines += self._counted(question)
                lines.append(f"{question.column}: {note or f'calibrated, temperature {temperature:g}'}")
            heads.append(question.head_table(temperature))
        lines += self._not_learned(training, validation)
        return Meaning(step={"window": "whole", "head": heads}, outputs=outputs, lines=lines)

    @property
    def _labels(self) -> list[Mapping[str, str]]:
        return [case.labels for case in self.cases]

    def _rows(self, network: nn.Module, samples: Sequence[Sample], plan: Plan) -> list[NDArray[np.float64]]:
        """Return the row of each question for each sample, (samples, numbers)."""
        device, flat = torch.device("cpu"), plan.shape.is_flat
        found = [outputs for _, outputs in answered(network, samples, device, flat=flat)]
        first = 1 if self.structures else 0
        return [
            np.stack([outputs[first + number] for outputs in found]).astype(np.float64)
            for number in range(len(self.questions))
        ]

    def _segment(self, number: int, plan: Plan) -> dict[str, Any]:
        output = self.structures[number].output(STEP, number, in_hu=plan.in_hu) | {"head": MAP}
        if plan.input["kind"] != "volume":
            output["measure"] = [name for name in output["measure"] if name in _OF_PICTURES]
        return output

    def _counted(self, question: Question) -> list[str]:
        labels = [one.get(question.column) for one in self._labels]
        pairs = zip(question.titles, question.labels, strict=True)
        return [f"{title}: {labels.count(label)} cases" for title, label in pairs]

    def _not_learned(self, training: Sequence[Sample], validation: Sequence[Sample]) -> list[str]:
        names = [*(one.name for one in self.structures), *(one.column for one in self.questions)]
        lines = []
        for name, taught, told in zip(names, self._known(training), self._known(validation), strict=True):
            if not taught:
                lines.append(f"{name}: the training part does not tell it; the engine has not learned it")
            elif not told:
                lines.append(f"{name}: the validation part does not tell it; it did not choose the weights")
        return lines

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Dice of structures, areas and rates of classes, errors of numbers: over who knows the truth."""
        return judged(self, package, cases, made_at, threads)


def _outlined(structure: Structure) -> str:
    """Return a sentence for the card: how many outlines there are, and how many nobody has looked at."""
    unseen = f", {structure.by_machine} outlines made by an algorithm and looked at by nobody"
    return (
        f"{structure.name}: outlined in {structure.studies} studies{unseen if structure.by_machine else ''}"
    )
