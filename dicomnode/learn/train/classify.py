"""Learning classes of whole studies: a row of logits, calibrated where there are cases enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.engine.adding.labelling import code_table, concept_of, stem_of
from dicomnode.evaluate import Interval, ScoredCases, roc_auc
from dicomnode.evaluate.data import LabelledData
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.changes import augmenter_of
from dicomnode.learn.train.held_out import interval_of, run_engine, share_interval
from dicomnode.learn.train.job import HeldOut, Judged, Meaning
from dicomnode.learn.train.loop import Lesson, Score
from dicomnode.learn.train.losses import ClassLoss, class_weights
from dicomnode.learn.train.package import STEP
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.row_lessons import RowLesson, rows_of
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.told import NEGATIVE, class_title, classes_of
from dicomnode.learn.train.whole import WholeJob, cases_with
from dicomnode.values import Refusal

LEAST_TO_CALIBRATE: Final = 20
"""Cases of the validation part, and at least five of each class: with fewer a temperature is a guess."""

_LEAST_OF_EACH: Final = 5
_TEMPERATURES: Final = (0.05, 20.0)

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifyJob(WholeJob):
    """A `Job`: tells classes. labels: as they stand in the table, in the order of the network's outputs."""

    labels: Sequence[str] = ()

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, column: str) -> ClassifyJob:
        """Find classes and cases; NodeError(LABELS_UNFIT)."""
        found = cases_with(data, column, recipe)
        cases = found.cases
        labels = classes_of(column, [case.labels[column] for case in cases])
        return cls(
            recipe=recipe,
            cases=cases,
            column=column,
            left_out=found.left_out,
            outputs=len(labels),
            labels=labels,
            score_name="log likelihood, classes weighted alike",
        )

    def value_of(self, case: Case) -> float:
        """Return the number of the class."""
        return float(self.labels.index(case.labels[self.column]))

    @property
    def titles(self) -> tuple[str, ...]:
        """How the classes are called."""
        return tuple(class_title(self.column, label) for label in self.labels)

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return studies of the training part, each class equally often.

        Raises NodeError(NOTHING_TO_LEARN) where it has one class alone: to say always that would be best.
        """
        classes = _classes(training)
        if len(set(classes)) < 2:
            reason = f"all cases of the training part are {self.titles[classes[0]]}"
            advice = "Label more patients of the other classes, or give a new --split."
            raise NodeError(NOTHING_TO_LEARN, task="classes", reason=reason, advice=advice)
        # Balanced sampling has made classes equally frequent already: a weight would count twice
        balanced = self.recipe.sampling == "balanced"
        weights = (1.0,) * self.outputs if balanced else class_weights(self.recipe, classes, self.outputs)
        gamma = self.recipe.focal_gamma if self.recipe.loss == "focal" else None
        truth = np.array(_classes(validation))
        return RowLesson(
            recipe=self.recipe,
            is_flat=plan.shape.is_flat,
            training=training,
            validation=validation,
            targets=np.array(classes, dtype=np.int64),
            classes=classes,
            loss_of=ClassLoss(weights, gamma),
            judge=lambda rows: self._score(rows, truth),
            augment=augmenter_of(self.recipe.augmentation, self.flips, plan),
        )

    def _score(self, rows: Rows, truth: NDArray[np.int64]) -> Score:
        """Mean log likelihood of each class that is there, and the mean of these."""
        logs = log_softmax(rows, axis=1)[np.arange(len(truth)), truth]
        value = float(np.mean([logs[truth == number].mean() for number in np.unique(truth)]))
        figures = {"accuracy": float((rows.argmax(axis=1) == truth).mean())}
        scores = softmax(rows, axis=1)
        for number, title in enumerate(self.titles):
            area = roc_auc(ScoredCases(truth=truth == number, scores=scores[:, number])).value
            if area is not None and not (number == 0 and self.outputs == 2):
                figures[f"area {title}"] = area
        return Score(value=value, figures=figures)

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """Every class but the one that is a lack is an output."""
        truth = np.array(_classes(validation))
        rows = rows_of(network, validation, torch.device("cpu"), flat=plan.shape.is_flat)
        temperature, note = calibrated_by(rows, truth, self.outputs)
        names = list(self.titles)
        step: dict[str, Any] = {
            "window": "whole",
            "interpret": "classes",
            "classes": {"activation": "softmax", "temperature": temperature, "names": names},
        }
        outputs = []
        for channel, (label, title) in enumerate(zip(self.labels, names, strict=True)):
            if label.strip().lower() in NEGATIVE:
                continue
            outputs.append(
                {
                    "classification": stem_of(title),
                    "step": STEP,
                    "channel": channel,
                    "type": code_table(concept_of(title)),
                    "calibrated": note == "",
                }
            )
        counts = [
            f"{name}: {_count(self, label)} cases" for name, label in zip(names, self.labels, strict=True)
        ]
        said = (
            note or f"Probabilities are calibrated by temperature scaling (Guo et al. 2017), {temperature:g}."
        )
        lines = (*counts, *self._not_told(training, validation), said)
        return Meaning(step=step, outputs=outputs, lines=lines)

    def _not_told(self, training: Sequence[Sample], validation: Sequence[Sample]) -> list[str]:
        """Say which classes a part has no case of: what was not learned, and what did not choose."""
        taught, told = set(_classes(training)), set(_classes(validation))
        lines = []
        for number, title in enumerate(self.titles):
            if number not in taught:
                lines.append(f"{title}: the training part has no case; the engine has not learned it")
            elif number not in told:
                lines.append(f"{title}: the validation part has no case; it did not choose the weights")
        return lines

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Areas under ROC curves, and sensitivity and specificity at the threshold of the engine."""
        missed: list[Refusal] = []
        seen: dict[str, list[tuple[str, bool, float, bool]]] = {}
        channels = {one.label: one.channel or 0 for one in package.manifest.output}
        for case, _, findings in run_engine(package, cases, made_at, threads, missed):
            for one in findings.classifications:
                truth = self.value_of(case) == channels[one.label]
                seen.setdefault(one.label, []).append((case.patient, truth, one.probability, one.present))
        figures = [
            HeldOut(name=f"{name} {label}", cases=len(rows), interval=interval)
            for label, rows in seen.items()
            for name, interval in binary_figures(rows, self.recipe.seed).items()
        ]
        return Judged(figures=tuple(figures), missed=tuple(missed))


