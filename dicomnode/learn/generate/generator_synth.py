"""Studies drawn by a generator, as DICOM of the kind that it has learned from; no copy of what it has seen.

Loads torch, when it draws.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode import __version__
from dicomnode.faults import (
    GENERATOR_COPIES,
    GENERATOR_LABEL,
    GENERATOR_WRONG,
    SYNTH_NOT_EMPTY,
    SYNTH_NOT_WRITTEN,
    SYNTH_WRONG,
    NodeError,
)
from dicomnode.learn.generate.generator_copies import Nearest, reduced_of
from dicomnode.learn.generate.generator_package import Generator
from dicomnode.learn.generate.images import write_images
from dicomnode.learn.generate.labels import NAME as LABELS_FILE
from dicomnode.learn.generate.labels import labels_csv
from dicomnode.learn.generate.marks import Words
from dicomnode.learn.generate.plan import MOST_CASES, SALT, Case
from dicomnode.values import Progress, derive_uid, no_progress

STAGE: Final = "drawing cases"
REPORT_FILE: Final = "drawn.json"
SCHEMA: Final = 1
TRIES: Final = 20
"""Drawings of a case that may be too near to a training image, one after the other."""

_NAME_MOST: Final = 24  # characters of a generator's name in an ID, which holds 64
_LO_MOST: Final = 64

Float32 = NDArray[np.float32]
Draws = Callable[[Float32, int], Float32]
"""From noise (c, j, i) and the number of a label to an image of about −1 to 1."""


@dataclass(frozen=True, kw_only=True)
class GeneratorPlan:
    """What is drawn: everything that decides a byte of it, with the generator. label: "" for all in turn.

    Raises NodeError: SYNTH_WRONG, GENERATOR_LABEL.
    """

    generator: Generator
    cases: int
    seed: int
    label: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.cases <= MOST_CASES:
            problem = f"there are 1 to {MOST_CASES} cases, not {self.cases}"
            raise NodeError(SYNTH_WRONG, problem=problem)
        if not 0 <= self.seed < 2**63:
            problem = f"the seed is a whole number from 0 to 2^63 - 1, not {self.seed}"
            raise NodeError(SYNTH_WRONG, problem=problem)
        known = self.generator.network.labels
        if self.label and self.label not in known:
            told = ", ".join(known) or "one kind of image, without a label"
            raise NodeError(GENERATOR_LABEL, generator=self.generator.name, label=self.label, known=told)

    @cached_property
    def kind(self) -> str:
        """Part of IDs: no two generators have the same."""
        name, _, digest = self.generator.mark.rpartition(" ")
        return f"{name.split(' ')[0][:_NAME_MOST]}-{digest}"

    def uid(self, *parts: str) -> str:
        """Derive a UID of something of this plan; the number of cases changes none."""
        return derive_uid(SALT, "generator", self.generator.digest, str(self.seed), self.label, *parts)

    def number_of(self, case: int) -> int:
        """Return the number of the label of a case, from 1; 0 where there are none."""
        labels = self.generator.network.labels
        if not labels:
            return 0
        return labels.index(self.label) if self.label else (case - 1) % len(labels)

    def noise(self, case: int, attempt: int) -> Float32:
        """Return the noise that a drawing begins with, (c, j, i); another one at each attempt."""
        form = self.generator.form
        draw = np.random.default_rng((self.seed, *self.generator.digest[:16].encode(), case, attempt))
        return draw.standard_normal((form.channels, form.side, form.side), dtype=np.float32)

    @property
    def words(self) -> Words:
        """What headers say of how it was made."""
        made_by, title = self.generator.mark, self.generator.title
        return Words(
            model=f"Generator {made_by}"[:_LO_MOST],
            software=(__version__, made_by[:_LO_MOST]),
            comment=(f"SYNTHETIC: drawn by a network ({made_by}). Nobody was imaged. Not for clinical use."),
            derivation=f"Drawn from noise by {title} ({made_by}), which learned from images of others",
            study="drawn by a network",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCase:
    """A case on disk. label: that was asked for, "" without. redrawn: drawings before it that were copies."""

    name: str
    study_instance_uid: str
    images: Path
    label: str
    nearest: Nearest
    redrawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSet:
    """What was drawn. labels: the table, None without labels. report: of the nearest training images."""

    plan: GeneratorPlan
    folder: Path
    cases: tuple[DrawnCase, ...]
    report: Path
    labels: Path | None = None


def draw_cases(
    plan: GeneratorPlan, out: Path, progress: Progress = no_progress, draws: Draws | None = None
) -> DrawnSet:
    """Draw the cases of a plan and write them; the same plan gives the same bytes on the same machine.

    out: a folder that is not there yet, or is empty. In it: case-0001/images/ …, drawn.json with the nearest
    training image of each, and labels.csv with what was asked for. draws: the generator's own unless given.
    Raises NodeError: SYNTH_NOT_EMPTY, SYNTH_NOT_WRITTEN, TRAIN_MISSING, GENERATOR_WRONG, GENERATOR_COPIES
    where a case cannot be drawn that is no copy.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise NodeError(SYNTH_NOT_EMPTY, path=out)
        return _drawn(plan, out, progress, draws or _drawer(plan.generator))
    except OSError as error:
        raise NodeError(SYNTH_NOT_WRITTEN, path=out, error=error.strerror or error) from error


