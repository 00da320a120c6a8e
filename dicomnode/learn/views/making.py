"""The whole way: patients are drawn, a network learns from films of them, and an engine comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomnode.engine import EnginePackage
from dicomnode.learn.train.loop import quiet_machine
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import versions
from dicomnode.learn.views.card import Made, card_text
from dicomnode.learn.views.judging import Table, judged, temperatures_of
from dicomnode.learn.views.network import ViewNet
from dicomnode.learn.views.order import Order
from dicomnode.learn.views.package import exported, write_engine
from dicomnode.learn.views.patients import kept_patients
from dicomnode.learn.views.training import Learner, Row, Watch, learn

_PATIENTS: Final = "patients"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of it. temperatures: of each question, in their order."""

    order: Order
    rows: tuple[Row, ...]
    temperatures: tuple[float, ...]
    package: EnginePackage
    table: Table


def train_views(order: Order, watch: Watch) -> Trained:
    """Train, calibrate, write the engine, and judge what was written, as the node runs it.

    Patients and weights are kept in the folder of the training: what is there is not made again. Raises
    NodeError: SEED_RESERVED, RUN_THERE, RUN_TAKEN, RUN_DIFFERS, RUN_NOT_WRITTEN, PLANTED_DIVERGED, and what
    `write_draft` raises.
    """
    progress = watch.progress
    seeds = (order.trained_seeds, order.calibrated_seeds, order.judged_seeds)
    run = RunFolder(folder=order.run, of=order.digest, resume=order.resume)
    run.begin()
    with run.held(), quiet_machine(order.threads):
        network, learner = learned(order, run, watch)
        rows = tuple(learner.rows)
        kept = order.run / _PATIENTS
        calibrated = kept_patients(seeds[1], kept, progress)
        temperatures = temperatures_of(network, calibrated, order)
        content = exported(network, temperatures)
        package = write_engine(content, order, rows, card="The engine is being judged.\n")
        table = judged(package, kept_patients(seeds[2], kept, progress), order, progress)
        card = card_text(
            order, temperatures, table, Made(size=len(content), seconds=learner.seconds, versions=versions())
        )
        package = write_engine(content, order, rows, card=card)
    return Trained(order=order, rows=rows, temperatures=temperatures, package=package, table=table)


def learned(order: Order, run: RunFolder, watch: Watch) -> tuple[ViewNet, Learner]:
    """Learn, or go on with what is kept in the folder of the training."""
    learner = Learner(order.course)
    state = run.read_state()
    if state is not None:
        learner.take_up(state)
    patients = []
    if learner.step < order.steps:
        patients = kept_patients(order.trained_seeds, run.folder / _PATIENTS, watch.progress)
    network = learn(patients, learner, lambda now: run.write_state(now.state()), watch)
    return network, learner
