"""Learning what is normal: an autoencoder draws normal cases again, and what it cannot draw stands out.

It learns from normal cases alone. The threshold is a quantile of the scores of normal patients whom neither
the weights nor the choice of the epoch have seen; how good it is, the held-out part says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import torch
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.engine.adding.labelling import code_table, concept_of, stem_of
from dicomnode.evaluate import Resampling
from dicomnode.evaluate.data import LabelledData
from dicomnode.evaluate.pointing import Pointed, pointing_game
from dicomnode.faults import FEW_NORMALS, LABELS_UNFIT, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.changes import augmenter_of
from dicomnode.learn.train.classify import binary_figures
from dicomnode.learn.train.held_out import mean_interval, run_engine
from dicomnode.learn.train.job import HeldOut, Judged, Meaning
from dicomnode.learn.train.loop import Lesson
from dicomnode.learn.train.normals import (
    TOP_PART,
    NormalLesson,
    looked_at,
    parted,
    quantiles_of,
    score_of,
)
from dicomnode.learn.train.package import STEP
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.planted import Key, Lesions, key_of, lesions_of, of_case
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.told import NEGATIVE
from dicomnode.learn.train.whole import WholeJob, cases_with
from dicomnode.values import Progress, Refusal
from dicomnode.values.codes import NO_UNIT

OUTPUTS: Final = ("map", "drawing")
SCORE: Final = "anomaly-score"
_NORMAL, _ABNORMAL = "normal", "abnormal"
_NO_COLUMN: Final = "(lesions)"  # no table has a column of this name: its names are plain words
_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnomalyJob(WholeJob):
    """A `Job`: tells what is unlike normal cases. normal: labels that say so. lesions: by stack."""

    normal: frozenset[str] = frozenset()
    lesions: Mapping[Key, Lesions] = field(default_factory=dict)

    @classmethod
    def of(
        cls, recipe: Recipe, data: LabelledData, column: str | None = None, normal: str | None = None
    ) -> AnomalyJob:
        """Find cases, and which are normal.

        column: of the table, or concept of reports; in it `normal`, or a word for a lack (0, no, normal …).
        Without a column a study is normal where nobody outlined a lesion in it. NodeError: LABELS_UNFIT,
        FEW_NORMALS.
        """
        lesions = lesions_of(data)
        known = _told_by_lesions(data, lesions) if column is None else data
        found = cases_with(known, column or _NO_COLUMN, recipe)
        labels = {case.labels[column or _NO_COLUMN] for case in found.cases}
        words = frozenset(one for one in labels if _is_normal(one, normal))
        if not words and column is not None:
            reason = f"no label in it is {normal or 'a word for a lack (0, no, normal …)'}"
            advice = f"Say with --normal which of {', '.join(sorted(labels))} it is."
            raise NodeError(LABELS_UNFIT, column=column, reason=reason, advice=advice)
        return cls(
            recipe=recipe,
            cases=found.cases,
            column=column or _NO_COLUMN,
            left_out=found.left_out,
            outputs=1,
            normal=words,
            lesions=lesions,
            score_name="minus the mean squared error of normal cases",
            output_names=OUTPUTS,
        )

    def value_of(self, case: Case) -> float:
        """Return 0 of a normal case, else 1."""
        return float(case.labels[self.column] not in self.normal)

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """Decide size, spacing and scaling from the normal cases that are learned from."""
        normal = [case for case in training if not self.value_of(case)]
        if not normal:
            raise NodeError(FEW_NORMALS, reason="the training part has none")
        seen, _ = parted(normal, _patient_of, self.recipe)
        return WholeJob.plan(self, seen, progress)

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return normal cases of the training part."""
        seen, _ = parted(_normal(training), _sample_patient, self.recipe)
        normal = _normal(validation)
        if not normal:
            raise NodeError(FEW_NORMALS, reason="the validation part has none")
        return NormalLesson(
            recipe=self.recipe,
            is_flat=plan.shape.is_flat,
            training=seen,
            validation=normal,
            strange=[one for one in validation if one.target[0]],
            augment=augmenter_of(self.recipe.augmentation, self.flips, plan),
        )

    def meaning(
        self, network: nn.Module, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan
    ) -> Meaning:
        """A score with its place among normal cases that were kept apart, and the map of what differs."""
        del validation  # it has chosen the epoch
        seen, apart = parted(_normal(training), _sample_patient, self.recipe)
        device, flat = torch.device("cpu"), plan.shape.is_flat
        scores = [score_of(looked_at(network, one, device, flat=flat)[0]) for one in apart]
        how: dict[str, Any] = {
            "map": OUTPUTS[0],
            "pool": "top",
            "top_part": TOP_PART,
            "normals": list(quantiles_of(scores)),
            "quantile": self.recipe.quantile,
        }
        step = {"window": "whole", "interpret": "anomaly", "anomaly": how}
        return Meaning(step=step, outputs=_outputs(), lines=self._lines(training, seen, apart))

    def _lines(
        self, training: Sequence[Sample], seen: Sequence[Sample], apart: Sequence[Sample]
    ) -> tuple[str, ...]:
        people = [len({one.patient for one in some}) for some in (seen, apart)]
        said = (
            f"Learned from {len(seen)} normal cases of {people[0]} patients. The threshold is the quantile "
            f"{self.recipe.quantile:g} of the scores of {len(apart)} normal cases of {people[1]} other "
            "patients, whom the network has not seen."
        )
        lines = [said]
        unused = len(training) - len(seen) - len(apart)
        if unused:
            lines.append(f"{unused} abnormal cases of patients of the training part were not used.")
        if len(apart) * (1.0 - self.recipe.quantile) < 1.0:
            lines.append("That quantile is a guess: of so few normal cases none lies beyond it. Give more.")
        lines.append("A score says how unlike normal cases an image is, and not what it shows.")
        return tuple(lines)

    def judge(self, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int) -> Judged:
        """Area, sensitivity, specificity; whether the map points at lesions, and tells their voxels."""
        missed: list[Refusal] = []
        rows: list[tuple[str, bool, float, bool]] = []
        points: list[Pointed] = []
        areas: list[tuple[str, float]] = []
        for case, _, findings in run_engine(package, cases, made_at, threads, missed):
            score = next(one.value for one in findings.measurements if one.name == SCORE)
            strange = bool(self.value_of(case))
            rows.append((case.patient, strange, score, findings.classifications[0].present))
            lesions = of_case(self.lesions, case)
            if strange and lesions is not None:
                points.append(lesions.pointed(findings.maps[0], case.patient))
                area = lesions.area(findings.maps[0])
                areas += [] if area is None else [(case.patient, area)]
        seed = self.recipe.seed
        figures = [
            HeldOut(name=f"{name} abnormal", cases=len(rows), interval=one)
            for name, one in (binary_figures(rows, seed) if rows else {}).items()
        ]
        notes: list[str] = []
        if points:
            game = pointing_game(points, Resampling(resamples=_RESAMPLES, seed=seed))
            name = "the map's maximum lies in a lesion"
            figures.append(HeldOut(name=name, cases=len(points), interval=game.hits))
            notes.append(
                f"Pointing anywhere would hit a lesion in {game.chance.value or 0.0:.3f} of the cases."
            )
        if areas:
            name = "mean area under the ROC curve of the map's voxels"
            interval = mean_interval("voxels", [one for one, _ in areas], [one for _, one in areas], seed)
            figures.append(HeldOut(name=name, cases=len(areas), interval=interval))
        return Judged(figures=tuple(figures), missed=tuple(missed), notes=tuple(notes))


