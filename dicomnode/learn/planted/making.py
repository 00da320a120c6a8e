"""The whole way: worlds, training, calibration, figures, engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dicomnode.engine import CentreHeat, EnginePackage
from dicomnode.learn.drawn.course import (
    JUDGING,
    begun,
    drawn_worlds,
    made_by,
    place_of,
    real_worlds,
    told,
)
from dicomnode.learn.drawn.kept import Shelf, taken
from dicomnode.learn.drawn.state import Learned, Watch, curves_csv
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.planted.backgrounds import find_backgrounds, real_world
from dicomnode.learn.planted.calibration import Line, calibrated_outcome, fit_line, threshold_for
from dicomnode.learn.planted.card import card_of
from dicomnode.learn.planted.exams import Answered, answered, exam_of
from dicomnode.learn.planted.figures import Table, table_of
from dicomnode.learn.planted.looking import MOST, Run, by_torch
from dicomnode.learn.planted.mining import mine
from dicomnode.learn.planted.order import Order
from dicomnode.learn.planted.package import (
    by_onnx,
    engine_table,
    exported,
    other_networks,
    read_loosely,
    seen_as_shipped,
    write_nodules,
)
from dicomnode.learn.planted.procedural import world_of
from dicomnode.learn.planted.training import Lesson, learn
from dicomnode.learn.planted.world import World, open_world, write_world
from dicomnode.learn.train.loop import pick_device
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.values import Progress, Refusal

_LOOSEST: Final = 0.005  # score of candidates that calibration looks at
WORLDS_FOLDER: Final = "worlds"

WorldOf = Callable[[int], World]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of it. package, table, line: None where it was stopped before its last step."""

    order: Order
    learned: Learned
    left_out: tuple[Refusal, ...]
    real: tuple[tuple[str, str], ...]
    package: EnginePackage | None = None
    table: Table | None = None
    line: Line | None = None


def shelf_in(run: Path) -> Shelf[World]:
    """Return where a training keeps its worlds: each a folder, named by its seed or its digest."""
    return Shelf(folder=run / WORLDS_FOLDER, ending=f"-{CHEST_VERSION}", read=open_world, write=write_world)


def train_lungs(order: Order, watch: Watch, draw: WorldOf = world_of) -> Trained:
    """Train, and write the engine; stopped before its last step, it goes on from there another time.

    draw: gives the world of a seed. Raises NodeError: SEED_RESERVED, BACKGROUNDS_NONE, RUN_THERE, RUN_TAKEN,
    RUN_DIFFERS, RUN_NOT_WRITTEN, PLANTED_DIVERGED, PLANTED_WORKER_ENDED, and what `write_draft` raises.
    """
    seeds, progress, scans = order.seeds, watch.progress, []
    if order.backgrounds is not None:
        scans = find_backgrounds(order.backgrounds, order.ignore, progress)
    digest = order.digest([one.digest for one in scans])
    with begun(order, digest, WORLDS_FOLDER) as run, Workers(order.workers) as workers:
        shelf = shelf_in(run.folder)
        patients = drawn_worlds(workers, shelf, draw, seeds.trained, progress)
        real, left_out = real_worlds(scans, order.backgrounds, shelf, real_world, progress)
        worlds, device = (*patients, *(folder for _, folder in real)), pick_device(order.device)
        lesson = Lesson(
            worlds=worlds,
            workers=workers,
            mine=lambda network, step: mine(network, worlds, order.seed, step, progress),
            watch=watch,
            device=device,
            place=place_of(order, device),
        )
        learned = learn(order.course, lesson, run)
        named = tuple((one.uid, one.digest) for one, _ in real)
        trained = Trained(order=order, learned=learned, left_out=left_out, real=named)
        if learned.stopped:
            return trained
        calibrated, judged = (
            drawn_worlds(workers, shelf, draw, some, progress) for some in (seeds.calibrated, seeds.judged)
        )
        return _finished(trained, calibrated, judged, progress)


def _finished(
    trained: Trained, calibrated: Sequence[Path], judged: Sequence[Path], progress: Progress
) -> Trained:
    """Calibrate, export, judge what was exported, and write the engine."""
    order, learned = trained.order, trained.learned
    how = read_loosely(_LOOSEST, MOST)
    line, threshold = calibration(_answers(by_torch(learned.network), calibrated, how, order.seed, progress))
    content = exported(learned.network, line)
    with by_onnx(content, order.threads) as run:
        table = table_of(_answers(run, judged, how, order.seed, progress), threshold, order.seed)
    made = made_by(order, learned, trained.real, len(trained.left_out))
    written = engine_table(order, table.threshold, calibrated=line.fitted)
    card = card_of(made, order, (line, table), content, other_networks(written))
    package = write_nodules(content, order, written, card, curves_csv(learned.rows))
    return replace(trained, package=package, table=table, line=line)


def calibration(answers: Sequence[Answered]) -> tuple[Line, float]:
    """Return the line from score to probability, and the threshold for one false alarm a scan.

    answers: of patients that were not trained on, with scores as they were before any line.
    """
    scores = [score for one in answers for score in one.scores]
    line = fit_line(scores, [right for one in answers for right in one.right])
    # The threshold is one of what leaves the network: of the probability
    return line, threshold_for([calibrated_outcome(one.outcome, line) for one in answers])


def _answers(
    run: Run, worlds: Sequence[Path], how: CentreHeat, seed: int, progress: Progress
) -> list[Answered]:
    seen = seen_as_shipped(run)
    return [
        answered(seen, exam_of(taken(open_world, folder), seed), how)
        for folder in told(worlds, JUDGING, progress)
    ]
