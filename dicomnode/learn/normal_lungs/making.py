"""The whole way: normal patients, cells of their lungs, a mixture, what is usual, an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Float32
from dicomnode.engine import EnginePackage
from dicomnode.faults import NORMALS_TOO_FEW, NodeError
from dicomnode.learn.drawn.workers import Workers
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
from dicomnode.learn.normal_lungs.package import exported, write_engine
from dicomnode.learn.normal_lungs.scans import ScanOrder, Seen, make_seen, read_seen
from dicomnode.values import Progress, no_progress

SCANNING: Final = "scanning normal patients"
LEARNING: Final = "learning what is usual"
_LEAST: Final = 3  # normal scans with lungs, to learn from and to say what is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeNormal:
    """What came of it. normals: scores of normal scans, each by what is usual of the others, rising."""

    package: EnginePackage
    normals: tuple[float, ...]


def make_normal(order: NormalOrder, progress: Progress = no_progress) -> MadeNormal:
    """Learn what is usual and write the engine; scans of an earlier try are used again.

    Raises NodeError: SEED_RESERVED, NORMALS_TOO_FEW, TRAIN_MISSING, PLANTED_WORKER_ENDED, and what
    `write_draft` raises.
    """
    trained, calibrated = order.scans(order.trained), order.scans(order.calibrated)
    wanted = [*trained, *calibrated]
    with Workers(order.workers) as workers:
        progress(SCANNING, 0, len(wanted))
        for number, _ in enumerate(workers.answers(make_seen, wanted)):
            progress(SCANNING, number + 1, len(wanted))
    progress(LEARNING, 0, 2)
    cells = [numbers_of(one) for one in _with_lungs(trained)]
    share = order.cells // max(len(cells), 1)
    mixture = fit_mixture(
        np.concatenate([some_of(one, share, n) for n, one in enumerate(_enough(cells))]),
        order.parts,
        order.seed,
    )
    progress(LEARNING, 1, 2)
    usual_cells = [numbers_of(one) for one in _with_lungs(calibrated)]
    ends = ends_of(mixture, np.concatenate(_enough(usual_cells)))
    reach = reach_of(mixture, ends, _with_lungs(calibrated))
    normals = scores_left_out(ends, reach)
    content = exported(Unusual(mixture, usual_of(ends, reach)))
    progress(LEARNING, 2, 2)
    return MadeNormal(package=write_engine(content, order, normals), normals=normals)


def _with_lungs(orders: Sequence[ScanOrder]) -> Iterator[Seen]:
    for order in orders:
        seen = read_seen(order.kept)
        if seen is not None:
            yield seen


def _enough(scans: Sequence[Float32]) -> Sequence[Float32]:
    if len(scans) < _LEAST:
        raise NodeError(NORMALS_TOO_FEW, found=len(scans), least=_LEAST)
    return scans
