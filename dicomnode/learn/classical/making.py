"""The whole way of a forest: patients, candidates, trees, a line, figures, an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine import EnginePackage
from dicomnode.evaluate import FrocCurve, froc
from dicomnode.faults import FOREST_TOO_FEW, NodeError
from dicomnode.learn.classical.forest import (
    Lessons,
    answered,
    exported_forest,
    lessons_of,
    scores_of,
    train_forest,
)
from dicomnode.learn.classical.looked import Looked, LookOrder, make_looked, read_looked
from dicomnode.learn.classical.order import ForestOrder
from dicomnode.learn.classical.package import Judged, card_of, write_forest
from dicomnode.learn.drawn.course import begun, drawn_worlds, each, made_at_once
from dicomnode.learn.drawn.kept import taken
from dicomnode.learn.drawn.state import Watch
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.planted.calibration import Line, calibrated_outcome
from dicomnode.learn.planted.exams import Answered
from dicomnode.learn.planted.figures import Table, table_of
from dicomnode.learn.planted.making import WORLDS_FOLDER, calibration, shelf_in
from dicomnode.learn.planted.procedural import world_of
from dicomnode.learn.planted.world import World

LOOKING: Final = "looking for candidates"
_LEAST: Final = 10  # candidates of a kind that trees are grown on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeForest:
    """What came of it. table: on the held-out patients, at the threshold; candidates: their FROC curve."""

    package: EnginePackage
    lessons: Lessons
    line: Line
    table: Table
    candidates: FrocCurve


def make_forest(
    order: ForestOrder, watch: Watch | None = None, draw: Callable[[int], World] = world_of
) -> MadeForest:
    """Train a forest and write its engine; what an earlier try has drawn and looked at is used again.

    Raises NodeError: SEED_RESERVED, FOREST_TOO_FEW, TRAIN_MISSING, RUN_TAKEN, RUN_NOT_WRITTEN,
    PLANTED_WORKER_ENDED, and what `write_draft` raises.
    """
    watch, seeds = watch or Watch(), order.seeds
    with begun(order, order.digest, WORLDS_FOLDER, "rows") as run, Workers(order.workers) as workers:
        every = (*seeds.trained, *seeds.calibrated, *seeds.judged)
        drawn_worlds(workers, shelf_in(run.folder), draw, every, watch.progress)
        looks = [
            list(order.looks(seeds.trained, order.plantings)),
            list(order.looks(seeds.calibrated)),
            list(order.looks(seeds.judged)),
        ]
        each(workers, make_looked, [one for some in looks for one in some], LOOKING, watch.progress)
        trained, calibrated, held_out = (_kept(some) for some in looks)
        return _made(order, trained, (calibrated, held_out), watch)


def _made(
    order: ForestOrder,
    trained: Sequence[Looked],
    others: tuple[Sequence[Looked], Sequence[Looked]],
    watch: Watch,
) -> MadeForest:
    """Grow trees, and write the engine. others: exams to calibrate on, and to judge on."""
    lessons, since = lessons_of(trained), watch.clock()
    if min(int(lessons.nodule.sum()), int((~lessons.nodule).sum())) < _LEAST:
        raise NodeError(FOREST_TOO_FEW, nodules=int(lessons.nodule.sum()), least=_LEAST)
    forest = train_forest(lessons, order.trees, order.seed, order.threads)
    seconds = watch.clock() - since
    line, threshold = calibration(_answers(forest, others[0]))
    content = exported_forest(forest, line, lessons.rows[:2000])
    answers = [_on_line(one, line) for one in _answers(forest, others[1])]
    table = table_of(answers, threshold, order.seed)
    curve = froc([one.outcome for one in answers])
    judged = Judged(table=table, candidates=curve, line=line, lessons=lessons)
    made = made_at_once(order, seconds)
    package = write_forest(content, order, judged, card_of(made, order, judged, content))
    return MadeForest(package=package, lessons=lessons, line=line, table=table, candidates=curve)


def _kept(looks: Iterable[LookOrder]) -> list[Looked]:
    return [taken(read_looked, one.kept) for one in looks]


def _answers(forest: Any, looked: Sequence[Looked]) -> list[Answered]:
    return [answered(one, scores_of(forest, one.rows)) for one in looked]


def _on_line(one: Answered, line: Line) -> Answered:
    return Answered(
        name=one.name,
        outcome=calibrated_outcome(one.outcome, line),
        counted=one.counted,
        volumes=(),
        scores=tuple(line.of(one.scores)),
        right=one.right,
    )
