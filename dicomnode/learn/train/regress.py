"""Learning a number of whole studies: standardised while it trains, in its own unit when it is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.engine.adding.labelling import code_table, concept_of, stem_of
from dicomnode.evaluate import Interval
from dicomnode.evaluate.data import LabelledData
from dicomnode.faults import LABELS_UNFIT, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.changes import augmenter_of
from dicomnode.learn.train.held_out import interval_of, mean_interval, run_engine
from dicomnode.learn.train.job import HeldOut, Judged, Meaning
from dicomnode.learn.train.loop import Lesson, Score
from dicomnode.learn.train.losses import NumberLoss
from dicomnode.learn.train.package import STEP
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.row_lessons import RowLesson
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.told import number_of
from dicomnode.learn.train.whole import WholeJob, cases_with
from dicomnode.values import Code, Refusal
from dicomnode.values.codes import NO_UNIT

_BEYOND: Final = 0.5  # of the span of the training part: what lies further is not plausible

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegressJob(WholeJob):
    """A `Job`: estimates a number in `unit` (UCUM)."""

    unit: Code = NO_UNIT

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, column: str, unit: Code) -> RegressJob:
        """Find cases; NodeError(LABELS_UNFIT) where a label is no number, or all are the same."""
        found = cases_with(data, column, recipe)
        cases = found.cases
        values = {number_of(column, case.labels[column]) for case in cases}
        if len(values) < 2:
            raise NodeError(
                LABELS_UNFIT,
                column=column,
                reason="all numbers are the same",
                advice="There is nothing to tell apart: label studies with other values.",
            )
        return cls(
            recipe=recipe,
            cases=cases,
            column=column,
            left_out=found.left_out,
            outputs=1,
            unit=unit,
            score_name=f"minus the mean absolute error, {unit.value}",
        )

    def value_of(self, case: Case) -> float:
        """Return the number."""
        return number_of(self.column, case.labels[self.column])

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return studies of the training part, their numbers standardised by its mean and spread."""
        centre, spread = standard_of(training)
        truth = _values(validation)
        return RowLesson(
            recipe=self.recipe,
            is_flat=plan.shape.is_flat,
            training=training,
            validation=validation,
            targets=((_values(training) - centre) / spread).astype(np.float32)[:, None],
            classes=(),
            loss_of=NumberLoss(),
            judge=lambda rows: _score(rows[:, 0] * spread + centre, truth),
            augment=augmenter_of(self.recipe.augmentation, self.flips, plan),
        )

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """One measurement, brought to its unit by mean and spread of the training part."""
        del network, validation, plan
        centre, spread = standard_of(training)
        low, high = float(_values(training).min()), float(_values(training).max())
        beyond = round(_BEYOND * max(high - low, spread), 6)
        output: dict[str, Any] = {
            "measurement": stem_of(self.column),
            "step": STEP,
            "channel": 0,
            "type": code_table(concept_of(self.column)),
            "unit": code_table(self.unit),
            "scale": spread,
            "offset": centre,
            "plausible": [low - beyond, high + beyond],
        }
        values = [self.value_of(case) for case in self.cases]
        said = (
            f"{self.column}: {len(values)} cases, from {min(values):g} to {max(values):g} {self.unit.value}"
        )
        return Meaning(step={"window": "whole", "interpret": "regression"}, outputs=[output], lines=(said,))

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Mean absolute error, mean error (bias) and correlation, in the unit."""
        missed: list[Refusal] = []
        patients, found, truth = [], [], []
        for case, _, findings in run_engine(package, cases, made_at, threads, missed):
            for one in findings.measurements:
                patients.append(case.patient)
                found.append(one.value)
                truth.append(self.value_of(case))
        if not found:
            return Judged(missed=tuple(missed))
        intervals = number_figures(patients, found, truth, self.unit.value, self.recipe.seed)
        figures = [HeldOut(name=name, cases=len(found), interval=one) for name, one in intervals.items()]
        return Judged(figures=tuple(figures), missed=tuple(missed))


def number_figures(
    patients: Sequence[str], found: Sequence[float], truth: Sequence[float], unit: str, seed: int
) -> dict[str, Interval]:
    """Mean absolute error, mean error and correlation with intervals, by their names with the unit."""
    pairs = np.stack([found, truth])
    apart = pairs[0] - pairs[1]
    return {
        f"mean absolute error, {unit}": mean_interval("error", patients, np.abs(apart).tolist(), seed),
        f"mean error, {unit}": mean_interval("bias", patients, apart.tolist(), seed),
        "correlation": interval_of("correlation", patients, lambda some: _correlation(pairs[:, some]), seed),
    }


def standard_of(training: Sequence[Sample]) -> tuple[float, float]:
    """Return mean and spread of the numbers of the training part; a spread of 0 becomes 1."""
    values = _values(training)
    return float(f"{values.mean():.6g}"), float(f"{values.std() or 1.0:.6g}")


def _values(samples: Sequence[Sample]) -> NDArray[np.float64]:
    return np.array([float(sample.target[0]) for sample in samples])


def _score(found: NDArray[np.float64], truth: NDArray[np.float64]) -> Score:
    apart = found - truth
    error = float(np.abs(apart).mean())
    return Score(value=-error, figures={"mean absolute error": error, "mean error": float(apart.mean())})


def _correlation(pairs: NDArray[np.float64]) -> float | None:
    if pairs.shape[1] < 2 or np.ptp(pairs[0]) == 0 or np.ptp(pairs[1]) == 0:
        return None
    return float(np.corrcoef(pairs[0], pairs[1])[0, 1])
