"""The whole way: normal patients, cells of their lungs, a mixture, what is usual, an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Float32
from dicomnode.engine import EnginePackage
from dicomnode.faults import NORMALS_TOO_FEW, NodeError
from dicomnode.learn.drawn.course import begun, each, made_at_once
from dicomnode.learn.drawn.engine import write_engine
from dicomnode.learn.drawn.kept import taken
from dicomnode.learn.drawn.state import Watch
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.normal_lungs.card import NormalCard, card_of
from dicomnode.learn.normal_lungs.density import (
    ends_of,
    fit_mixture,
    numbers_of,
    reach_of,
    scores_left_out,
    some_of,
    usual_of,
)
from dicomnode.learn.normal_lungs.network import Unusual
from dicomnode.learn.normal_lungs.order import NormalOrder
from dicomnode.learn.normal_lungs.package import NETWORK_FILE, QUANTILE, engine_table, exported
from dicomnode.learn.normal_lungs.scans import SCANS_FOLDER, ScanOrder, Seen, make_seen, read_seen

SCANNING: Final = "scanning normal patients"
LEARNING: Final = "learning what is usual"
_LEAST: Final = 3  # normal scans with lungs, to learn from and to say what is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeNormal:
    """What came of it. normals: scores of normal scans, each by what is usual of the others, rising."""

    package: EnginePackage
    normals: tuple[float, ...]


def make_normal(order: NormalOrder, watch: Watch | None = None) -> MadeNormal:
    """Learn what is usual and write the engine; scans of an earlier try are used again.

    Raises NodeError: SEED_RESERVED, NORMALS_TOO_FEW, TRAIN_MISSING, RUN_TAKEN, RUN_DIFFERS, RUN_NOT_WRITTEN,
    PLANTED_WORKER_ENDED, and what `write_draft` raises.
    """
    watch, seeds = watch or Watch(), order.seeds
    wanted = [order.scans(some) for some in (seeds.trained, seeds.calibrated)]
    with begun(order, order.digest, SCANS_FOLDER), Workers(order.workers) as workers:
        each(workers, make_seen, [one for some in wanted for one in some], SCANNING, watch.progress)
        return _made(order, wanted[0], wanted[1], watch)


def _made(
    order: NormalOrder, trained: Sequence[ScanOrder], calibrated: Sequence[ScanOrder], watch: Watch
) -> MadeNormal:
    """Learn, and write the engine."""
    since = watch.clock()
    watch.progress(LEARNING, 0, 2)
    cells = _enough([numbers_of(one) for one in _with_lungs(trained)])
    share = order.cells // len(cells)
    some = np.concatenate([some_of(one, share, n) for n, one in enumerate(cells)])
    mixture = fit_mixture(some, order.parts, order.seed, order.threads)
    watch.progress(LEARNING, 1, 2)
    usual_cells = _enough([numbers_of(one) for one in _with_lungs(calibrated)])
    ends = ends_of(mixture, np.concatenate(usual_cells))
    reach = reach_of(mixture, ends, _with_lungs(calibrated))
    normals = scores_left_out(ends, reach)
    content = exported(Unusual(mixture, usual_of(ends, reach)))
    watch.progress(LEARNING, 2, 2)
    made = made_at_once(order, watch.clock() - since)
    told = NormalCard(trained=len(cells), converged=mixture.converged, normals=normals, quantile=QUANTILE)
    card = card_of(made, order, told, content)
    package = write_engine(order, engine_table(order, normals), {NETWORK_FILE: content}, card, {})
    return MadeNormal(package=package, normals=normals)


def _with_lungs(orders: Sequence[ScanOrder]) -> Iterator[Seen]:
    """Read them one by one: all at once would take too much memory."""
    for order in orders:
        seen = taken(read_seen, order.kept).seen
        if seen is not None:
            yield seen


def _enough(scans: Sequence[Float32]) -> Sequence[Float32]:
    if len(scans) < _LEAST:
        raise NodeError(NORMALS_TOO_FEW, found=len(scans), least=_LEAST)
    return scans
