"""The walk of a generator: studies, parts, the loop, a look at what it draws, a folder that can draw."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from dicomnode.evaluate.data import LabelledData, check_leaks
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.generate.generator_copies import Known, threshold_of
from dicomnode.learn.generate.generator_form import ImageForm
from dicomnode.learn.generate.generator_package import Generator, image_table, write_generator
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.curves import CSV_FILE, HTML_FILE, curves_csv, curves_html
from dicomnode.learn.train.generator import GeneratorJob, name_of
from dicomnode.learn.train.generator_card import GeneratorFacts, generator_card
from dicomnode.learn.train.generator_drawing import Looked, look
from dicomnode.learn.train.generator_lesson import images_of
from dicomnode.learn.train.generator_network import Diffusion, Drawer, mean_bytes
from dicomnode.learn.train.loop import Learned, quiet_machine
from dicomnode.learn.train.parts import Parts, split_cases, strata_of
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import RECIPE_FILE
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.training import (
    Order,
    count_of,
    learned_from,
    prepared_samples,
    run_digest,
    sample_name,
    versions,
)
from dicomnode.learn.train.transfer import Taken
from dicomnode.values import Progress, Refusal, no_progress

CARD_FILE: Final = "card.md"
SHEET_FILE: Final = "synthetic.png"
_ACROSS: Final = 8  # images of the sheet
_LEAST_PATIENTS: Final = 2  # of the training part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedGenerator:
    """What came of it. facts: those of the card."""

    generator: Generator
    job: GeneratorJob
    parts: Parts
    learned: Learned
    facts: GeneratorFacts
    left_out: Sequence[Refusal]
    begun: Taken | None = None


def train_generator(
    job: GeneratorJob, data: LabelledData, order: Order, progress: Progress = no_progress
) -> TrainedGenerator:
    """Train and write the generator.

    Raises NodeError as `train_engine` does, and NOTHING_TO_LEARN where the training part has one patient
    alone: then nothing tells what a copy is.
    """
    parts = split_cases(job.cases, data, order.split, job.recipe, strata_of(job))
    if len({case.patient for case in parts.train}) < _LEAST_PATIENTS:
        raise _of_one_patient()
    check_leaks(parts.studies(data), progress=progress)
    run = RunFolder(folder=order.run, of=run_digest(job, data, parts, order), resume=order.resume)
    run.begin()
    with run.held(), quiet_machine(order.threads):
        plan, learned, (network, training, _, left_out, begun) = learned_from(
            job, parts, run, order, progress, run.cache
        )
        missed = list(left_out)
        held_out = prepared_samples(job, parts.test, plan, run.cache, missed, progress)
        images = images_of(training)
        known = _known(job, parts.train, plan, training)
        threshold = threshold_of(known.reduced, [one.sample.patient for one in images])
        if threshold is None:  # of the others nothing could be prepared
            raise _of_one_patient()
        looked = look(Drawer(network, job.how), images, images_of(held_out), known, job.recipe.seed, progress)
    form = job.form(plan, parts.train, training)
    facts = _facts(
        job, data, order, parts, form, _Came(learned, looked, threshold, len(images), missed, begun)
    )
    assert isinstance(network, Diffusion)  # the job's own
    generator = write_generator(
        order.out, _table(order, facts, job), mean_bytes(network), known, _files(facts, learned)
    )
    return TrainedGenerator(
        generator=generator,
        job=job,
        parts=parts,
        learned=learned,
        facts=facts,
        left_out=missed,
        begun=begun,
    )


def _of_one_patient() -> NodeError:
    reason = "the training part has images of one patient, and nothing tells how near others' are"
    advice = "Give studies of more patients."
    return NodeError(NOTHING_TO_LEARN, task="generator", reason=reason, advice=advice)


@dataclass(frozen=True, slots=True, eq=False)
class _Came:
    """What the loop and the look gave. images: that were learned from."""

    learned: Learned
    looked: Looked
    threshold: float
    images: int
    left_out: Sequence[Refusal]
    begun: Taken | None


def _known(job: GeneratorJob, cases: Sequence[Case], plan: Plan, training: Sequence[Sample]) -> Known:
    """Reduce all images that were learned from, under their names."""
    case_of = {sample_name(job, case, plan): case for case in cases}
    return Known.of(
        (name_of(case_of[one.sample.name], one.k, one.sample.inputs.shape[1]), one.values)
        for one in images_of(training)
    )


def _facts(
    job: GeneratorJob, data: LabelledData, order: Order, parts: Parts, form: ImageForm, came: _Came
) -> GeneratorFacts:
    learned = came.learned
    return GeneratorFacts(
        title=order.title.title,
        recipe=job.recipe,
        form=form,
        parts=[count_of(name, cases) for name, cases in parts.named],
        images=came.images,
        data_digest=data.digest,
        column=job.column,
        labels=job.labels,
        looked=came.looked,
        threshold=came.threshold,
        epochs=len(learned.rows),
        best_epoch=learned.best_epoch,
        best_error=-learned.best_score,
        stopped=learned.stopped,
        machine=f"{learned.device}, {learned.precision}",
        left_out=came.left_out,
        begun_from="" if came.begun is None else came.begun.text,
        versions=versions(),
    )


def _table(order: Order, facts: GeneratorFacts, job: GeneratorJob) -> dict[str, object]:
    """Return generator.toml."""
    how, learned_from_part = job.how, facts.parts[0]
    return {
        "name": order.title.name,
        "version": order.title.version,
        "title": order.title.title,
        "threshold": facts.threshold,
        "patients": learned_from_part.patients,
        "images": facts.images,
        "synthetic": learned_from_part.synthetic,
        "image": image_table(facts.form),
        "network": {
            "width": how.width,
            "levels": how.levels,
            "noise_steps": how.noise_steps,
            "draw_steps": how.draw_steps,
            "column": how.column,
            "labels": list(how.labels),
        },
    }


def _files(facts: GeneratorFacts, learned: Learned) -> dict[str, bytes]:
    """Return what lies beside for people; images that are too near are not among those of the sheet."""
    page = curves_html(f"{facts.title}: training", learned.rows, learned.best_epoch, "minus the error")
    looked = facts.looked
    shown = [
        values
        for values, nearest in zip(looked.values, looked.nearest, strict=True)
        if nearest.distance > facts.threshold
    ]
    files = {
        RECIPE_FILE: facts.recipe.text.encode(),
        CSV_FILE: curves_csv(learned.rows).encode(),
        HTML_FILE: page.encode(),
        CARD_FILE: generator_card(facts).encode(),
    }
    return files | ({SHEET_FILE: _sheet(shown)} if shown else {})


def _sheet(drawn: Sequence[NDArray[np.float32]]) -> bytes:
    """Draw images (c, j, i) side by side, as a PNG."""
    tiles = [np.moveaxis(np.clip((one + 1.0) * 127.5, 0.0, 255.0), 0, -1).astype(np.uint8) for one in drawn]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _ACROSS)
    rows = [np.concatenate(tiles[n : n + _ACROSS], axis=1) for n in range(0, len(tiles), _ACROSS)]
    page = np.concatenate(rows, axis=0)
    stream = io.BytesIO()
    Pillow.fromarray(page[..., 0] if page.shape[2] == 1 else page).save(stream, format="PNG")
    return stream.getvalue()
