"""What a data set looks like: a map of its cases, groups, outliers, near duplicates, doubtful labels.

Groups: k-means, as many as the silhouette likes best (Rousseeuw, Journal of Computational and Applied
Mathematics 20, 1987). Outliers: local outlier factor (Breunig et al., SIGMOD 2000) and isolation forest (Liu
et al., ICDM 2008), where both say so. All on standardised features; all seeded.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.dataset.neighbours import NearDuplicate, near_duplicates
from dicomnode.evaluate.dataset.suspects import Suspects, feature_suspects
from dicomnode.evaluate.dataset.table import FeatureTable
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.values.geometry import Float64, read_only

LEAST: Final = 10
"""Cases below which neither groups nor outliers are looked for."""

GROUPS: Final = 8
"""Groups at most."""

STRUCTURE: Final = 0.25
"""A silhouette below this is no structure: Kaufman and Rousseeuw, Finding Groups in Data, 1990."""

LOCAL: Final = 1.5
"""Local outlier factor from which a case lies apart: 1 is as dense as its neighbours."""

ISOLATED: Final = 0.6
"""Score of the isolation forest from which a case lies apart: 0.5 is as any other, 1 is alone."""

_NEIGHBOURS: Final = 20
_TREES: Final = 100
_TYPICAL: Final = 6  # cases of a group that are shown
_COMPONENTS: Final = 10  # groups are looked for in so many components at most: distances mean little in more


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A case (index) that lies apart from the others, by both measures."""

    case: int
    local_outlier_factor: float
    isolation: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSetLook:
    """The look of a data set.

    places: float64 (cases, 2), along its first two principal components; () of fewer than three cases.
    explained: the part of the variance that each of both carries. groups: int (cases,), from 0; all 0 where
    there is one only. silhouette: of the groups, None where there is one. labels: "" where a case has none.
    by: what the features are, in words. middles: of each group the cases (indices) nearest to its middle.
    pictures: of each case, uint8 (rows, columns), () without.
    """

    cases: tuple[CaseName, ...]
    features: int
    places: Float64
    explained: tuple[float, ...]
    groups: NDArray[np.intp]
    silhouette: float | None
    outliers: tuple[Outlier, ...]
    duplicates: tuple[NearDuplicate, ...]
    labels: tuple[str, ...]
    suspects: Suspects
    remarks: tuple[str, ...]
    by: str = "greys, spacing and extent"
    middles: tuple[tuple[int, ...], ...] = ()
    pictures: tuple[NDArray[np.uint8], ...] = ()


def look_at(
    table: FeatureTable,
    labels: Sequence[str | None] | None = None,
    seed: int = 0,
    likeness: FeatureTable | None = None,
) -> DataSetLook:
    """Look at a data set by its features. labels: of each case, None where it has none.

    likeness: other features of the same cases, which near duplicates are looked for in: a network may give
    two different images the same features. Needs scikit-learn (NodeError: EVALUATE_MISSING). Raises
    ValueError on another number of labels.
    """
    need_scikit_learn("The look of a data set")
    many = len(table.cases)
    given = list(labels) if labels is not None else [None] * many
    suspects = feature_suspects(table, given, seed)
    features, remarks = table.standardised(), []
    if features.shape[1] < table.values.shape[1]:
        same = table.values.shape[1] - features.shape[1]
        remarks.append(f"{same} of {table.values.shape[1]} features never vary and were left out.")
    groups, silhouette = np.zeros(many, dtype=np.intp), None
    outliers: tuple[Outlier, ...] = ()
    middles: tuple[tuple[int, ...], ...] = ()
    with _one_thread():
        components, explained = _components(features)
        if many >= LEAST and features.shape[1]:
            groups, silhouette = _groups(components, seed)
            middles = _middles(components, groups)
            outliers = _outliers(features, seed)
    if many < LEAST:
        remarks.append(f"Groups and outliers are looked for from {LEAST} cases on; there are {many}.")
    elif not features.shape[1]:
        remarks.append("No feature varies: nothing tells the cases apart.")
    elif silhouette is None:
        remarks.append(f"No groups: no division has a silhouette of {STRUCTURE:g}.")
    places = components[:, :2].copy()
    for array in (places, groups):
        read_only(array)
    return DataSetLook(
        cases=table.cases,
        features=features.shape[1],
        places=places,
        explained=explained,
        groups=groups,
        silhouette=silhouette,
        outliers=outliers,
        duplicates=near_duplicates(table if likeness is None else likeness),
        labels=tuple(one or "" for one in given),
        suspects=suspects,
        remarks=tuple(remarks),
        middles=middles,
    )


