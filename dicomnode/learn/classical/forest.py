"""A forest that tells nodules among candidates: trees on their rows, then a line that makes probabilities.

Extremely randomised trees (Geurts, Ernst and Wehenkel, Machine Learning 63 (2006) 3). Candidates weigh alike,
so that most of the probability that a leaf tells is right already; what is left to mend does Platt's line,
fitted on worlds that no tree has seen. Both stand in one graph of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate import match_candidates, study_outcome
from dicomnode.faults import TRAIN_MISSING, NodeError
from dicomnode.learn.classical.looked import Looked
from dicomnode.learn.heads.exported import export_head
from dicomnode.learn.planted.calibration import Line
from dicomnode.learn.planted.exams import Answered
from dicomnode.values import Float64

OUTPUT: Final = "calibrated"
"""Of the graph: float32 (n, 2), no nodule and nodule."""

NODULE: Final = 1
"""The channel of a nodule."""

_LEAVES: Final = 160  # of a tree
_LEAST: Final = 3  # candidates of a leaf
_FEATURES: Final = 0.35  # part of the numbers that a split may choose from
_LOWEST: Final = 1e-6  # probability of what no leaf has seen a nodule in

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """What trees learn from: rows float32 (n, names), and whether each is a nodule, bool (n,)."""

    rows: Float32
    nodule: NDArray[np.bool_]


def lessons_of(looked: Sequence[Looked]) -> Lessons:
    """Take the candidates of exams; those on what is to be ignored teach nothing."""
    rows, nodule = [], []
    for one in looked:
        hit, wrong = sorted_candidates(one)
        chosen = [*hit, *wrong]
        rows.append(one.rows[chosen])
        nodule.append(np.arange(len(chosen)) < len(hit))
    return Lessons(rows=np.concatenate(rows), nodule=np.concatenate(nodule))


def sorted_candidates(looked: Looked) -> tuple[list[int], list[int]]:
    """Return which candidates are on a nodule that counts, and which on nothing, by `evaluate`'s rules."""
    found = [(_point(at), 1.0 / (1 + n)) for n, at in enumerate(looked.centres_lps_mm)]
    matching = match_candidates(found, looked.truths)
    return sorted({*(hit.found for hit in matching.hits), *matching.repeats}), list(matching.false_positives)


def train_forest(lessons: Lessons, trees: int, seed: int, threads: int) -> Any:
    """Train it; equal arguments give equal trees. Raises NodeError(TRAIN_MISSING)."""
    try:
        from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415  of an extra
    except ImportError as error:
        what, package = "training the forest", "scikit-learn"
        raise NodeError(TRAIN_MISSING, what=what, package=package, error=error) from error
    forest = ExtraTreesClassifier(
        n_estimators=trees,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_LEAST,
        max_features=_FEATURES,
        random_state=seed,
        n_jobs=threads,
    )
    return forest.fit(lessons.rows, lessons.nodule)


def scores_of(forest: Any, rows: Float32) -> Float64:
    """Return what the trees say, float64 (n,), of each candidate: before any line."""
    if not len(rows):
        return np.zeros(0)
    said: Float64 = np.asarray(forest.predict_proba(rows), dtype=np.float64)[:, NODULE]
    return np.clip(said, _LOWEST, 1.0 - _LOWEST)


def answered(looked: Looked, scores: Float64) -> Answered:
    """Say what was found in an exam whose candidates have these scores."""
    found = [(_point(at), float(score)) for at, score in zip(looked.centres_lps_mm, scores, strict=True)]
    matching = match_candidates(found, looked.truths)
    counts = [*((hit.score, True) for hit in matching.hits)]
    counts += [(found[n][1], False) for n in matching.false_positives]
    return Answered(
        name=looked.name,
        outcome=study_outcome(found, looked.truths),
        counted=tuple(one for one in looked.truths if not one.ignore),
        volumes=(),
        scores=tuple(score for score, _ in counts),
        right=tuple(right for _, right in counts),
    )


def _point(at: Any) -> tuple[float, float, float]:
    x, y, z = (float(one) for one in at)
    return x, y, z


def exported_forest(forest: Any, line: Line, rows: Float32) -> bytes:
    """Write trees and line as ONNX; the trees are held against scikit-learn's on `rows`.

    Raises NodeError: HEAD_NOT_EXPORTED, HEAD_DIFFERS, TRAIN_MISSING.
    """
    from onnx import TensorProto, helper, load_from_string  # noqa: PLC0415  heavy
    from onnx import numpy_helper as arrays  # noqa: PLC0415

    made = export_head("forest", forest, rows)
    model = load_from_string(made.content)
    graph = model.graph
    numbers = {
        "low": np.float32(_LOWEST),
        "high": np.float32(1.0 - _LOWEST),
        "one": np.float32(1.0),
        "slope": np.float32(line.slope),
        "offset": np.float32(line.offset),
        "starts": np.array([1], dtype=np.int64),
        "ends": np.array([2], dtype=np.int64),
        "axes": np.array([1], dtype=np.int64),
    }
    graph.initializer.extend(arrays.from_array(np.asarray(v), f"line_{k}") for k, v in numbers.items())
    nodes = (
        ("Slice", [made.output, "line_starts", "line_ends", "line_axes"], "said"),
        ("Clip", ["said", "line_low", "line_high"], "clipped"),
        ("Sub", ["line_one", "clipped"], "rest"),
        ("Div", ["clipped", "rest"], "odds"),
        ("Log", ["odds"], "logit"),
        ("Mul", ["logit", "line_slope"], "sloped"),
        ("Add", ["sloped", "line_offset"], "moved"),
        ("Sigmoid", ["moved"], "nodule"),
        ("Sub", ["line_one", "nodule"], "nothing"),
    )
    graph.node.extend(helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes)
    graph.node.append(helper.make_node("Concat", ["nothing", "nodule"], [OUTPUT], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 2]))
    content: bytes = model.SerializeToString()
    return content
