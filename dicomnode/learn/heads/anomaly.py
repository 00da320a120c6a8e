"""Detectors of what is not normal: trained on features of normal cases alone, with a threshold by quantile.

Isolation forest: Liu, Ting and Zhou, ICDM 2008. Local outlier factor: Breunig and others, SIGMOD 2000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from dicomnode.evaluate import Interval, Resampling, ScoredCases, bootstrap_interval, roc_auc
from dicomnode.faults import LABEL_COLUMN_WRONG, TOO_FEW_PATIENTS, NodeError
from dicomnode.learn.heads.cases import Cases
from dicomnode.learn.heads.kinds import require_sklearn
from dicomnode.learn.heads.nested import Rows, Search
from dicomnode.values import Float64
from dicomnode.values.geometry import read_only

QUANTILES: Final = 101
"""So many evenly spaced quantiles of the scores of normal cases stand in engine.toml."""

_FEWEST_NEIGHBOURS: Final = 20  # of the local outlier factor; fewer where there are fewer normal cases


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorKind:
    """One kind of detector; make: trees, seed, normal cases → an unfitted estimator of scikit-learn."""

    name: str
    title: str
    make: Callable[[int, int, int], Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnomalyHead:
    """A trained detector.

    scores: float64 (cases,), higher is stranger; of a normal case by a detector that was trained without its
    patient, of any other by the one that is kept. normals: quantiles of the scores of normal cases.
    threshold: its `quantile`. area: of telling the others from the normal ones; None where all are normal.
    """

    kind: DetectorKind
    model: Any
    scores: Float64
    normals: tuple[float, ...]
    quantile: float
    threshold: float
    area: Interval | None


def _isolation(trees: int, seed: int, _cases: int) -> Any:
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415

    return IsolationForest(n_estimators=trees, random_state=seed)


def _outlier_factor(_trees: int, _seed: int, cases: int) -> Any:
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415
    from sklearn.pipeline import Pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    neighbours = max(1, min(_FEWEST_NEIGHBOURS, cases - 1))
    factor = LocalOutlierFactor(n_neighbors=neighbours, novelty=True)
    return Pipeline([("scale", StandardScaler()), ("head", factor)])  # it lives by distances


DETECTORS: Final[Mapping[str, DetectorKind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            DetectorKind(name="isolation-forest", title="isolation forest", make=_isolation),
            DetectorKind(name="outlier-factor", title="local outlier factor", make=_outlier_factor),
        )
    }
)


def train_detector(
    kind: DetectorKind,
    cases: Cases,
    normal: str,
    search: Search,
    *,
    quantile: float = 0.95,
    resampling: Resampling | None = None,
) -> AnomalyHead:
    """Train a detector on the cases of the class `normal`; judge it on these out of fold, and on the others.

    Raises NodeError: TRAIN_MISSING, LABEL_COLUMN_WRONG where no case is normal, TOO_FEW_PATIENTS.
    """
    require_sklearn(f"training the detector {kind.name}")
    is_normal = _normal(cases, normal)
    rows = np.flatnonzero(is_normal)
    scores = np.empty(len(is_normal), dtype=np.float64)
    for trained, judged in _parts(cases, rows, search):
        model = kind.make(search.trees, search.seed, len(trained)).fit(cases.values[trained])
        scores[judged] = -model.decision_function(cases.values[judged])
    model = kind.make(search.trees, search.seed, len(rows)).fit(cases.values[rows])
    others = np.flatnonzero(~is_normal)
    if others.size:
        scores[others] = -model.decision_function(cases.values[others])
    normals = np.quantile(scores[rows], np.linspace(0.0, 1.0, QUANTILES))
    read_only(scores)
    return AnomalyHead(
        kind=kind,
        model=model,
        scores=scores,
        normals=tuple(float(one) for one in normals),
        quantile=quantile,
        threshold=float(np.interp(quantile, np.linspace(0.0, 1.0, QUANTILES), normals)),
        area=_area(cases, ~is_normal, scores, resampling) if others.size else None,
    )


def _normal(cases: Cases, normal: str) -> Any:
    if normal not in cases.classes:
        known = ", ".join(cases.classes)
        raise NodeError(
            LABEL_COLUMN_WRONG,
            column="--normal",
            path="the table",
            problem=f"no row is {normal!r}, they are {known}",
        )
    return cases.truth == cases.classes.index(normal)


def _parts(cases: Cases, rows: Rows, search: Search) -> list[tuple[Rows, Rows]]:
    """Cut the normal cases by patient; each part is judged by a detector of the others."""
    from sklearn.model_selection import GroupKFold  # noqa: PLC0415

    patients = cases.patients[rows]
    found = len(set(patients))
    if found < search.folds:
        raise NodeError(
            TOO_FEW_PATIENTS, what="What is normal", found=found, folds=search.folds, needed=search.folds
        )
    cutter = GroupKFold(n_splits=search.folds, shuffle=True, random_state=search.seed)
    return [(rows[a], rows[b]) for a, b in cutter.split(rows.reshape(-1, 1), groups=patients)]


def _area(cases: Cases, strange: Any, scores: Float64, resampling: Resampling | None) -> Interval:
    scored = ScoredCases(truth=strange, scores=scores)
    return bootstrap_interval(list(cases.patients), lambda rows: roc_auc(scored.take(rows)), resampling)
