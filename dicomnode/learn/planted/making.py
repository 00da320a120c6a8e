"""The whole way: worlds, training, calibration, figures, engine."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.engine import CentreHeat, EnginePackage
from dicomnode.faults import BACKGROUNDS_NONE, NodeError
from dicomnode.learn.planted.backgrounds import Background, find_backgrounds, sure_worlds
from dicomnode.learn.planted.calibration import Line, calibrated_outcome, fit_line, threshold_for
from dicomnode.learn.planted.exams import Answered, answered, exam_of
from dicomnode.learn.planted.figures import Table, table_of
from dicomnode.learn.planted.looking import MOST, Run, by_torch
from dicomnode.learn.planted.loss import MASK_LOGIT
from dicomnode.learn.planted.mining import mine
from dicomnode.learn.planted.order import Made, Order
from dicomnode.learn.planted.package import by_onnx, exported, read_as, write_engine
from dicomnode.learn.planted.procedural import world_of
from dicomnode.learn.planted.training import PARTS, Learned, Lesson, Row, Stop, Tell, learn
from dicomnode.learn.planted.workers import Workers
from dicomnode.learn.planted.world import World, open_world, write_world
from dicomnode.learn.train.loop import pick_device, quiet_machine
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import versions
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.values import Progress, Refusal, no_progress

WORLDS: Final = "drawing patients"
JUDGING: Final = "judging"
_LOOSEST: Final = 0.005  # score of candidates that calibration looks at
_WORLDS_FOLDER: Final = "worlds"

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


@dataclass(frozen=True, slots=True)
class WorldOrder:
    """A world that is wanted: its seed, its folder, and who draws it (which has a name in a module)."""

    seed: int
    folder: Path
    world_of: WorldOf


def train_lungs(
    order: Order,
    *,
    stop: Stop,
    tell: Tell,
    progress: Progress = no_progress,
    draw: WorldOf = world_of,
) -> Trained:
    """Train, and write the engine; stopped before its last step, it goes on from there another time.

    draw: gives the world of a seed. Raises NodeError: SEED_RESERVED, BACKGROUNDS_NONE, RUN_THERE, RUN_TAKEN,
    RUN_DIFFERS, RUN_NOT_WRITTEN, PLANTED_DIVERGED, PLANTED_WORKER_ENDED, and what `write_draft` raises.
    """
    seeds = order.seeds
    backgrounds = (
        [] if order.backgrounds is None else find_backgrounds(order.backgrounds, order.ignore, progress)
    )
    run = RunFolder(
        folder=order.run, of=order.digest([one.digest for one in backgrounds]), resume=order.resume
    )
    run.begin()
    with run.held(), quiet_machine(order.threads), Workers(order.workers) as workers:
        run.read_state()  # another's is refused before hours of work
        kept = order.run / _WORLDS_FOLDER
        drawn = _drawn(workers, seeds.trained, kept, draw, progress)
        real, left_out = _real(order, backgrounds, kept, progress)
        worlds = (*drawn, *(folder for _, folder in real))
        lesson = Lesson(
            worlds=worlds,
            workers=workers,
            mine=lambda network, step: mine(network, worlds, order.seed, step, progress),
            stop=stop,
            tell=tell,
            device=pick_device(order.device),
        )
        learned = learn(order.course, lesson, run)
        named = tuple((one.uid, one.digest) for one, _ in real)
        trained = Trained(order=order, learned=learned, left_out=left_out, real=named)
        if learned.stopped:
            return trained
        exams = [_drawn(workers, some, kept, draw, progress) for some in (seeds.calibrated, seeds.judged)]
        return _finished(trained, exams[0], exams[1], progress)


def make_world(order: WorldOrder) -> str:
    """Draw a world into its folder unless it is there; return its name. NodeError(RUN_NOT_WRITTEN)."""
    if open_world(order.folder) is None:
        write_world(order.world_of(order.seed), order.folder)
    return order.folder.name


def _drawn(
    workers: Workers, seeds: Sequence[int], kept: Path, draw: WorldOf, progress: Progress
) -> list[Path]:
    orders = [WorldOrder(seed, kept / f"{seed}-{CHEST_VERSION}", draw) for seed in seeds]
    progress(WORLDS, 0, len(orders))
    for number, _ in enumerate(workers.answers(make_world, orders)):
        progress(WORLDS, number + 1, len(orders))
    return [one.folder for one in orders]


def _real(
    order: Order, backgrounds: Sequence[Background], kept: Path, progress: Progress
) -> tuple[list[tuple[Background, Path]], tuple[Refusal, ...]]:
    """Make worlds of the real scans that are sure; each is kept by its digest."""
    folders = {one.uid: kept / f"real-{one.digest[:24]}" for one in backgrounds}
    wanted = [one for one in backgrounds if open_world(folders[one.uid]) is None]
    left_out = []
    for one, world in sure_worlds(wanted, progress):
        if isinstance(world, Refusal):
            left_out.append(world)
        else:
            write_world(world, folders[one.uid])
    found = [(one, folders[one.uid]) for one in backgrounds if open_world(folders[one.uid]) is not None]
    if order.backgrounds is not None and not found:
        reasons = "; ".join(one.text for one in left_out[:3]) or "there is none"
        raise NodeError(BACKGROUNDS_NONE, count=len(backgrounds), path=order.backgrounds, reasons=reasons)
    return found, tuple(left_out)


def _finished(
    trained: Trained, calibrated: Sequence[Path], judged: Sequence[Path], progress: Progress
) -> Trained:
    """Calibrate, export, judge what was exported, and write the engine."""
    order, network = trained.order, trained.learned.network.eval()
    line, threshold = _calibration(by_torch(network), calibrated, order.seed, progress)
    content = exported(network, line)
    loosest = {"threshold": _LOOSEST, "heat_at_least": _LOOSEST}
    how = CentreHeat(stride=2, within_mm=3.75, at_most=MOST, **{**read_as(threshold), **loosest})
    with by_onnx(content, order.threads) as run:
        table = table_of(_answers(run, judged, how, order.seed, progress), threshold, order.seed)
    made = Made(
        order=order,
        step=trained.learned.step,
        real=trained.real,
        left_out=[one.text for one in trained.left_out],
        curves=curves_csv(trained.learned.rows),
        versions=versions(),
    )
    package = write_engine(content, made, line, table)
    return Trained(
        order=order,
        learned=trained.learned,
        left_out=trained.left_out,
        real=trained.real,
        package=package,
        table=table,
        line=line,
    )


def _calibration(run: Run, worlds: Sequence[Path], seed: int, progress: Progress) -> tuple[Line, float]:
    """Return the line from heat to probability, and the threshold, on patients that were not trained on."""
    how = CentreHeat(
        stride=2,
        within_mm=3.75,
        heat_at_least=_LOOSEST,
        threshold=_LOOSEST,
        mask_logit=MASK_LOGIT,
        at_most=MOST,
    )
    answers = _answers(run, worlds, how, seed, progress)
    scores = [score for one in answers for score in one.scores]
    line = fit_line(scores, [right for one in answers for right in one.right])
    # The threshold is one of what leaves the network: of the probability
    return line, threshold_for([calibrated_outcome(one.outcome, line) for one in answers])


def _answers(
    run: Run, worlds: Sequence[Path], how: CentreHeat, seed: int, progress: Progress
) -> list[Answered]:
    answers = []
    for number, folder in enumerate(worlds):
        world = open_world(folder)
        if world is not None:  # it was drawn a moment ago
            answers.append(answered(run, exam_of(world, seed), how))
        progress(JUDGING, number + 1, len(worlds))
    return answers


def curves_csv(rows: Sequence[Row]) -> str:
    """Return a line for each row: step, learning_rate, and what was lost on each part."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "learning_rate", *PARTS])
    for row in rows:
        writer.writerow([row.step, f"{row.learning_rate:.6g}", *(f"{row.lost[name]:.6g}" for name in PARTS)])
    return out.getvalue()
