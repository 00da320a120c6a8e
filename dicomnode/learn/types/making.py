"""The whole way: patients, what the engine finds in them, trees, probabilities, figures, an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.engine import EnginePackage, load_package
from dicomnode.faults import TYPES_NO_LESIONS, TYPES_TOO_FEW, NodeError
from dicomnode.learn.drawn.course import begun, each, made_at_once
from dicomnode.learn.drawn.kept import there
from dicomnode.learn.drawn.state import Watch
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.types.card import TypesCard, section_of
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
from dicomnode.learn.types.found import NOTHING, Float32, Found, ScanOf, lesions_step, make_found, read_found
from dicomnode.learn.types.order import FOUND_FOLDER, LEARNED_PART, TypesOrder
from dicomnode.learn.types.package import write_types

LOOKING: Final = "looking at patients"
_LEAST: Final = 5  # lesions of each type that trees are grown on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeTypes:
    """What came of it. table: on the held-out patients."""

    package: EnginePackage
    lessons: Lessons
    softmax: Softmax
    table: TypeTable


def make_types(order: TypesOrder, watch: Watch | None = None, draw: ScanOf = scan_of) -> MadeTypes:
    """Train and write the engine; what an earlier try has looked at is used again.

    Raises NodeError: TYPES_NO_LESIONS, TYPES_TOO_FEW, SEED_RESERVED, TRAIN_MISSING, RUN_TAKEN, RUN_DIFFERS,
    RUN_NOT_WRITTEN, PLANTED_WORKER_ENDED, and as `load_package`, an engine that runs, and `write_draft`.
    """
    watch, seeds, given = watch or Watch(), order.seeds, load_package(order.engine)
    if lesions_step(given.manifest) is None:
        raise NodeError(TYPES_NO_LESIONS, engine=given.manifest.name)
    with begun(order, order.digest(given.digest), FOUND_FOLDER), Workers(order.workers) as workers:
        looks = [
            list(order.looks(seeds.trained, given.digest, LEARNED_PART, draw)),
            list(order.looks(seeds.calibrated, given.digest, 1.0, draw)),
            list(order.looks(seeds.judged, given.digest, 1.0, draw)),
        ]
        each(workers, make_found, [one for some in looks for one in some], LOOKING, watch.progress)
        trained, calibrated, held_out = ([there(read_found(one), one.kept) for one in some] for some in looks)
        return _made(order, given, (trained, calibrated, held_out), watch)


def _made(
    order: TypesOrder, given: EnginePackage, found: tuple[list[Found], list[Found], list[Found]], watch: Watch
) -> MadeTypes:
    """Grow trees, and write the engine. found: in whom it learns from, is calibrated and judged on."""
    since, held_out = watch.clock(), found[2]
    lessons, others, known = (lessons_of(some) for some in found)
    counts = np.bincount(lessons.types, minlength=len(KINDS))
    if counts.min() < _LEAST:
        kind = KINDS[int(counts.argmin())]
        raise NodeError(TYPES_TOO_FEW, kind=kind, found=int(counts.min()), least=_LEAST)
    forest = train_forest(lessons, order.trees, order.seed, order.threads)
    softmax = fit_softmax(said_of(forest, others.rows), others.types)
    judged = Judged(
        patients=len(held_out),
        lessons=known,
        probabilities=softmax.of(said_of(forest, known.rows)),
        of_alarms=softmax.of(said_of(forest, _alarms(held_out))),
        planted=planted_of([kind for one in held_out for kind, _ in one.planted]),
    )
    table = table_of(judged, order.sure, order.seed)
    content = exported_forest(forest, softmax, lessons.rows)
    told = TypesCard(
        given=given,
        lessons=lessons,
        calibrated=others,
        softmax=softmax,
        table=table,
        unmeasured=sum(one.unmeasured for some in found for one in some),
    )
    section = section_of(made_at_once(order, watch.clock() - since), order, told, content)
    package = write_types(content, given, order, section, calibrated=softmax.fitted)
    return MadeTypes(package=package, lessons=lessons, softmax=softmax, table=table)


def _alarms(some: Sequence[Found]) -> Float32:
    """Return the rows of what was found on nothing."""
    rows = [one.rows[[n for n, kind in enumerate(one.kinds) if kind == NOTHING]] for one in some]
    return np.concatenate(rows) if rows else np.zeros((0, 0), dtype=np.float32)
