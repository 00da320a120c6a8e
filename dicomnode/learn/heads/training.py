"""All heads on one table: judged by nested cross-validation, the winner trained on all, and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dicomnode.evaluate import Resampling
from dicomnode.evaluate.data import Part, kept_split
from dicomnode.learn.heads.cases import Cases
from dicomnode.learn.heads.compared import Comparison, OtherScores, compare_heads
from dicomnode.learn.heads.exported import ExportedHead, export_head
from dicomnode.learn.heads.kinds import HeadKind
from dicomnode.learn.heads.nested import FittedHead, Rows, Search, fit_head, judge_out_of_fold
from dicomnode.values import Progress, no_progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedHeads:
    """What came of all heads.

    nested: on the patients that may teach, each judged by heads that have not seen it. tested: on those that
    were kept apart, by heads of all the others; None without a split. head: the chosen one, exported.
    parameters: what the search chose for each head on all that may teach.
    """

    cases: Cases
    nested: Comparison
    tested: Comparison | None
    head: ExportedHead
    kind: HeadKind
    parameters: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsPlan:
    """How heads are trained.

    kinds: that are tried. chosen: the name of the one that is exported; None: the one that leads by nested
    cross-validation, never by the tested patients. split: a file that says who is kept apart; it is made
    where it is missing, and extended by new patients; None: nobody is.
    """

    kinds: Sequence[HeadKind]
    search: Search
    chosen: str | None = None
    split: Path | None = None
    resampling: Resampling | None = None


def train_heads(
    cases: Cases,
    plan: HeadsPlan,
    beside: Sequence[OtherScores] = (),
    progress: Progress = no_progress,
) -> TrainedHeads:
    """Judge heads, train them on all patients that may teach, and export one of them.

    beside: scores of something else on all cases, which are judged with them. Raises NodeError:
    TRAIN_MISSING, TOO_FEW_PATIENTS, HEAD_NOT_EXPORTED, HEAD_DIFFERS, and as `kept_split`.
    """
    kinds, search, resampling = plan.kinds, plan.search, plan.resampling
    teach, test = _parts(cases, plan.split, search.seed)
    taught = cases_at(cases, teach)
    outs = [judge_out_of_fold(kind, taught, search, progress) for kind in kinds]
    others = [OtherScores(name=o.kind.name, title=o.kind.title, probabilities=o.probabilities) for o in outs]
    nested = compare_heads(taught, [*others, *_at(beside, teach)], resampling)
    names = [kind.name for kind in kinds]
    wanted = plan.chosen or next(head.name for head in nested.heads if head.name in names)
    # Without patients that were kept apart only the one that is exported need be trained on all
    fitted = {
        kind.name: fit_head(kind, taught, np.arange(len(taught.truth)), search)
        for kind in kinds
        if test.size or kind.name == wanted
    }
    return TrainedHeads(
        cases=cases,
        nested=nested,
        tested=_tested(cases_at(cases, test), fitted, _at(beside, test), resampling) if test.size else None,
        head=export_head(wanted, fitted[wanted].model, cases.values),
        kind=fitted[wanted].kind,
        parameters={name: head.parameters for name, head in fitted.items()},
    )


def cases_at(cases: Cases, rows: Rows) -> Cases:
    """Return some of the cases; classes stay those of all."""
    return replace(
        cases,
        rows=tuple(cases.rows[n] for n in rows),
        values=cases.values[rows].copy(),
        truth=cases.truth[rows].copy(),
    )


def _parts(cases: Cases, split: Path | None, seed: int) -> tuple[Rows, Rows]:
    """Return the rows that teach and those that are kept apart."""
    every = np.arange(len(cases.truth))
    if split is None:
        return every, every[:0]
    strata = {row.patient: cases.classes[truth] for row, truth in zip(cases.rows, cases.truth, strict=True)}
    kept = kept_split(split, strata, seed=None if split.exists() else seed)
    apart = np.array([kept.parts[row.patient] is Part.TEST for row in cases.rows], dtype=bool)
    return every[~apart], every[apart]


def _at(others: Sequence[OtherScores], rows: Rows) -> list[OtherScores]:
    return [replace(one, probabilities=one.probabilities[rows]) for one in others]


def _tested(
    cases: Cases,
    fitted: Mapping[str, FittedHead],
    beside: Sequence[OtherScores],
    resampling: Resampling | None,
) -> Comparison:
    others = [
        OtherScores(name=name, title=one.kind.title, probabilities=one.model.predict_proba(cases.values))
        for name, one in fitted.items()
    ]
    return compare_heads(cases, [*others, *beside], resampling)
