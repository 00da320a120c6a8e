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
from dicomnode.learn.classical.package import Judged, write_forest
from dicomnode.learn.planted.calibration import Line, calibrated_outcome, fit_line, threshold_for
from dicomnode.learn.planted.exams import Answered
from dicomnode.learn.planted.figures import Table, table_of
from dicomnode.learn.planted.making import WorldOrder, make_world
from dicomnode.learn.planted.procedural import world_of
from dicomnode.learn.planted.workers import Workers
from dicomnode.learn.planted.world import World
from dicomnode.values import Progress, no_progress

WORLDS: Final = "drawing patients"
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
    order: ForestOrder,
    progress: Progress = no_progress,
    draw: Callable[[int], World] = world_of,
) -> MadeForest:
    """Train a forest and write its engine; what an earlier try has drawn and looked at is used again.

    Raises NodeError: SEED_RESERVED, FOREST_TOO_FEW, TRAIN_MISSING, RUN_NOT_WRITTEN, PLANTED_WORKER_ENDED,
    and what `write_draft` raises.
    """
    with Workers(order.workers) as workers:
        seeds = (*order.trained, *order.calibrated, *order.held_out)
        worlds = [WorldOrder(seed, order.world(seed), draw) for seed in seeds]
        _each(workers, make_world, worlds, (WORLDS, progress))
        looks = [
            list(order.looks(order.trained, order.plantings)),
            list(order.looks(order.calibrated)),
            list(order.looks(order.held_out)),
        ]
        _each(workers, make_looked, [one for some in looks for one in some], (LOOKING, progress))
    trained, calibrated, held_out = (_kept(some) for some in looks)
    lessons = lessons_of(trained)
    if min(int(lessons.nodule.sum()), int((~lessons.nodule).sum())) < _LEAST:
        raise NodeError(FOREST_TOO_FEW, nodules=int(lessons.nodule.sum()), least=_LEAST)
    forest = train_forest(lessons, order.trees, order.seed, order.threads)
    line, threshold = _calibration(_answers(forest, calibrated))
    content = exported_forest(forest, line, lessons.rows[:2000])
    answers = [_on_line(one, line) for one in _answers(forest, held_out)]
    table = table_of(answers, threshold, order.seed)
    curve = froc([one.outcome for one in answers])
    judged = Judged(table=table, candidates=curve, line=line, lessons=lessons)
    package = write_forest(content, order, judged)
    return MadeForest(package=package, lessons=lessons, line=line, table=table, candidates=curve)


def _each(
    workers: Workers,
    function: Callable[[Any], str],
    orders: Sequence[Any],
    told: tuple[str, Progress],
) -> None:
    stage, progress = told
    progress(stage, 0, len(orders))
    for number, _ in enumerate(workers.answers(function, orders)):
        progress(stage, number + 1, len(orders))


def _kept(looks: Iterable[LookOrder]) -> list[Looked]:
    found = [read_looked(one.kept) for one in looks]
    return [one for one in found if one is not None]


def _answers(forest: Any, looked: Sequence[Looked]) -> list[Answered]:
    return [answered(one, scores_of(forest, one.rows)) for one in looked]


def _calibration(answers: Sequence[Answered]) -> tuple[Line, float]:
    """Fit the line, and set the threshold for one false alarm a scan."""
    scores = [score for one in answers for score in one.scores]
    line = fit_line(scores, [right for one in answers for right in one.right])
    return line, threshold_for([calibrated_outcome(one.outcome, line) for one in answers])


def _on_line(one: Answered, line: Line) -> Answered:
    return Answered(
        name=one.name,
        outcome=calibrated_outcome(one.outcome, line),
        counted=one.counted,
        volumes=(),
        scores=tuple(line.of(one.scores)),
        right=one.right,
    )
