"""The whole way: patients, what the engine finds in them, trees, probabilities, figures, an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.engine import EnginePackage, load_package
from dicomnode.faults import TYPES_NO_LESIONS, TYPES_TOO_FEW, NodeError
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.types.chests import KINDS, scan_of
from dicomnode.learn.types.figures import Judged, TypeTable, planted_of, table_of
from dicomnode.learn.types.forest import (
    Lessons,
    Softmax,
    exported_forest,
    fit_softmax,
    lessons_of,
    said_of,
    train_forest,
)
from dicomnode.learn.types.found import (
    NOTHING,
    Float32,
    Found,
    LookOrder,
    ScanOf,
    lesions_step,
    make_found,
    read_found,
)
from dicomnode.learn.types.order import LEARNED_PART, TypesOrder
from dicomnode.learn.types.package import write_types
from dicomnode.values import Progress, no_progress

LOOKING: Final = "looking at patients"
_LEAST: Final = 5  # lesions of each type that trees are grown on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeTypes:
    """What came of it. table: on the held-out patients."""

    package: EnginePackage
    lessons: Lessons
    softmax: Softmax
    table: TypeTable


def make_types(order: TypesOrder, progress: Progress = no_progress, draw: ScanOf = scan_of) -> MadeTypes:
    """Train and write the engine; what an earlier try has looked at is used again.

    Raises NodeError: TYPES_NO_LESIONS, TYPES_TOO_FEW, SEED_RESERVED, TRAIN_MISSING, PLANTED_WORKER_ENDED, and
    as `load_package`, an engine that runs, and `write_draft`.
    """
    given = load_package(order.engine)
    if lesions_step(given.manifest) is None:
        raise NodeError(TYPES_NO_LESIONS, engine=given.manifest.name)
    looks = [
        list(order.looks(order.trained, given.digest, LEARNED_PART, draw)),
        list(order.looks(order.calibrated, given.digest, 1.0, draw)),
        list(order.looks(order.held_out, given.digest, 1.0, draw)),
    ]
    _look(order, [one for some in looks for one in some], progress)
    trained, calibrated, held_out = (_kept(some) for some in looks)
    lessons, others = lessons_of(trained), lessons_of(calibrated)
    counts = np.bincount(lessons.types, minlength=len(KINDS))
    if counts.min() < _LEAST:
        kind = KINDS[int(counts.argmin())]
        raise NodeError(TYPES_TOO_FEW, kind=kind, found=int(counts.min()), least=_LEAST)
    forest = train_forest(lessons, order.trees, order.seed, order.threads)
    softmax = fit_softmax(said_of(forest, others.rows), others.types)
    known = lessons_of(held_out)
    judged = Judged(
        lessons=known,
        probabilities=softmax.of(said_of(forest, known.rows)),
        of_alarms=softmax.of(said_of(forest, _alarms(held_out))),
        planted=planted_of([kind for one in held_out for kind, _ in one.planted]),
    )
    table = table_of(judged, order.sure, order.seed)
    content = exported_forest(forest, softmax, lessons.rows)
    package = write_types(content, given, order, (lessons, softmax, table))
    return MadeTypes(package=package, lessons=lessons, softmax=softmax, table=table)


def _look(order: TypesOrder, looks: Sequence[LookOrder], progress: Progress) -> None:
    progress(LOOKING, 0, len(looks))
    with Workers(order.workers) as workers:
        for number, _ in enumerate(workers.answers(make_found, looks), start=1):
            progress(LOOKING, number, len(looks))


def _kept(looks: Sequence[LookOrder]) -> list[Found]:
    found = [read_found(one) for one in looks]
    return [one for one in found if one is not None]


def _alarms(some: Sequence[Found]) -> Float32:
    """Return the rows of what was found on nothing."""
    rows = [one.rows[[n for n, kind in enumerate(one.kinds) if kind == NOTHING]] for one in some]
    return np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