def _middles(components: Float64, groups: NDArray[np.intp]) -> tuple[tuple[int, ...], ...]:
    """Return the cases nearest to the mean of each group, the nearest first; equal ones in their order."""
    found = []
    for n in range(int(groups.max()) + 1):
        own = np.flatnonzero(groups == n)
        away = np.linalg.norm(components[own] - components[own].mean(axis=0), axis=1)
        found.append(tuple(int(own[k]) for k in np.argsort(away.round(9), kind="stable")[:_TYPICAL]))
    return tuple(found)


def _one_thread() -> AbstractContextManager[object]:
    """Tables are small: threads only wait for one another, and add up in another order each time."""
    limited: AbstractContextManager[object] = import_module("threadpoolctl").threadpool_limits(limits=1)
    return limited


def _components(features: Float64) -> tuple[Float64, tuple[float, ...]]:
    """Principal components (cases, up to 10) and the part of the variance of the first two."""
    many = min(_COMPONENTS, features.shape[1], len(features) - 1)
    if len(features) < 3 or many < 1:
        return np.zeros((len(features), 2)), ()
    from sklearn.decomposition import PCA  # noqa: PLC0415 (of an extra)

    model = PCA(n_components=many, svd_solver="full")
    made = model.fit_transform(features)
    if many == 1:
        made = np.column_stack([made, np.zeros(len(made))])
    return made, tuple(float(one) for one in model.explained_variance_ratio_[:2])


def _groups(components: Float64, seed: int) -> tuple[NDArray[np.intp], float | None]:
    """The division of the best silhouette, groups by their size, and that silhouette; else one group."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 (of an extra)
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    best, best_groups = STRUCTURE, None
    different = len(np.unique(components.round(9), axis=0))  # rounding makes equal cases not quite equal
    for k in range(2, min(GROUPS, different - 1) + 1):
        found = KMeans(n_clusters=k, n_init=10, random_state=seed).fit_predict(components)
        value = float(silhouette_score(components, found))
        if value > best:
            best, best_groups = value, found
    if best_groups is None:
        return np.zeros(len(components), dtype=np.intp), None
    # Numbers by size, then by their first case: which number k-means gives says nothing
    counts = np.bincount(best_groups)
    first = [int(np.flatnonzero(best_groups == n)[0]) for n in range(len(counts))]
    order = sorted(range(len(counts)), key=lambda n: (-counts[n], first[n]))
    rank = np.empty(len(counts), dtype=np.intp)
    rank[order] = np.arange(len(counts))
    return rank[best_groups], best


def _outliers(features: Float64, seed: int) -> tuple[Outlier, ...]:
    """Cases that both measures set apart, the farthest first."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 (of an extra)
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415

    near = LocalOutlierFactor(n_neighbors=min(_NEIGHBOURS, len(features) // 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # equal cases: they are told as near duplicates
        near.fit(features)
    factors = -near.negative_outlier_factor_
    forest = IsolationForest(n_estimators=_TREES, random_state=seed).fit(features)
    isolation = -forest.score_samples(features)
    apart = np.flatnonzero((factors >= LOCAL) & (isolation >= ISOLATED))
    found = [
        Outlier(case=int(n), local_outlier_factor=float(factors[n]), isolation=float(isolation[n]))
        for n in apart
    ]
    return tuple(sorted(found, key=lambda one: (-one.local_outlier_factor, one.case)))
