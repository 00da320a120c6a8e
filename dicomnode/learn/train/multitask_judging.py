"""The finished engine's answers to all questions on studies that were held out, each run once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Protocol

import numpy as np

from dicomnode.engine import EnginePackage
from dicomnode.engine.adding.labelling import stem_of
from dicomnode.evaluate import dice
from dicomnode.evaluate.running import segments_of
from dicomnode.evaluate.truth import wanted_outputs
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.classify import binary_figures
from dicomnode.learn.train.held_out import run_engine
from dicomnode.learn.train.job import HeldOut, Judged
from dicomnode.learn.train.multitask_cases import MAP
from dicomnode.learn.train.questions import Question
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.regress import number_figures
from dicomnode.learn.train.segment import outline_figures, outline_name
from dicomnode.learn.train.structures import Structure
from dicomnode.values import Findings, Mask, Refusal


class Asking(Protocol):
    """What a judgement must know of a job."""

    @property
    def recipe(self) -> Recipe:
        """How it was trained."""
        ...

    @property
    def structures(self) -> Sequence[Structure]:
        """What is outlined."""
        ...

    @property
    def questions(self) -> Sequence[Question]:
        """What else is answered."""
        ...


@dataclass(slots=True)
class _Seen:
    """Pairs of truth and answer, by name, each with the patient."""

    dices: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    classes: dict[str, list[tuple[str, bool, float, bool]]] = field(default_factory=dict)
    numbers: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)


def judged(
    job: Asking, package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int
) -> Judged:
    """Run the engine on each case, and hold all that it says against what is known."""
    missed: list[Refusal] = []
    seen = _Seen()
    for case, _, findings in run_engine(package, cases, made_at, threads, missed):
        _outlines(job, package, case, findings, seen)
        for question in job.questions:
            label = case.labels.get(question.column)
            if label is None:
                continue
            if question.is_number:
                _numbers(question, case, findings, seen)
            else:
                _classes(question, case, findings, seen)
    return Judged(figures=tuple(_figures(job, seen)), missed=tuple(missed))


def _outlines(job: Asking, package: EnginePackage, case: Case, findings: Findings, seen: _Seen) -> None:
    of_map = {one.spec.channel: one for one in wanted_outputs(package.manifest, {}) if one.spec.head == MAP}
    for number, truth in case.truths.items():
        empty = Mask.from_crop(np.zeros((0, 0, 0), dtype=bool), truth.shape_kji, (0, 0, 0))
        masks = (one.mask for one in segments_of(of_map[number], findings))
        name = outline_name(truth, job.structures[number])
        value = dice(reduce(Mask.union, masks, empty), truth)
        seen.dices.setdefault(name, []).append((case.patient, value))


def _classes(question: Question, case: Case, findings: Findings, seen: _Seen) -> None:
    true_title = question.titles[int(question.answer(case.labels))]
    stems = {stem_of(title) for title in question.titles}
    for one in findings.classifications:
        if one.label in stems:
            row = (case.patient, one.label == stem_of(true_title), one.probability, one.present)
            seen.classes.setdefault(one.label, []).append(row)


def _numbers(question: Question, case: Case, findings: Findings, seen: _Seen) -> None:
    for one in findings.measurements:
        if one.name == question.stem:
            row = (case.patient, one.value, question.answer(case.labels))
            seen.numbers.setdefault(question.column, []).append(row)


def _figures(job: Asking, seen: _Seen) -> list[HeldOut]:
    seed = job.recipe.seed
    figures = outline_figures(seen.dices, seed)
    for label, rows in seen.classes.items():
        figures += [
            HeldOut(name=f"{name} {label}", cases=len(rows), interval=interval)
            for name, interval in binary_figures(rows, seed).items()
        ]
    units = {one.column: one.unit.value for one in job.questions}
    for column, told in seen.numbers.items():
        patients, found, truth = zip(*told, strict=True)
        figures += [
            HeldOut(name=f"{column}: {name}", cases=len(told), interval=interval)
            for name, interval in number_figures(patients, found, truth, units[column], seed).items()
        ]
    return figures
