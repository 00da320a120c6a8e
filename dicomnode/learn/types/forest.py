"""A forest that tells the type of a nodule from its numbers, and how its answers become probabilities.

Extremely randomised trees (Geurts, Ernst and Wehenkel, Machine Learning 63 (2006) 3) in which types weigh
alike, however many of each were found. Patients have some types far more often than others: on patients that
no tree has seen, a slope and an offset for each type are fitted to the logarithms of what the trees say, with
each nodule weighing as its type is usual. Both stand in one graph of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import TRAIN_MISSING, NodeError
from dicomnode.learn.heads.exported import export_head
from dicomnode.learn.types.chests import KINDS, USUAL
from dicomnode.learn.types.found import PROFILE, Float32, Found
from dicomnode.values import Float64

OUTPUT: Final = "calibrated"
"""Of the graph: float32 (n, types), in the order of `KINDS`."""

_LEAST: Final = 3  # lesions of a leaf
_FEATURES: Final = 0.35  # part of the numbers that a split may choose from
_LOWEST: Final = 1e-3  # what the trees say of a type that none of them has seen
_HOLD: Final = 0.5  # how much an offset is held to 0: few of a type say little of it
_FEW: Final = 5  # lesions of each type, below which nothing is fitted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """Lesions that lie on nodules: rows float32 (n, names of `PROFILE`), types int (n,), whose each is."""

    rows: Float32
    types: NDArray[np.intp]
    seeds: tuple[int, ...]
    diameters_mm: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """Probabilities = softmax of slope · log of what the trees say + offset of each type.

    fitted: whether there was enough to fit it to; else it changes nothing.
    """

    slope: float = 1.0
    offsets: tuple[float, ...] = (0.0,) * len(KINDS)
    fitted: bool = False

    def of(self, said: Float64) -> Float64:
        """Return the probabilities, float64 (n, types), of what the trees say."""
        scaled = self.slope * np.log(np.clip(said, _LOWEST, 1.0)) + np.array(self.offsets)
        raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        found: Float64 = raised / raised.sum(axis=1, keepdims=True)
        return found


def lessons_of(some: Sequence[Found]) -> Lessons:
    """Take the lesions that lie on a nodule; what lies on nothing has no type."""
    rows, types, seeds, sizes = [np.zeros((0, len(PROFILE.names)), dtype=np.float32)], [], [], []
    for one in some:
        on = [n for n, kind in enumerate(one.kinds) if kind in KINDS]
        rows.append(one.rows[on])
        types += [KINDS.index(one.kinds[n]) for n in on]
        seeds += [one.seed] * len(on)
        sizes += [one.diameters_mm[n] for n in on]
    return Lessons(
        rows=np.concatenate(rows),
        types=np.array(types, dtype=np.intp),
        seeds=tuple(seeds),
        diameters_mm=tuple(sizes),
    )


def train_forest(lessons: Lessons, trees: int, seed: int, threads: int) -> Any:
    """Train it; equal arguments give equal trees. Raises NodeError(TRAIN_MISSING)."""
    try:
        from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415  of an extra
    except ImportError as error:
        what, package = "training the forest", "scikit-learn"
        raise NodeError(TRAIN_MISSING, what=what, package=package, error=error) from error
    forest = ExtraTreesClassifier(
        n_estimators=trees,
        min_samples_leaf=_LEAST,
        max_features=_FEATURES,
        class_weight="balanced",
        random_state=seed,
        n_jobs=threads,
    )
    return forest.fit(lessons.rows, lessons.types)


def said_of(forest: Any, rows: Float32) -> Float64:
    """Return what the trees say, float64 (n, types)."""
    if not len(rows):
        return np.zeros((0, len(KINDS)))
    said: Float64 = np.asarray(forest.predict_proba(rows), dtype=np.float64)
    return said


def usual_weights(types: NDArray[np.intp]) -> Float64:
    """Return how much each lesion weighs so that types are as frequent as they usually are; mean 1."""
    counts = np.bincount(types, minlength=len(KINDS))
    shares = np.array([USUAL[kind] for kind in KINDS])
    weights: Float64 = shares[types] / counts[types]
    return weights * (len(types) / max(float(weights.sum()), 1e-12))


def fit_softmax(said: Float64, types: NDArray[np.intp]) -> Softmax:
    """Fit slope and offsets by the likelihood of the true types; too few of one type fit nothing."""
    if np.bincount(types, minlength=len(KINDS)).min() < _FEW:
        return Softmax()
    from scipy.optimize import minimize  # noqa: PLC0415  with it comes much

    logs, weights = np.log(np.clip(said, _LOWEST, 1.0)), usual_weights(types)
    usual = np.log(np.array([USUAL[kind] for kind in KINDS]))
    usual = usual - usual.mean()  # what alone would follow from how frequent types are
    rows = np.arange(len(types))

    def loss(of: Float64) -> float:
        scaled = of[0] * logs + of[1:]
        top = scaled.max(axis=1, keepdims=True)
        norm = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
        held = _HOLD * float(((of[1:] - usual) ** 2).sum())
        return float((weights * (norm - scaled[rows, types])).sum()) + held

    bounds = [(0.1, 5.0), *[(-6.0, 6.0)] * len(KINDS)]
    found = minimize(loss, np.array([1.0, *usual]), method="L-BFGS-B", bounds=bounds)
    slope, *offsets = (round(float(one), 6) for one in found.x)
    return Softmax(slope=slope, offsets=tuple(offsets), fitted=True)


def exported_forest(forest: Any, softmax: Softmax, rows: Float32) -> bytes:
    """Write trees and what follows as ONNX; the trees are held against scikit-learn's on `rows`.

    Raises NodeError: HEAD_NOT_EXPORTED, HEAD_DIFFERS, TRAIN_MISSING.
    """
    from onnx import TensorProto, helper, load_from_string  # noqa: PLC0415  heavy
    from onnx import numpy_helper as arrays  # noqa: PLC0415

    made = export_head("forest", forest, rows)
    model = load_from_string(made.content)
    graph = model.graph
    numbers = {
        "low": np.float32(_LOWEST),
        "high": np.float32(1.0),
        "slope": np.float32(softmax.slope),
        "offsets": np.array([softmax.offsets], dtype=np.float32),
    }
    graph.initializer.extend(arrays.from_array(np.asarray(v), f"line_{k}") for k, v in numbers.items())
    graph.node.extend(
        [
            helper.make_node("Clip", [made.output, "line_low", "line_high"], ["clipped"]),
            helper.make_node("Log", ["clipped"], ["logs"]),
            helper.make_node("Mul", ["logs", "line_slope"], ["sloped"]),
            helper.make_node("Add", ["sloped", "line_offsets"], ["moved"]),
            helper.make_node("Softmax", ["moved"], [OUTPUT], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, len(KINDS)]))
    content: bytes = model.SerializeToString()
    return content
