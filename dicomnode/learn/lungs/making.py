"""The whole way: worlds, training, figures, engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from dicomnode.engine import EnginePackage
from dicomnode.learn.drawn.course import begun, drawn_worlds, made_by, place_of, real_worlds
from dicomnode.learn.drawn.kept import Shelf, taken
from dicomnode.learn.drawn.state import Learned, Watch, curves_csv
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.lungs.card import card_of
from dicomnode.learn.lungs.judging import Table, table_of
from dicomnode.learn.lungs.order import Order
from dicomnode.learn.lungs.package import by_onnx, exported, write_masks
from dicomnode.learn.lungs.training import Lesson, learn
from dicomnode.learn.lungs.worlds import FORM, Coarse, open_world, real_world, world_of, write_world
from dicomnode.learn.planted.backgrounds import find_backgrounds
from dicomnode.learn.train.loop import pick_device
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.values import Progress, Refusal

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


def train_lung_masks(order: Order, watch: Watch, draw: WorldOf = world_of) -> Trained:
    """Train, and write the engine; stopped before its last step, it goes on from there another time.

    draw: gives the world of a seed. Raises NodeError: SEED_RESERVED, BACKGROUNDS_NONE, RUN_THERE, RUN_TAKEN,
    RUN_DIFFERS, RUN_NOT_WRITTEN, PLANTED_DIVERGED, PLANTED_WORKER_ENDED, and what `write_draft` raises.
    """
    seeds, progress, scans = order.seeds, watch.progress, []
    if order.backgrounds is not None:
        scans = find_backgrounds(order.backgrounds, None, progress)
    digest = order.digest([one.digest for one in scans])
    with begun(order, digest, _WORLDS_FOLDER) as run, Workers(order.workers) as workers:
        shelf = Shelf(
            folder=run.folder / _WORLDS_FOLDER,
            ending=f"-{CHEST_VERSION}-{FORM}.npz",
            read=open_world,
            write=write_world,
        )
        patients = drawn_worlds(workers, shelf, draw, seeds.trained, progress)
        real, left_out = real_worlds(scans, order.backgrounds, shelf, real_world, progress)
        device = pick_device(order.device)
        lesson = Lesson(
            worlds=[*patients, *(path for _, path in real)],
            watch=watch,
            device=device,
            place=place_of(order, device),
        )
        learned = learn(order.course, lesson, run)
        named = tuple((one.uid, one.digest) for one, _ in real)
        trained = Trained(order=order, learned=learned, left_out=left_out, real=named)
        if learned.stopped:
            return trained
        judged = drawn_worlds(workers, shelf, draw, seeds.judged, progress)
        return _finished(trained, [taken(open_world, path) for path in judged], progress)


def _finished(trained: Trained, judged: list[Coarse], progress: Progress) -> Trained:
    """Export, judge what was exported, and write the engine."""
    order, learned = trained.order, trained.learned
    content = exported(learned.network)
    with by_onnx(content, order.threads) as run:
        table = table_of(run, judged, order.seed, progress)
    made = made_by(order, learned, trained.real, len(trained.left_out))
    package = write_masks(content, order, card_of(made, order, table, content), curves_csv(learned.rows))
    return replace(trained, package=package, table=table)