def calibrated_by(rows: Rows, truth: NDArray[np.int64], count: int) -> tuple[float, str]:
    """Return the temperature that makes the truth likeliest, and "", or 1 and why it was not sought.

    rows: logits of the validation part. Source: Guo et al., On Calibration of Modern Neural Networks (2017).
    """
    found = np.bincount(truth, minlength=count)
    if len(truth) < LEAST_TO_CALIBRATE or found.min() < _LEAST_OF_EACH:
        return 1.0, (
            f"Not calibrated: the validation part has {len(truth)} cases, {found.min()} of the rarest class; "
            f"{LEAST_TO_CALIBRATE} and {_LEAST_OF_EACH} are needed. What the engine gives are scores."
        )
    at = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(rows / np.exp(log_temperature), axis=1)[at, truth].mean())

    low, high = np.log(_TEMPERATURES)
    best = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return round(float(np.exp(best.x)), 4), ""


def binary_figures(rows: Sequence[tuple[str, bool, float, bool]], seed: int) -> dict[str, Interval]:
    """Area, sensitivity and specificity with intervals. rows: patient, truth, score, found present."""
    patients = [patient for patient, *_ in rows]
    truth = np.array([one[1] for one in rows], dtype=bool)
    scores = np.array([one[2] for one in rows])
    present = np.array([one[3] for one in rows], dtype=bool)

    def area(some: NDArray[np.intp]) -> float | None:
        return roc_auc(ScoredCases(truth=truth[some], scores=scores[some])).value

    return {
        "area under the ROC curve": interval_of("roc_auc", patients, area, seed),
        "sensitivity": share_interval("recall", patients, truth, present, seed),
        "specificity": share_interval("specificity", patients, ~truth, ~present, seed),
    }


def _classes(samples: Sequence[Sample]) -> list[int]:
    return [int(sample.target[0]) for sample in samples]


def _count(job: ClassifyJob, label: str) -> int:
    return sum(case.labels[job.column] == label for case in job.cases)