def _outputs() -> list[dict[str, Any]]:
    unit = code_table(NO_UNIT)
    return [
        {
            "classification": stem_of(_ABNORMAL),
            "step": STEP,
            "type": code_table(concept_of("Unlike normal cases")),
            "calibrated": False,
        },
        {"measurement": SCORE, "step": STEP, "type": code_table(concept_of("Anomaly score")), "unit": unit},
        {
            "map": "anomaly-map",
            "step": STEP,
            "type": code_table(concept_of("Reconstruction error")),
            "unit": unit,
        },
    ]


def _is_normal(label: str, normal: str | None) -> bool:
    word = label.strip().lower()
    return word in NEGATIVE if normal is None else word == normal.strip().lower()


def _told_by_lesions(data: LabelledData, lesions: Mapping[Key, Lesions]) -> LabelledData:
    """Give each study a label: abnormal where a lesion is outlined in any of its series."""
    studies = [
        replace(
            study,
            row={
                **study.row,
                _NO_COLUMN: _ABNORMAL if any(key_of(one) in lesions for one in study.stacks) else _NORMAL,
            },
        )
        for study in data.studies
    ]
    return replace(data, studies=tuple(studies), columns=(*data.columns, _NO_COLUMN))


def _normal(samples: Iterable[Sample]) -> list[Sample]:
    return [one for one in samples if not one.target[0]]


def _patient_of(case: Case) -> str:
    return case.patient


def _sample_patient(sample: Sample) -> str:
    return sample.patient
