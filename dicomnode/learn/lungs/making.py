"""The whole way: worlds, training, figures, engine."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.engine import EnginePackage
from dicomnode.faults import BACKGROUNDS_NONE, NodeError
from dicomnode.learn.lungs.card import Made
from dicomnode.learn.lungs.judging import Table, table_of
from dicomnode.learn.lungs.loss import PARTS
from dicomnode.learn.lungs.order import Order
from dicomnode.learn.lungs.package import by_onnx, exported, write_engine
from dicomnode.learn.lungs.training import Lesson, learn
from dicomnode.learn.lungs.worlds import FORM, Coarse, open_world, real_world, world_of, write_world
from dicomnode.learn.planted.backgrounds import Background, find_backgrounds
from dicomnode.learn.planted.training import Learned, Row, Stop, Tell
from dicomnode.learn.train.loop import pick_device, quiet_machine
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.training import versions
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.values import Progress, Refusal, no_progress

WORLDS: Final = "drawing patients"
_WORLDS_FOLDER: Final = "worlds"

WorldOf = Callable[[int], Coarse]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of it. package, table: None where it was stopped before its last step."""

    order: Order
    learned: Learned
    left_out: tuple[Refusal, ...]
    real: tuple[tuple[str, str], ...]
    package: EnginePackage | None = None
    table: Table | None = None


def train_lung_masks(
    order: Order, *, stop: Stop, tell: Tell, progress: Progress = no_progress, draw: WorldOf = world_of
) -> Trained:
    """Train, and write the engine; stopped before its last step, it goes on from there another time.

    draw: gives the world of a seed. Raises NodeError: SEED_RESERVED, BACKGROUNDS_NONE, RUN_THERE, RUN_TAKEN,
    RUN_DIFFERS, RUN_NOT_WRITTEN, PLANTED_DIVERGED, and what `write_draft` raises.
    """
    seeds = order.trained
    backgrounds = [] if order.backgrounds is None else find_backgrounds(order.backgrounds, None, progress)
    run = RunFolder(
        folder=order.run, of=order.digest([one.digest for one in backgrounds]), resume=order.resume
    )
    run.begin()
    with run.held(), quiet_machine(order.threads):
        run.read_state()  # another's is refused before an hour of work
        kept = order.run / _WORLDS_FOLDER
        drawn = [_drawn(seed, kept, draw) for seed in _told(seeds, progress)]
        real, left_out = _real(order, backgrounds, kept)
        lesson = Lesson(
            worlds=[*drawn, *(path for _, path in real)],
            stop=stop,
            tell=tell,
            device=pick_device(order.device),
        )
        learned = learn(order.course, lesson, run)
        named = tuple((one.uid, one.digest) for one, _ in real)
        trained = Trained(order=order, learned=learned, left_out=left_out, real=named)
        if learned.stopped:
            return trained
        paths = [_drawn(seed, kept, draw) for seed in _told(order.judged_seeds, progress)]
        return _finished(trained, [world for world in map(open_world, paths) if world is not None])


def _told(seeds: Sequence[int], progress: Progress) -> Sequence[int]:
    progress(WORLDS, 0, len(seeds))
    return seeds


def _drawn(seed: int, kept: Path, draw: WorldOf) -> Path:
    """Return the file of a patient, drawn now unless it is there."""
    path = kept / f"{seed}-{CHEST_VERSION}-{FORM}.npz"
    if open_world(path) is None:
        write_world(draw(seed), path)
    return path


def _real(
    order: Order, backgrounds: Sequence[Background], kept: Path
) -> tuple[list[tuple[Background, Path]], tuple[Refusal, ...]]:
    """Make worlds of the real scans that are sure; each is kept by its digest."""
    found, left_out = [], []
    for one in backgrounds:
        path = kept / f"real-{one.digest[:24]}.npz"
        if open_world(path) is None:
            world = real_world(one)
            if isinstance(world, Refusal):
                left_out.append(world)
                continue
            write_world(world, path)
        found.append((one, path))
    if order.backgrounds is not None and not found:
        reasons = "; ".join(one.text for one in left_out[:3]) or "there is none"
        raise NodeError(BACKGROUNDS_NONE, count=len(backgrounds), path=order.backgrounds, reasons=reasons)
    return found, tuple(left_out)


def _finished(trained: Trained, judged: Sequence[Coarse]) -> Trained:
    """Export, judge what was exported, and write the engine."""
    order = trained.order
    content = exported(trained.learned.network)
    with by_onnx(content, order.threads) as run:
        table = table_of(run, judged, order.seed)
    made = Made(
        order=order,
        step=trained.learned.step,
        real=trained.real,
        left_out=[one.text for one in trained.left_out],
        versions=dict(versions()),
    )
    package = write_engine(content, made, curves_csv(trained.learned.rows), table)
    return Trained(
        order=order,
        learned=trained.learned,
        left_out=trained.left_out,
        real=trained.real,
        package=package,
        table=table,
    )


def curves_csv(rows: Sequence[Row]) -> str:
    """Return a line for each row: step, learning_rate, and what was lost on each part."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "learning_rate", *PARTS])
    for row in rows:
        writer.writerow([row.step, f"{row.learning_rate:.6g}", *(f"{row.lost[name]:.6g}" for name in PARTS)])
    return out.getvalue()
