"""Nested cross-validation by patient: parameters are chosen on parts that the judged patients are not in.

Choosing and judging on the same parts is too kind: Varma and Simon, BMC Bioinformatics 7 (2006) 91; Cawley
and Talbot, Journal of Machine Learning Research 11 (2010) 2079. Several rows of a patient stay together.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import TOO_FEW_PATIENTS, NodeError
from dicomnode.learn.heads.cases import Cases, Truth
from dicomnode.learn.heads.kinds import HeadKind, Splits, require_sklearn
from dicomnode.values import Float64, Progress, no_progress
from dicomnode.values.geometry import read_only

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How heads are trained and judged. Equal seeds give equal heads.

    folds: parts that are judged, each by a head of the others. inner: parts of the others that parameters are
    chosen on. method: "grid" tries all, "halving" drops the worse half on few rows first, for large tables.
    trees: of a forest. Raises ValueError below two parts, and where inner parts are more than the outer ones.
    """

    folds: int = 5
    inner: int = 3
    method: Literal["grid", "halving"] = "grid"
    trees: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.inner <= self.folds:
            raise ValueError(
                f"2 and more inner parts, not more than the outer ones: {self.inner}, {self.folds}"
            )
        if self.trees < 2:
            raise ValueError(f"a forest has 2 trees and more, got {self.trees}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedHead:
    """A trained head: the estimator of scikit-learn, what was chosen, and the mean score that chose it."""

    kind: HeadKind
    model: Any
    parameters: Mapping[str, Any]
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutOfFold:
    """What a head says of cases whose patients it has not seen.

    probabilities: float64 (cases, classes). fold: int (cases,), the part that each case was judged in.
    parameters: what was chosen for each part.
    """

    kind: HeadKind
    probabilities: Float64
    fold: Rows
    parameters: tuple[Mapping[str, Any], ...]


def outer_parts(cases: Cases, search: Search) -> tuple[Splits, Rows]:
    """Return the parts that are judged, by patient and with all classes in each, and the part of each case.

    Raises NodeError(TOO_FEW_PATIENTS).
    """
    cases.require_patients(search.folds)
    splits = grouped(cases.truth, cases.patients, search.folds, search.seed)
    fold = np.empty(len(cases.truth), dtype=np.intp)
    for number, (_, judged) in enumerate(splits):
        fold[judged] = number
    read_only(fold)
    return splits, fold


def grouped(truth: Truth, patients: NDArray[np.str_], folds: int, seed: int) -> Splits:
    """Cut rows into parts that share no patient, with about as many rows of each class.

    Raises NodeError(TOO_FEW_PATIENTS) where a class would be missing from what is trained on.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer rows than parts: looked at below
        cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        splits = [
            (np.asarray(a), np.asarray(b))
            for a, b in cutter.split(np.zeros((len(truth), 1)), truth, patients)
        ]
    classes = set(truth.tolist())
    for trained, judged in splits:
        if set(truth[trained].tolist()) != classes or not judged.size:
            found = min(len(set(patients[truth == one])) for one in classes)
            raise NodeError(
                TOO_FEW_PATIENTS, what="The rarest class", found=found, folds=folds, needed=2 * folds
            )
    return splits


def fit_head(kind: HeadKind, cases: Cases, rows: Rows, search: Search) -> FittedHead:
    """Choose the parameters of a head on some of the cases, and train it on all of these.

    Raises NodeError: TRAIN_MISSING, TOO_FEW_PATIENTS.
    """
    require_sklearn(f"training the head {kind.name}")
    values, truth, patients = cases.values[rows], cases.truth[rows], cases.patients[rows]
    model, chosen, score = kind.make(search.seed, search.trees), dict[str, Any](), None
    splits = grouped(truth, patients, search.inner, search.seed + 1)
    with _alike_everywhere():
        if kind.grid:
            searcher = _searcher(kind, model, splits, search)
            searcher.fit(values, truth)
            chosen, score = dict(searcher.best_params_), float(searcher.best_score_)
            model.set_params(**chosen)
        if kind.finish is not None:
            model = kind.finish(model, splits)
        model.fit(values, truth)
    return FittedHead(kind=kind, model=model, parameters=chosen, score=score)


@contextmanager
def _alike_everywhere() -> Iterator[None]:
    """Compute on one thread, so that sums do not hang on how many cores there are; warnings are not told.

    scikit-learn brings what limits them. Warnings are of parameters that do not converge: their score tells.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _searcher(kind: HeadKind, model: Any, splits: Splits, search: Search) -> Any:
    how: dict[str, Any] = {"scoring": score_of, "refit": False, "error_score": 0.0}
    grid = {name: list(values) for name, values in kind.grid.items()}
    if search.method == "grid":
        from sklearn.model_selection import GridSearchCV  # noqa: PLC0415

        return GridSearchCV(model, grid, cv=list(splits), **how)
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401, PLC0415
    from sklearn.model_selection import HalvingGridSearchCV, PredefinedSplit  # noqa: PLC0415

    fold = np.empty(sum(len(judged) for _, judged in splits), dtype=np.intp)
    for number, (_, judged) in enumerate(splits):
        fold[judged] = number
    return HalvingGridSearchCV(
        model, grid, cv=PredefinedSplit(fold), factor=2, random_state=search.seed, **how
    )


def score_of(model: Any, values: Any, truth: Any) -> float:
    """What parameters are chosen by: the area under the ROC curve, of several classes the balanced accuracy.

    0.5 where a part has one of two classes only: it tells nothing.
    """
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score  # noqa: PLC0415

    if len(model.classes_) > 2:
        return float(balanced_accuracy_score(truth, model.predict(values)))
    if len(np.unique(truth)) < 2:
        return 0.5
    if hasattr(model, "decision_function"):
        return float(roc_auc_score(truth, model.decision_function(values)))
    return float(roc_auc_score(truth, model.predict_proba(values)[:, 1]))


def judge_out_of_fold(
    kind: HeadKind, cases: Cases, search: Search, progress: Progress = no_progress
) -> OutOfFold:
    """Judge a head on all cases, each by one that was trained, and whose parameters were chosen, without it.

    Raises NodeError: TRAIN_MISSING, TOO_FEW_PATIENTS.
    """
    require_sklearn(f"training the head {kind.name}")
    splits, fold = outer_parts(cases, search)
    probabilities = np.full((len(cases.truth), len(cases.classes)), np.nan)
    chosen = []
    stage = f"head {kind.name}"
    for number, (trained, judged) in enumerate(splits):
        progress(stage, number, len(splits))
        fitted = fit_head(kind, cases, trained, search)
        probabilities[judged] = fitted.model.predict_proba(cases.values[judged])
        chosen.append(fitted.parameters)
    progress(stage, len(splits), len(splits))
    read_only(probabilities)
    return OutOfFold(kind=kind, probabilities=probabilities, fold=fold, parameters=tuple(chosen))
