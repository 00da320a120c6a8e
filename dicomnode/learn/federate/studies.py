"""From labelled studies to a site, and from the weights of all sites to an engine of this one."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import torch

from dicomnode.evaluate.data import LabelledData, check_leaks
from dicomnode.faults import (
    FEDERATED_DATA_TAKEN,
    FEDERATED_RECIPE,
    FILE_UNREADABLE,
    NOTHING_TO_LEARN,
    NodeError,
)
from dicomnode.learn.federate.arrays import Arrays
from dicomnode.learn.federate.local import SiteRound
from dicomnode.learn.federate.site import TorchSite, tensors_of
from dicomnode.learn.train.job import Job
from dicomnode.learn.train.loop import Row, ended_state, pick_device, seed_torch
from dicomnode.learn.train.parts import Parts, split_cases, strata_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import Order, Trained, prepared_samples, run_digest, train_engine
from dicomnode.values import Progress, Refusal, no_progress

_FORM: Final = 2  # of messages and of how sites train; goes up when either changes
# Scalings that look at each study by itself: others look at all of the data, which no site has
_OF_EACH_STUDY: Final = ("z_score", "percentile")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A site with what it was made of. run: folder of the training, as `dicomnode train` has it."""

    site: TorchSite
    job: Job
    data: LabelledData
    order: Order
    run: RunFolder
    left_out: tuple[Refusal, ...]

    @property
    def rounds_are_over(self) -> bool:
        """Whether all rounds are done, and only the engine of them is not made."""
        return self.run.read_state() is not None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes off the run and off the split: one site's studies do not count as two sites'.

        Raises NodeError: RUN_TAKEN, FEDERATED_DATA_TAKEN, FILE_UNREADABLE.
        """
        path = self.order.split
        try:
            split = path.open("rb")
        except OSError as error:
            raise NodeError(FILE_UNREADABLE, path=path, error=error.strerror or error) from error
        with split, self.run.held():
            try:
                fcntl.flock(split, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise NodeError(FEDERATED_DATA_TAKEN, path=path) from error
            yield


def require_shared(recipe: Recipe) -> None:
    """Raise NodeError(FEDERATED_RECIPE) where a site's data would decide how it prepares its studies."""
    missing = [key for key in ("spacing_kji_mm", "patch_kji") if getattr(recipe, key) is None]
    if recipe.scaling not in _OF_EACH_STUDY:
        missing.append(f'scaling ("{_OF_EACH_STUDY[0]}" or "{_OF_EACH_STUDY[1]}")')
    if missing:
        raise NodeError(FEDERATED_RECIPE, keys=", ".join(missing))


def site_of(
    job: Job, data: LabelledData, order: Order, epochs: int, progress: Progress = no_progress
) -> Place:
    """Prepare the studies of a site as `dicomnode train` does; the split is its own, and kept.

    The test part is not looked at. Raises NodeError: FEDERATED_RECIPE, NOTHING_TO_LEARN, SPLIT_LEAKS, and
    those of the run's folder.
    """
    require_shared(job.recipe)
    parts = _parts(job, data, order)
    check_leaks(parts.studies(data), progress=progress)
    run = RunFolder(folder=order.run, of=run_digest(job, data, parts, order), resume=order.resume)
    run.begin()
    plan = job.plan(parts.train, progress)
    left_out: list[Refusal] = []
    training = prepared_samples(job, parts.train, plan, run.cache, left_out, progress)
    validation = prepared_samples(job, parts.validation, plan, run.cache, left_out, progress)
    if not training or not validation:
        reason = "no case of a part could be prepared"
        advice = left_out[0].text if left_out else "Give studies with labels."
        raise NodeError(NOTHING_TO_LEARN, task=job.recipe.task, reason=reason, advice=advice)
    torch.set_num_threads(max(order.threads, 1))
    seed_torch(job.recipe.seed)
    prepare = [(one["kind"], one.get("prepare")) for one in plan.inputs]
    shared = json.dumps([_FORM, job.recipe.digest, list(job.output_names), _names(job), prepare])
    site = TorchSite(
        recipe=job.recipe,
        network=job.network(plan),
        lesson=job.lesson(training, validation, plan),
        samples=len(training),
        validated=len(validation),
        folder=order.run,
        of=hashlib.sha256(shared.encode()).hexdigest(),
        epochs=epochs,
        device=str(pick_device(order.device)),
    )
    return Place(site=site, job=job, data=data, order=order, run=run, left_out=tuple(left_out))


def _parts(job: Job, data: LabelledData, order: Order) -> Parts:
    """As `train_engine` draws them, so that what is held out here is held out there."""
    return split_cases(job.cases, data, order.split, job.recipe, strata_of(job))


def _names(job: Job) -> list[str]:
    """Names of what is learned, in their order."""
    return [one.name for one in getattr(job, "structures", ())]


def finished_engine(
    place: Place, weights: Arrays, rounds: Sequence[SiteRound], progress: Progress = no_progress
) -> Trained:
    """Make the engine of the common weights, judged on this site's own held-out part.

    The weights are put where a training that has ended keeps its own, and that training is gone on with: it
    exports, judges, and writes the card. Where that broke off, `made_engine` goes on. Raises what it does.
    """
    recipe, network = place.job.recipe, place.site.network.cpu()
    network.load_state_dict(tensors_of(weights))
    rows = [
        Row(epoch=one.number, learning_rate=recipe.learning_rate, loss=one.loss, score=one.score, figures={})
        for one in rounds
    ]
    place.run.write_state(ended_state(recipe, network, rows))
    return made_engine(place, progress)


def made_engine(place: Place, progress: Progress = no_progress) -> Trained:
    """Make the engine of a site whose rounds are over. Raises what `train_engine` does."""
    return train_engine(place.job, place.data, replace(place.order, resume=True), progress)