def report_document(made: DrawnSet) -> dict[str, Any]:
    """Return what drawn.json says: of each case the nearest training image, and how far it is."""
    generator = made.plan.generator
    return {
        "schema": SCHEMA,
        "generator": generator.name,
        "version": generator.version,
        "digest": generator.digest,
        "seed": made.plan.seed,
        "too_near": generator.threshold,
        "redrawn": sum(one.redrawn for one in made.cases),
        "cases": [
            {
                "case": one.name,
                "study_instance_uid": one.study_instance_uid,
                "label": one.label or None,
                "nearest_training_image": one.nearest.image,
                "distance": round(one.nearest.distance, 6),
                "redrawn": one.redrawn,
            }
            for one in made.cases
        ],
    }


def _drawer(generator: Generator) -> Draws:
    from dicomnode.learn.convert.export import torch_library  # noqa: PLC0415  torch only where it draws

    torch_library("dicomnode synth --generator")
    from dicomnode.learn.train.generator_network import drawer_of  # noqa: PLC0415
    from dicomnode.learn.train.loop import quiet_machine  # noqa: PLC0415

    drawer = drawer_of(generator)

    def draws(noise: Float32, label: int) -> Float32:
        with quiet_machine(1):  # several threads add in other orders
            return drawer(noise, label)

    return draws


def _drawn(plan: GeneratorPlan, out: Path, progress: Progress, draws: Draws) -> DrawnSet:
    generator = plan.generator
    labels = generator.network.labels
    made: list[DrawnCase] = []
    for number in range(1, plan.cases + 1):
        progress(STAGE, number - 1, plan.cases)
        values, nearest, redrawn = _new(plan, number, draws)
        case = Case(number=number, patient=number, visit=1, sick=False)
        label = labels[plan.number_of(number)] if labels else ""
        row = {generator.network.column: label} if labels else {}
        drawing = generator.form.drawing(values, row, plan.uid("frame of reference", str(number)))
        folder = out / case.name / "images"
        headers = write_images(plan, case, drawing, folder, plan.words)
        made.append(
            DrawnCase(
                name=case.name,
                study_instance_uid=str(headers[0].StudyInstanceUID),
                images=folder,
                label=label,
                nearest=nearest,
                redrawn=redrawn,
            )
        )
    progress(STAGE, plan.cases, plan.cases)
    found = DrawnSet(
        plan=plan,
        folder=out,
        cases=tuple(made),
        report=out / REPORT_FILE,
        labels=out / LABELS_FILE if labels else None,
    )
    _tell(found)
    return found


def _new(plan: GeneratorPlan, number: int, draws: Draws) -> tuple[Float32, Nearest, int]:
    """Draw until it is no copy: the image, its nearest training image, and how many were copies."""
    generator = plan.generator
    label = plan.number_of(number)
    nearest = Nearest(image="", distance=0.0)
    for attempt in range(TRIES):
        values = draws(plan.noise(number, attempt), label)
        if not np.isfinite(values).all():
            reason = "what it draws are no numbers: its weights are damaged, or its training went astray"
            raise NodeError(GENERATOR_WRONG, path=generator.folder, reason=reason)
        nearest = generator.known.nearest(reduced_of(values))
        if nearest.distance > generator.threshold:
            return values, nearest, attempt
    raise NodeError(GENERATOR_COPIES, generator=generator.name, tries=TRIES, image=nearest.image)


def _tell(made: DrawnSet) -> None:
    made.report.write_text(json.dumps(report_document(made), indent=2) + "\n", encoding="utf-8")
    if made.labels is not None:
        column = made.plan.generator.network.column
        rows: Sequence[tuple[str, dict[str, str]]] = [
            (one.study_instance_uid, {column: one.label}) for one in made.cases
        ]
        made.labels.write_bytes(labels_csv(rows))
