"""A search for hyper-parameters with Optuna: so many trainings, each judged by the validation part alone.

Which values are tried follows from the seed and from what came before, so that a search that was stopped goes
on by itself: what is there is read from the run's folder and not trained again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from dicomnode.evaluate.data import LabelledData, check_leaks
from dicomnode.faults import DIVERGED, TRAIN_MISSING, NodeError
from dicomnode.learn.train.job import Job
from dicomnode.learn.train.loop import quiet_machine
from dicomnode.learn.train.networks import WITHOUT_DROPOUT
from dicomnode.learn.train.parts import Parts, split_cases, strata_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import Order, learned_from, run_digest
from dicomnode.values import Progress

STAGE: Final = "searching recipes"


def search_recipe(job: Job, data: LabelledData, order: Order, trials: int, progress: Progress) -> Recipe:
    """Return the recipe that did best on the validation part; the one that was given is the first tried.

    Tried are learning rate, weight decay, loss, and dropout where the network has one. One that diverges
    is passed over. The held-out part is not touched. Raises NodeError: TRAIN_MISSING without Optuna, and as
    a training; DIVERGED where all do.
    """
    optuna = _optuna()
    parts = split_cases(job.cases, data, order.split, job.recipe, strata_of(job))
    check_leaks(parts.studies(data), progress=progress)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=job.recipe.seed)
    )
    study.enqueue_trial(
        {
            "learning_rate": job.recipe.learning_rate,
            "weight_decay": max(job.recipe.weight_decay, 1e-7),
            "dropout": job.recipe.dropout,
            "loss": job.recipe.loss,
        }
    )
    recipes: list[Recipe] = []
    diverged: NodeError | None = None
    for number in range(trials):
        progress(STAGE, number, trials)
        trial = study.ask()
        tried = replace(job.recipe, **_drawn(trial, job.recipe))
        recipes.append(tried)
        try:
            score = _score(replace(job, recipe=tried), parts, data, order, progress)  # type: ignore[type-var]
        except NodeError as error:
            if error.fault is not DIVERGED:
                raise
            diverged = error
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, score)
    progress(STAGE, trials, trials)
    if diverged is not None and not any(one.value is not None for one in study.trials):
        raise diverged
    best: int = study.best_trial.number
    return recipes[best]


def _score(job: Any, parts: Parts, data: LabelledData, order: Order, progress: Progress) -> float:
    """Train a recipe, or go on with it, and return its score of the validation part. job: a `Job`."""
    name = hashlib.sha256(job.recipe.text.encode()).hexdigest()[:12]
    of = run_digest(job, data, parts, order)
    run = RunFolder(folder=order.run / f"trial-{name}", of=of, resume=True)
    run.begin()
    with run.held(), quiet_machine(order.threads):
        return learned_from(job, parts, run, order, progress, order.run / "cache")[1].best_score


def _drawn(trial: Any, recipe: Recipe) -> dict[str, Any]:
    drawn = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-7, 1e-2, log=True),
        "loss": trial.suggest_categorical("loss", ["balanced", "focal"]),
    }
    if recipe.net not in WITHOUT_DROPOUT:
        drawn["dropout"] = trial.suggest_float("dropout", 0.0, 0.5)
    return drawn


def _optuna() -> Any:
    try:
        import optuna  # noqa: PLC0415  only who searches needs it
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what="--search", package="optuna", error=error) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
