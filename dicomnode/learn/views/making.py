"""The whole way: patients are drawn, a network learns from films of them, and an engine comes out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import Final, cast

import torch

from dicomnode.engine import EnginePackage
from dicomnode.learn.drawn.card import Card
from dicomnode.learn.drawn.course import begun, made_by, place_of
from dicomnode.learn.drawn.state import Learned, Watch, curves_csv
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.views.card import card_of
from dicomnode.learn.views.judging import Table, judged, temperatures_of
from dicomnode.learn.views.network import ViewNet
from dicomnode.learn.views.order import Order
from dicomnode.learn.views.package import exported, write_views
from dicomnode.learn.views.patients import kept_patients
from dicomnode.learn.views.training import learn

_PATIENTS: Final = "patients"
_JUDGED: Final = "judged"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of it. temperatures: of each question, in their order. Where it was stopped, no engine."""

    order: Order
    learned: Learned
    temperatures: tuple[float, ...] = ()
    package: EnginePackage | None = None
    table: Table | None = None


def train_views(order: Order, watch: Watch) -> Trained:
    """Train, calibrate, judge an engine as the node runs it, and write it with what was found.

    Patients and weights are kept in the folder of the training: what is there is not made again. Raises
    NodeError: SEED_RESERVED, RUN_THERE, RUN_TAKEN, RUN_DIFFERS, RUN_NOT_WRITTEN, PLANTED_DIVERGED, and what
    `write_draft` raises.
    """
    with begun(order, order.digest, _PATIENTS) as run:
        learned = learned_in(order, run, watch)
        trained = Trained(order=order, learned=learned)
        return trained if learned.stopped else _finished(trained, run, watch)


def learned_in(order: Order, run: RunFolder, watch: Watch) -> Learned:
    """Learn, or go on with what is kept in the folder of the training."""
    return learn(
        order.course,
        lambda: kept_patients(order.seeds.trained, run.folder / _PATIENTS, watch.progress),
        watch,
        run,
        place_of(order, torch.device("cpu")),
    )


def _finished(trained: Trained, run: RunFolder, watch: Watch) -> Trained:
    """Calibrate and judge; the engine that is judged lies in the folder of the training until then."""
    order, learned = trained.order, trained.learned
    network = cast("ViewNet", learned.network)
    kept, progress = run.folder / _PATIENTS, watch.progress
    calibrated = kept_patients(order.seeds.calibrated, kept, progress)
    temperatures = temperatures_of(network, calibrated, order)
    content = exported(network, temperatures)
    curves = curves_csv(learned.rows)
    tried = replace(order, out=run.folder / _JUDGED / order.out.name, replace=True)
    blank = Card(title=order.title, lead="Not judged yet.", sections=(), limits=(), made=())
    package = write_views(content, tried, blank, curves)
    table = judged(package, kept_patients(order.seeds.judged, kept, progress), order, progress)
    package = write_views(
        content, order, card_of(made_by(order, learned), order, (temperatures, table), content), curves
    )
    shutil.rmtree(tried.out.parent, ignore_errors=True)
    return replace(trained, temperatures=temperatures, package=package, table=table)
