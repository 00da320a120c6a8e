"""The finished engine on cases that it has never seen: the service's analyst runs it, not the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from dicomnode import __version__
from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import EnginePackage
from dicomnode.evaluate import Figure, FigureOf, Interval, Resampling, bootstrap_interval
from dicomnode.evaluate.cases import Rows
from dicomnode.faults import CASE_LEFT_OUT, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.values import Findings, Outcome, Picture, Refusal, RemarkKind, Volume

_SALT: Final = b"dicomnode train: held out"  # of tracking UIDs that nobody keeps
_RESAMPLES: Final = 1000

Seen = tuple[Case, Volume | Picture, Findings]


def run_engine(
    package: EnginePackage, cases: Sequence[Case], made_at: datetime, threads: int, missed: list[Refusal]
) -> Iterator[Seen]:
    """Analyse each case; what cannot be analysed is put into `missed` with the reason, and counted."""
    name = package.manifest.input[0].name
    with closing(Analyst(package, threads=threads, node_version=__version__)) as analyst:
        for case in cases:
            try:
                images = case.load()
                every = {name: images, **case.load_beside()}
                analysis = Analysis(volumes=every, salt=_SALT, study_version=1, made_at=made_at)
                findings = analyst.analyse(analysis)
            except NodeError as error:
                missed.append(case.left_out(error))
                continue
            if findings.outcome is Outcome.NOT_ANALYSED:
                missed.append(CASE_LEFT_OUT.refusal(case=case.files, reason=_why(findings)))
                continue
            yield case, images, findings


def _why(findings: Findings) -> str:
    texts = [one.text for one in findings.remarks if one.kind == RemarkKind.NOT_ANALYSED]
    return " ".join(texts).rstrip(".") or "it was not analysed"


def mean_interval(name: str, patients: Sequence[str], values: Sequence[float], seed: int) -> Interval:
    """Return the mean of one value a case with its interval by patient."""
    numbers = np.asarray(values, dtype=np.float64)
    return interval_of(name, patients, lambda rows: float(numbers[rows].mean()), seed)


def interval_of(
    name: str, patients: Sequence[str], value_of: Callable[[Rows], float | None], seed: int
) -> Interval:
    """Return a figure with its interval; value_of gives None where it is not defined for those cases."""

    def figure(rows: Rows) -> Figure:
        value = value_of(rows)
        if value is None:
            return Figure(name=name, value=None, reason="it is not defined for these cases")
        return Figure(name=name, value=value)

    return figure_interval(patients, figure, seed)


def share_interval(
    name: str, patients: Sequence[str], of: ArrayLike, right: ArrayLike, seed: int
) -> Interval:
    """Return how many of some cases are right, with the counts: a share of 1 has an interval, too.

    of, right: bool (cases,); a right one that is not one of those asked about does not count.
    """
    asked, good = np.asarray(of, dtype=bool), np.asarray(right, dtype=bool)

    def figure(rows: Rows) -> Figure:
        whole, part = int(asked[rows].sum()), int((asked & good)[rows].sum())
        if not whole:
            return Figure(name=name, value=None, reason="it is not defined for these cases")
        return Figure(name=name, value=part / whole, part=part, whole=whole)

    return figure_interval(patients, figure, seed)


def figure_interval(patients: Sequence[str], figure: FigureOf, seed: int) -> Interval:
    """Return a figure of an evaluation with its interval by patient."""
    return bootstrap_interval(patients, figure, Resampling(resamples=_RESAMPLES, seed=seed))
