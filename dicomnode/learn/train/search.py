"""A search for hyper-parameters with Optuna: so many trainings, each judged by the validation part alone.

Which values are tried follows from the seed and from what came before, so that a search that was stopped goes
on by itself: what is there is read from the run's folder and not trained again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from dicomnode.evaluate.data import LabelledData, check_leaks
from dicomnode.faults import TRAIN_MISSING, NodeError
from dicomnode.learn.train.job import Job
from dicomnode.learn.train.loop import quiet_machine
from dicomnode.learn.train.parts import split_cases, strata_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import Order, learned_from, run_digest
from dicomnode.values import Progress

STAGE: Final = "searching recipes"


def search_recipe(job: Job, data: LabelledData, order: Order, trials: int, progress: Progress) -> Recipe:
    """Return the recipe that did best on the validation part; the one that was given is the first tried.

    Tried are learning rate, weight decay, dropout and loss. The held-out part is not touched. Raises
    NodeError(TRAIN_MISSING) without Optuna, and as a training.
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
    for number in range(trials):
        progress(STAGE, number, trials)
        trial = study.ask()
        tried = replace(job.recipe, **_drawn(trial))
        recipes.append(tried)
        one: Any = replace(job, recipe=tried)  # type: ignore[type-var]  # every job is a frozen dataclass
        name = hashlib.sha256(tried.text.encode()).hexdigest()[:12]
        run = RunFolder(
            folder=order.run / f"trial-{name}", of=run_digest(one, data, parts, order), resume=True
        )
        with quiet_machine(order.threads):
            learned = learned_from(one, parts, run, order, progress, order.run / "cache")[1]
        study.tell(trial, learned.best_score)
    progress(STAGE, trials, trials)
    best: int = study.best_trial.number
    return recipes[best]


def _drawn(trial: Any) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-7, 1e-2, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "loss": trial.suggest_categorical("loss", ["balanced", "focal"]),
    }


def _optuna() -> Any:
    try:
        import optuna  # noqa: PLC0415  only who searches needs it
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what="--search", package="optuna", error=error) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
