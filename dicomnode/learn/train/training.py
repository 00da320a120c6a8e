"""The walk of a training: studies, parts, samples, the loop, an engine package that has passed its gate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from torch import nn

from dicomnode import __version__
from dicomnode.engine import EnginePackage, GateReport, check_engine
from dicomnode.evaluate.data import LabelledData, check_leaks
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.activation_map import Mapped, with_activation_map
from dicomnode.learn.train.card import Beside, CardFacts, PartCount, card_text
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.changes import augmenter_of
from dicomnode.learn.train.job import HeldOut, Job, Judged, Learning
from dicomnode.learn.train.loop import Learned, Stop, fit, never, pick_device, quiet_machine, seed_torch
from dicomnode.learn.train.networks import freeze
from dicomnode.learn.train.package import Title, exported, files_of, table_of, write_engine
from dicomnode.learn.train.parts import Parts, split_cases, strata_of
from dicomnode.learn.train.plan import Plan, facts_of
from dicomnode.learn.train.preview import PREVIEW_STUDIES, preview_png
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.samples import Sample, cached, digest_of, digests_of
from dicomnode.learn.train.transfer import Taken, take_weights
from dicomnode.values import Progress, Refusal, no_progress

STAGE: Final = "preparing studies"
WITHOUT_INIT: Final = "without-init"
_FOLDS: Final = "judging folds"
_VERSIONS: Final = ("torch", "monai", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted of a training beside its recipe.

    out: folder of the engine. run: folder of the training, for its state and its prepared samples.
    split: file of the parts, kept for good. init: engine folder or file of weights to begin from;
    freeze: "encoder", "all-but-head" or "". compare_init: train without it, too, for the card. device:
    "auto", "cpu", "cuda" or "cuda:N". made_at: the moment that trial findings name.
    """

    out: Path
    run: Path
    split: Path
    title: Title
    made_at: datetime
    resume: bool = False
    init: Path | None = None
    freeze: str = ""
    compare_init: bool = False
    device: str = "auto"
    threads: int = 1
    stop: Stop = never


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of it. gate: what the package's own gate said."""

    package: EnginePackage
    job: Job
    parts: Parts
    plan: Plan
    learned: Learned
    figures: Sequence[HeldOut]
    left_out: Sequence[Refusal]
    missed: Sequence[Refusal]
    gate: GateReport
    folds: Sequence[float] = ()
    begun: Taken | None = None
    beside: Beside | None = None
    notes: Sequence[str] = field(default=())


def train_engine(job: Job, data: LabelledData, order: Order, progress: Progress = no_progress) -> Trained:
    """Train and write the engine.

    Raises NodeError: NOTHING_TO_LEARN where a part that is needed has no case, SPLIT_LEAKS where parts share
    something, those of the loop, the export and the writer, RUN_THERE, RUN_TAKEN and RUN_DIFFERS of the
    folder of the run.
    """
    parts = split_cases(job.cases, data, order.split, job.recipe, strata_of(job))
    check_leaks(parts.studies(data), progress=progress)
    run = RunFolder(folder=order.run, of=run_digest(job, data, parts, order), resume=order.resume)
    run.begin()
    with run.held(), quiet_machine(order.threads):
        folds = [
            learned_from(job, fold, run.within(f"fold-{n + 1}"), order, progress, run.cache)[1].best_score
            for n, fold in enumerate(parts.folds)
        ]
        plan, learned, made = learned_from(job, parts, run, order, progress, run.cache)
        beside = None
        if order.compare_init and order.init is not None:
            beside = _without_init(job, data, parts, order, run, progress)
        return _finished(job, data, order, run, _Made(parts, plan, learned, *made, folds, beside), progress)


def _without_init(
    job: Job, data: LabelledData, parts: Parts, order: Order, run: RunFolder, progress: Progress
) -> Beside:
    """Train the same from random weights, on the same parts; the engine stays in the folder of the run."""
    own = run.within(WITHOUT_INIT)
    plain = replace(order, init=None, freeze="", compare_init=False, out=own.folder / order.title.name)
    plan, learned, made = learned_from(job, parts, own, plain, progress, run.cache)
    trained = _finished(job, data, plain, own, _Made(parts, plan, learned, *made, ()), progress)
    return Beside(name="without --init", score=learned.best_score, figures=trained.figures)


