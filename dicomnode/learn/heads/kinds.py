"""The heads that are tried, each with what is searched of it: a table. Classes weigh alike in all of them.

`class_weight="balanced"` is the one default that is right: a rare class counts as much as a frequent one
(King and Zeng, Political Analysis 9 (2001)); so scores are no calibrated probabilities, and engines say so.
Trees see features as they are: a scaler in front of them in another precision would move their thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from dicomnode.faults import TRAIN_MISSING, NodeError

Splits = Sequence[tuple[Any, Any]]
"""Rows to train on and rows to judge, a pair a part; patients are never on both sides."""

_BALANCED: Final = "balanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadKind:
    """One kind of head.

    make: an unfitted estimator of scikit-learn; trees: how many trees a forest has; seed: of what is random.
    grid: what the search tries. finish: what is done to the estimator with the parameters that were found,
    when it needs parts of its own rows: calibration, stacking; these parts never share a patient.
    """

    name: str
    title: str
    make: Callable[[int, int], Any]
    grid: Mapping[str, tuple[Any, ...]]
    finish: Callable[[Any, Splits], Any] | None = None


def require_sklearn(what: str) -> None:
    """Refuse where scikit-learn is not installed: NodeError(TRAIN_MISSING)."""
    try:
        import sklearn  # noqa: F401, PLC0415
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what=what, package="scikit-learn", error=error) from error


def _scaled(last: Any) -> Any:
    from sklearn.pipeline import Pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    return Pipeline([("scale", StandardScaler()), ("head", last)])


def _logistic(_seed: int, _trees: int) -> Any:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    return _scaled(LogisticRegression(class_weight=_BALANCED, max_iter=10_000))


def _svm(_seed: int, _trees: int) -> Any:
    from sklearn.svm import SVC  # noqa: PLC0415

    return _scaled(SVC(class_weight=_BALANCED, kernel="rbf"))


def _tree(seed: int, _trees: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    return DecisionTreeClassifier(class_weight=_BALANCED, random_state=seed)


def _forest(seed: int, trees: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415

    return RandomForestClassifier(n_estimators=trees, class_weight=_BALANCED, random_state=seed)


def _boosting(seed: int, trees: int) -> Any:
    from dicomnode.learn.heads.balanced import BalancedGradientBoosting  # noqa: PLC0415

    return BalancedGradientBoosting(n_estimators=max(trees // 2, 1), subsample=0.8, random_state=seed)


def _members(seed: int, trees: int) -> list[tuple[str, Any]]:
    return [
        ("logistic", _logistic(seed, trees)),
        ("forest", _forest(seed, trees)),
        ("boosting", _boosting(seed, trees)),
    ]


def _voting(seed: int, trees: int) -> Any:
    from sklearn.ensemble import VotingClassifier  # noqa: PLC0415

    return VotingClassifier(_members(seed, trees), voting="soft")


def _stacking(seed: int, trees: int) -> Any:
    from sklearn.ensemble import StackingClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    last = LogisticRegression(class_weight=_BALANCED, max_iter=10_000)
    return StackingClassifier(_members(seed, trees), last, stack_method="predict_proba")


def _calibrated(estimator: Any, splits: Splits) -> Any:
    """Make distances of a support vector machine probabilities: a sigmoid on parts that it has not seen.

    Platt, Advances in Large Margin Classifiers (1999). The scaler stays in front: it knows no classes.
    """
    from sklearn.calibration import CalibratedClassifierCV  # noqa: PLC0415

    last = CalibratedClassifierCV(
        estimator.named_steps["head"], method="sigmoid", cv=list(splits), ensemble=False
    )
    return estimator.set_params(head=last)


def _weighted(estimator: Any, _splits: Splits) -> Any:
    """Give the weights of votes as an array: skl2onnx takes no tuple."""
    import numpy as np  # noqa: PLC0415

    weights = estimator.weights
    return estimator if weights is None else estimator.set_params(weights=np.asarray(weights, dtype=float))


def _stacked(estimator: Any, splits: Splits) -> Any:
    return estimator.set_params(cv=list(splits))


def _table(*kinds: HeadKind) -> Mapping[str, HeadKind]:
    return MappingProxyType({kind.name: kind for kind in kinds})


HEADS: Final[Mapping[str, HeadKind]] = _table(
    HeadKind(
        name="logistic",
        title="logistic regression",
        make=_logistic,
        grid={"head__C": (0.001, 0.01, 0.1, 1.0, 10.0)},
    ),
    HeadKind(
        name="svm",
        title="support vector machine",
        make=_svm,
        grid={"head__C": (0.1, 1.0, 10.0, 100.0), "head__gamma": ("scale", 0.001, 0.01, 0.1)},
        finish=_calibrated,
    ),
    HeadKind(
        name="tree",
        title="decision tree",
        make=_tree,
        grid={"max_depth": (1, 2, 3, 5), "min_samples_leaf": (1, 3, 10)},
    ),
    HeadKind(
        name="forest",
        title="random forest",
        make=_forest,
        grid={"max_depth": (3, None), "min_samples_leaf": (1, 3)},
    ),
    HeadKind(
        name="boosting",
        title="gradient boosting",
        make=_boosting,
        grid={"learning_rate": (0.03, 0.1), "max_depth": (1, 3)},
    ),
    HeadKind(
        name="voting",
        title="mean of logistic regression, forest and boosting",
        make=_voting,
        grid={"weights": (None, (2, 1, 1), (1, 2, 1), (1, 1, 2))},
        finish=_weighted,
    ),
    HeadKind(
        name="stacking",
        title="logistic regression on logistic regression, forest and boosting",
        make=_stacking,
        grid={},
        finish=_stacked,
    ),
)
