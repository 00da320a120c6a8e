"""A forest for each pattern: judged by nested cross-validation beside other heads and a rule; calibrated.

The rule is one number of the same row that a reader would look at, with a threshold of its own: what a forest
on all numbers is worth shows beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.faults import PATTERNS_TOO_FEW, NodeError
from dicomnode.learn.classical.forest import exported_forest
from dicomnode.learn.features import FeatureTable
from dicomnode.learn.heads import (
    HEADS,
    Cases,
    Search,
    cases_of,
    fit_head,
    judge_out_of_fold,
)
from dicomnode.learn.patterns.judging import Judged, best_threshold, judged
from dicomnode.learn.patterns.order import PatternsOrder
from dicomnode.learn.planted.calibration import Line, fit_line
from dicomnode.phantom.change import Disease
from dicomnode.values import Float64, Progress, no_progress

YES, NO = "yes", "no"
FOREST: Final = "forest"
RULE: Final = "rule"
COMPARED: Final = (FOREST, "logistic", "tree")
"""Heads that are judged on the same patients; the forest is the one that ships."""

RULES: Final[Mapping[Disease, str]] = MappingProxyType(
    {
        "emphysema": "below-950",
        "consolidation": "within_ml",
        "effusion": "wall_more_ml",
        "collapse": "upper_uneven_ml",
    }
)
"""The number of the row that a rule looks at; how far it is from 0, of what is less on either side."""

_FOLDS, _INNER = 5, 3
_LEAST: Final = 10  # patients with and without it, to cut into so many parts
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatternHead:
    """What tells one pattern. content: ONNX, trees and line. threshold: of the probability.

    nested: the heads and the rule, by name, on the patients that were learned from, each judged unseen.
    unseen: how many patients the line and the threshold were set on. rule_from: threshold of the rule.
    """

    pattern: Disease
    content: bytes
    line: Line
    threshold: float
    unseen: int
    nested: Mapping[str, Judged]
    rule_from: float


def train_pattern(
    pattern: Disease,
    tables: tuple[FeatureTable, FeatureTable],
    order: PatternsOrder,
    progress: Progress = no_progress,
) -> PatternHead:
    """Train the forest of a pattern. tables: of those it learns from, and of those to calibrate on.

    The line and the threshold are set on patients whom the trees that score them have not seen: those to
    calibrate on, and those of the table out of fold. Raises NodeError: PATTERNS_TOO_FEW, TRAIN_MISSING,
    HEAD_NOT_EXPORTED, HEAD_DIFFERS.
    """
    cases, others = _cases(tables[0], pattern, order.table), tables[1]
    search = Search(folds=_FOLDS, inner=_INNER, trees=order.trees, seed=order.seed)
    said = {
        name: judge_out_of_fold(HEADS[name], cases, search, progress).probabilities[:, 1] for name in COMPARED
    }
    scores = rule_scores(pattern, cases.names, cases.values)
    has = cases.truth == 1
    nested = {
        name: judged(pattern, (has, one), 0.5, probability=False, seed=order.seed)
        for name, one in {**said, RULE: scores}.items()
    }
    fitted = fit_head(HEADS[FOREST], cases, np.arange(len(cases.truth)), search)
    unseen = [*said[FOREST]]
    if others.rows:  # in none of those to calibrate on may lungs have been found
        unseen += [*fitted.model.predict_proba(others.values.astype(np.float32))[:, 1]]
    truth = [*has, *(one == YES for one in others.labels[pattern])]
    line = fit_line(unseen, truth)
    return PatternHead(
        pattern=pattern,
        content=exported_forest(fitted.model, line, cases.values),
        line=line,
        threshold=round(min(max(best_threshold(truth, line.of(unseen)), 0.01), 0.99), _DIGITS),
        unseen=len(unseen),
        nested=nested,
        rule_from=best_threshold(has, scores),
    )


def rule_scores(pattern: Disease, names: Sequence[str], values: np.ndarray) -> Float64:
    """Return what the rule of a pattern looks at, of rows (n, names)."""
    scores: Float64 = np.abs(np.asarray(values, dtype=np.float64)[:, list(names).index(RULES[pattern])])
    return scores


def _cases(table: FeatureTable, pattern: Disease, path: Path) -> Cases:
    found = min(table.labels[pattern].count(one) for one in (YES, NO))
    if found < _LEAST:
        raise NodeError(PATTERNS_TOO_FEW, pattern=pattern, found=found, least=_LEAST)
    return cases_of(table, pattern, path, YES)