@dataclass(frozen=True, slots=True)
class _Made:
    """What the loop and what came before it gave."""

    parts: Parts
    plan: Plan
    learned: Learned
    network: nn.Module
    training: Sequence[Sample]
    validation: Sequence[Sample]
    left_out: Sequence[Refusal]
    begun: Taken | None
    folds: Sequence[float]
    beside: Beside | None = None


_FromLoop = tuple[nn.Module, Sequence[Sample], Sequence[Sample], Sequence[Refusal], Taken | None]


def learned_from(
    job: Learning, parts: Parts, run: RunFolder, order: Order, progress: Progress, cache: Path
) -> tuple[Plan, Learned, _FromLoop]:
    """Prepare the training and the validation part, and run the loop; no test case is touched."""
    run.folder.mkdir(parents=True, exist_ok=True)
    plan = job.plan(parts.train, progress)
    left_out = list(job.left_out)
    training = prepared_samples(job, parts.train, plan, cache, left_out, progress)
    validation = prepared_samples(job, parts.validation, plan, cache, left_out, progress)
    for name, some in (("training", training), ("validation", validation)):
        if not some:
            reason = f"no case of the {name} part could be prepared"
            said = f": {left_out[0].text}" if left_out else "."
            raise NodeError(
                NOTHING_TO_LEARN, task=job.recipe.task, reason=reason, advice=f"The first reason{said}"
            )
    device = pick_device(order.device)
    seed_torch(job.recipe.seed)
    network = job.network(plan)
    begun = take_weights(network, job.recipe.net, order.init) if order.init is not None else None
    if order.freeze:
        freeze(network, order.freeze)
    lesson = job.lesson(training, validation, plan)
    learned = fit(job.recipe, network, lesson, run, device=device, progress=progress, stop=order.stop)
    return plan, learned, (network.cpu().eval(), training, validation, left_out, begun)


def prepared_samples(
    job: Learning, cases: Sequence[Case], plan: Plan, cache: Path, left_out: list[Refusal], progress: Progress
) -> list[Sample]:
    """Prepare cases, or read them from the cache; what cannot be prepared is told and left out."""
    samples = []
    for done, case in enumerate(cases):
        progress(STAGE, done, len(cases))
        try:
            digest = sample_name(job, case, plan)
            samples.append(cached(cache, digest, case.patient, partial(_made, job, case, plan)))
        except _RefusedError as error:
            left_out.append(case.left_out(error.refusal))
        except NodeError as error:
            if error.fault.code.startswith(
                ("DN-7", "DN-1")
            ):  # of the run's folder and the store: not of the case
                raise
            left_out.append(case.left_out(error))
    progress(STAGE, len(cases), len(cases))
    return samples


def sample_name(job: Learning, case: Case, plan: Plan) -> str:
    """Return the name of a case's sample: a digest of all that it is made from."""
    how = json.dumps([plan.inputs, plan.usual_mm], sort_keys=True)
    return digest_of([how, __version__, *digests_of(case.stack), *job.content(case)])


