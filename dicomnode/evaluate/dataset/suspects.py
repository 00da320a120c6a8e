"""Labels that are worth a second look: the data themselves speak against them.

Confident learning: Northcutt, Jiang, Chuang, Journal of Artificial Intelligence Research 70 (2021). The
probabilities must be of a model that has not seen the case: out of fold, or an engine on held-out studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.dataset.table import FeatureTable
from dicomnode.evaluate.outcomes import ClassificationResult
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.values.geometry import Float64

_FOLDS: Final = 5
_LEAST: Final = 2  # patients of a class, below which no fold can leave one out and know the others


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSuspect:
    """A case (index) whose label is doubted. given: its label; likelier: what it seems to be.

    probability: of the given label, out of sample, 0 to 1; of the other one: `likelier_probability`.
    """

    case: int
    given: str
    likelier: str
    probability: float
    likelier_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """What was found, the most doubtful first; or, where nothing could be told, why. asked: cases judged."""

    found: tuple[LabelSuspect, ...]
    asked: int
    reason: str = ""


def confident_suspects(
    given: Sequence[str], probabilities: Float64, labels: Sequence[str]
) -> tuple[LabelSuspect, ...]:
    """Apply the rule of confident learning. probabilities: float (cases, labels), out of sample.

    A class is confidently held of a case where its probability reaches the mean that the class has among the
    cases labelled so (equation 2 there); of several such classes the likeliest counts. A case is a suspect
    where that is another class than its label. Order: by the probability of the label, lowest first.
    Raises ValueError where shapes do not fit, or a label is none of `labels`.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.shape != (len(given), len(labels)):
        raise ValueError(f"{len(given)} cases of {len(labels)} labels, got {scores.shape}")
    index = {label: n for n, label in enumerate(labels)}
    unknown = sorted(set(given) - set(index))
    if unknown:
        raise ValueError(f"labels {unknown!r} are none of {tuple(labels)!r}")
    own = np.array([index[one] for one in given], dtype=np.intp)
    held = _confident(scores, own)
    found = []
    for case in (int(n) for n in np.flatnonzero(held.any(axis=1))):
        best = int(np.argmax(np.where(held[case], scores[case], -1.0)))
        if best != own[case]:
            found.append(
                LabelSuspect(
                    case=case,
                    given=given[case],
                    likelier=labels[best],
                    probability=float(scores[case, own[case]]),
                    likelier_probability=float(scores[case, best]),
                )
            )
    return tuple(sorted(found, key=lambda one: (one.probability, -one.likelier_probability, one.case)))


def feature_suspects(table: FeatureTable, given: Sequence[str | None], seed: int = 0) -> Suspects:
    """Doubt labels by features: a logistic regression tells each patient from all the others.

    given: of each case its label, None where there is none; those are not judged. Patients are whole in a
    fold. Needs scikit-learn (NodeError: EVALUATE_MISSING). Raises ValueError on another number of labels.
    """
    if len(given) != len(table.cases):
        raise ValueError(f"{len(table.cases)} cases, but {len(given)} labels")
    rows = np.array([n for n, label in enumerate(given) if label is not None], dtype=np.intp)
    known = [label for label in given if label is not None]
    labels = sorted(set(known))
    patients = np.array(table.patients, dtype=np.str_)[rows]
    folds = min((len({*patients[np.array(known) == label]}) for label in labels), default=0)
    if len(labels) < 2:
        return Suspects(found=(), asked=0, reason="labels are doubted where there are two and more classes")
    if folds < _LEAST:
        return Suspects(
            found=(), asked=0, reason="a class has one patient only: nothing is left to learn from"
        )
    features = table.standardised()[rows]
    if not features.shape[1]:
        return Suspects(found=(), asked=0, reason="no feature varies")
    scores = _out_of_fold(features, known, patients, min(folds, _FOLDS), seed)
    judged = np.flatnonzero(~np.isnan(scores[:, 0]))
    found = confident_suspects([known[n] for n in judged], scores[judged], labels)
    return Suspects(found=tuple(_renumbered(one, rows[judged]) for one in found), asked=len(judged))


def answer_suspects(result: ClassificationResult) -> Suspects:
    """Doubt labels by an engine's own scores: only where it has not been trained on these studies."""
    cases = [one for one in result.cases if len(one.scores) == len(result.labels)]
    if not cases:
        return Suspects(found=(), asked=0, reason="there is no score of each class")
    scores = np.array([one.scores for one in cases], dtype=np.float64)
    found = confident_suspects([one.truth for one in cases], scores, result.labels)
    rows = np.array([n for n, one in enumerate(result.cases) if len(one.scores) == len(result.labels)])
    return Suspects(found=tuple(_renumbered(one, rows) for one in found), asked=len(cases))


def _confident(scores: Float64, own: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which classes reach their threshold (cases, labels); a class without a case of its own never does."""
    thresholds = np.full(scores.shape[1], np.inf)
    for label in np.unique(own):
        thresholds[label] = scores[own == label, label].mean()
    held: NDArray[np.bool_] = scores >= thresholds
    return held


def _out_of_fold(
    features: Float64, known: Sequence[str], patients: NDArray[np.str_], folds: int, seed: int
) -> Float64:
    """Probabilities (cases, labels) by models that have not seen the patient; NaN where none could."""
    need_scikit_learn("Doubting labels")
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 (of an extra)
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    truth = np.array(known, dtype=np.str_)
    labels = sorted(set(known))
    scores = np.full((len(truth), len(labels)), np.nan)
    split = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for learn, ask in split.split(features, truth, patients):
        if set(truth[learn]) == set(labels):
            model = LogisticRegression(max_iter=2000).fit(features[learn], truth[learn])
            scores[ask] = model.predict_proba(features[ask])
    return scores


def _renumbered(one: LabelSuspect, rows: NDArray[np.intp]) -> LabelSuspect:
    return LabelSuspect(
        case=int(rows[one.case]),
        given=one.given,
        likelier=one.likelier,
        probability=one.probability,
        likelier_probability=one.likelier_probability,
    )