class _RefusedError(Exception):
    """A case was refused while it was prepared."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


def _made(job: Learning, case: Case, plan: Plan) -> Sample:
    found = job.sample(case, plan)
    if isinstance(found, Refusal):
        raise _RefusedError(found)
    return found


def run_digest(job: Learning, data: LabelledData, parts: Parts, order: Order) -> str:
    """Digest of all that a training hangs on: it must be the same to go on."""
    begun = ""
    if order.init is not None:
        begun = f"{order.init} {order.freeze}"
    split = sorted((case.patient, name) for name, cases in parts.named for case in cases)
    truths = [digest_of(job.content(case)) for case in job.cases]
    text = json.dumps([job.recipe.digest, data.digest, split, begun, list(job.output_names), truths])
    return hashlib.sha256(text.encode()).hexdigest()


# ── what is made of it ──


def _finished(
    job: Job, data: LabelledData, order: Order, run: RunFolder, made: _Made, progress: Progress
) -> Trained:
    """Export, write, try on what was held out, and write again with the figures in the card."""
    progress("writing the engine", 0, 3)
    told = job.meaning(made.network, made.training, made.validation, made.plan)
    size = (1, made.plan.channels, *made.plan.shape.own_patch)
    mapped = Mapped(network=made.network, outputs=job.output_names, meaning=told)
    if made.plan.has_places and not made.plan.numbers:
        mapped = with_activation_map(made.network, told, job.output_names, size)
    meaning = mapped.meaning
    table = table_of(order.title, made.plan, meaning)
    network = exported(mapped.network, made.plan, mapped.outputs, order.title.name)
    files = files_of(job.recipe, made.learned, job.score_name, order.title.title)
    tried = write_engine(
        table,
        network,
        files,
        card_text(_facts(job, data, order, made, Judged(), meaning.lines)),
        run.folder / "engine",
    )
    progress("writing the engine", 1, 3)
    judged = Judged()
    if made.parts.test:
        judged = job.judge(tried, made.parts.test, order.made_at, order.threads)
    progress("writing the engine", 2, 3)
    card = card_text(_facts(job, data, order, made, judged, meaning.lines))
    package = write_engine(table, network, files, card, order.out)
    gate = check_engine(package)
    progress("writing the engine", 3, 3)
    return Trained(
        package=package,
        job=job,
        parts=made.parts,
        plan=made.plan,
        learned=made.learned,
        figures=judged.figures,
        left_out=made.left_out,
        missed=judged.missed,
        gate=gate,
        folds=made.folds,
        begun=made.begun,
        beside=made.beside,
        notes=(*meaning.lines, *judged.notes),
    )


def _facts(
    job: Job, data: LabelledData, order: Order, made: _Made, judged: Judged, notes: Sequence[str]
) -> CardFacts:
    learned = made.learned
    begun = ""
    if made.begun is not None:
        begun = made.begun.text + (f"; kept as they were: {order.freeze}" if order.freeze else "")
    return CardFacts(
        title=order.title.title,
        recipe=job.recipe,
        parts=[count_of(name, cases) for name, cases in made.parts.named],
        data_digest=data.digest,
        best_epoch=learned.best_epoch,
        best_score=learned.best_score,
        score_name=job.score_name,
        epochs=len(learned.rows),
        stopped=learned.stopped,
        machine=f"{learned.device}, {learned.precision}",
        figures=judged.figures,
        left_out=made.left_out,
        missed=judged.missed,
        notes=(*notes, *judged.notes),
        begun_from=begun,
        versions=versions(),
        folds=made.folds,
        beside=made.beside,
        plan=facts_of(made.plan),
    )


def count_of(name: str, cases: Sequence[Case]) -> PartCount:
    """Count what a part holds."""
    return PartCount(
        name=name,
        patients=len({case.patient for case in cases}),
        cases=len(cases),
        synthetic=sum(case.synthetic for case in cases),
    )


def versions() -> Mapping[str, Any]:
    """Return what a training is made with."""
    found = {"dicomnode": __version__}
    for name in _VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def preview_sheet(job: Job, data: LabelledData, order: Order, progress: Progress = no_progress) -> bytes:
    """Return a PNG of what the network would see of the training part; see `preview_png`."""
    parts = split_cases(job.cases, data, order.split, job.recipe, strata_of(job))
    plan = job.plan(parts.train, progress)
    left_out: list[Refusal] = []
    samples = prepared_samples(
        job, parts.train[:PREVIEW_STUDIES], plan, order.run / "cache", left_out, progress
    )
    if not samples:
        advice = left_out[0].text if left_out else "Give studies with labels."
        reason = "no case of the training part could be prepared"
        raise NodeError(NOTHING_TO_LEARN, task=job.recipe.task, reason=reason, advice=advice)
    how = job.recipe.augmentation
    augment = augmenter_of(how, job.flips, plan)
    return preview_png(samples, plan.shape, augment, plan.pad_value, job.recipe.seed)
