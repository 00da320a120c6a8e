"""Turns a scikit-learn model in a skops file into ONNX: the child of `sklearn`, under the limits of `child`.

A skops file says which types are in it. Only those that skops trusts by itself and classes of scikit-learn
are made; functions are none of them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import (
    BUNDLE_UNSAFE,
    EXPORT_DIFFERS,
    NETWORK_FAILED,
    NOT_CONVERTIBLE,
    SOURCE_INCOMPLETE,
    TRAIN_MISSING,
    NodeError,
)
from dicomnode.learn.convert.child import Answer, first_line, serve

KIND: Final = "skops file"
TOLERANCE: Final = 1e-5
# What skl2onnx calls the output that is read, and what is made of it
OUTPUTS: Final[Mapping[str, str]] = {
    "classes": "probabilities",
    "regression": "variable",
    "anomaly": "abnormality",
}
_SCORES: Final = "scores"  # of an outlier detector: large where a case is normal
_OPSETS: Final = {"": 17, "ai.onnx.ml": 3}
_ROWS: Final = 64  # of the seeded table that both are compared on
_SEED: Final = 20
_OUTLIERS: Final = ("IsolationForest", "LocalOutlierFactor", "OneClassSVM")
# Types of scikit-learn that hold arrays: trees, distances, neighbours
_OWN: Final = re.compile(r"sklearn(?:\.\w+)*\.[A-Z]\w*")


def convert(request: Mapping[str, Any], content: bytes) -> Answer:
    """Read the model, write it as ONNX and compare both."""
    source = request["source"]
    model = _loaded(content, source)
    kind = _kind(model, source)
    count = getattr(model, "n_features_in_", None)
    if not isinstance(count, int) or count < 1:
        raise NodeError(NOT_CONVERTIBLE, source=source, reason="it has not been trained")
    made = onnx_of(model, count, kind, source)
    table = _seeded_table(model, count)
    apart = _compare(model, made, table, kind, source)
    return {
        "kind": kind,
        "estimator": " → ".join(_names(model)),
        "features": [str(one) for one in getattr(model, "feature_names_in_", ())]
        or [f"f{n}" for n in range(count)],
        "classes": [str(one) for one in getattr(model, "classes_", ())] if kind == "classes" else [],
        "outputs": expected_of(model, table[:1], kind).shape[1],
        "low": float(table.min()),
        "high": float(table.max()),
        "apart": apart,
    }, made


def _loaded(content: bytes, source: str) -> Any:
    try:
        from skops import io  # noqa: PLC0415  heavy, as all libraries here
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what=f"reading {source}", package="skops", error=error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another version's models: their numbers are compared
            wanted = io.get_untrusted_types(data=content)
            _refuse_strange(wanted, source)
            return io.loads(content, trusted=wanted)
    except NodeError:
        raise
    except Exception as error:  # a made-up schema raises anything; whatever it is, the file is no model
        problem = f"skops cannot read it: {first_line(error)}"
        raise NodeError(SOURCE_INCOMPLETE, path=source, kind=KIND, problem=problem) from error


def _refuse_strange(wanted: Sequence[str], source: str) -> None:
    strange = [one for one in wanted if not _OWN.fullmatch(one)]
    if strange:
        reason = f"beside models of scikit-learn it wants {', '.join(strange)[:200]}"
        raise NodeError(BUNDLE_UNSAFE, path=source, reason=reason)


def _last(model: Any) -> Any:
    return model.steps[-1][1] if hasattr(model, "steps") else model


def _names(model: Any) -> list[str]:
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    return [type(step).__name__ for step in steps]


def _kind(model: Any, source: str) -> str:
    """Tell what a model gives: "classes", "regression" or "anomaly"."""
    from sklearn.base import BaseEstimator, is_classifier, is_regressor  # noqa: PLC0415

    name = type(_last(model)).__name__
    reason = f"{name} is neither a classifier, a regressor nor an outlier detector"
    if isinstance(model, BaseEstimator):
        if name in _OUTLIERS:
            if name != "LocalOutlierFactor" or _is_for_new_cases(_last(model)):
                return "anomaly"
            reason = "LocalOutlierFactor tells of new cases only where it was made with novelty=True"
        elif is_classifier(model):
            if hasattr(model, "predict_proba"):
                return "classes"
            reason = f"{name} gives no probabilities: wrap it in CalibratedClassifierCV and train that"
        elif is_regressor(model):
            return "regression"
    raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason)


def _is_for_new_cases(detector: Any) -> bool:
    """Whether LocalOutlierFactor was trained to judge cases that it has not seen."""
    return bool(detector.novelty)


def onnx_of(model: Any, count: int, kind: str, source: str) -> bytes:
    """Write the model as ONNX: float32, probabilities as one array, anomaly large where a case is strange."""
    try:
        from skl2onnx import to_onnx  # noqa: PLC0415
        from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415
        from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator  # noqa: PLC0415
    except ImportError as error:
        what = f"converting {source}"
        raise NodeError(TRAIN_MISSING, what=what, package="skl2onnx", error=error) from error
    missing = (MissingConverter, MissingShapeCalculator)
    last = _last(model)
    if hasattr(last, "flatten_transform"):
        last.flatten_transform = False  # of its votes, which are not read; the other has no ONNX
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = to_onnx(
                model,
                initial_types=[("row", FloatTensorType([None, count]))],
                target_opset=_OPSETS,
                options={id(last): {"zipmap": False}} if kind == "classes" else None,
            )
    except (*missing, NotImplementedError, RuntimeError, ValueError, TypeError, NameError) as error:
        reason = f"skl2onnx cannot write its {type(last).__name__}: {first_line(error)}"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason) from error
    if kind == "anomaly":
        _turned(made)
    keep = [one for one in made.graph.output if one.name == OUTPUTS[kind]]
    if len(keep) != 1:
        reason = f"its ONNX has no output {OUTPUTS[kind]}"
        raise NodeError(NOT_CONVERTIBLE, source=source, reason=reason)
    del made.graph.output[:]
    made.graph.output.extend(keep)
    content: bytes = made.SerializeToString()
    return content


def _turned(made: Any) -> None:
    """Add the negative of an outlier detector's scores, which are small where a case is strange."""
    from onnx import helper  # noqa: PLC0415

    scores = next(one for one in made.graph.output if one.name == _SCORES)
    made.graph.node.append(helper.make_node("Neg", [_SCORES], [OUTPUTS["anomaly"]]))
    turned = type(scores)()
    turned.CopyFrom(scores)
    turned.name = OUTPUTS["anomaly"]
    made.graph.output.append(turned)


def _seeded_table(model: Any, count: int) -> NDArray[np.float32]:
    """Make rows like those that the model knows where a scaler tells mean and spread, else about 0."""
    rows = np.random.default_rng(_SEED).normal(0.0, 1.0, (_ROWS, count))
    first = model.steps[0][1] if hasattr(model, "steps") else None
    mean, scale = getattr(first, "mean_", None), getattr(first, "scale_", None)
    if isinstance(mean, np.ndarray) and isinstance(scale, np.ndarray) and mean.shape == (count,):
        rows = mean + rows * scale
    return rows.astype(np.float32)


def _compare(model: Any, content: bytes, table: NDArray[np.float32], kind: str, source: str) -> float:
    """Compare ONNX Runtime with scikit-learn; return the largest difference, of the largest number (1)."""
    wanted = expected_of(model, table, kind)
    given = run_onnx(content, table, source)
    if given.shape != wanted.shape:
        difference = f"it gives {given.shape} and not {wanted.shape}"
        raise NodeError(EXPORT_DIFFERS, source=source, difference=difference)
    apart = float(np.abs(given - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
    if not apart <= TOLERANCE:  # not a number is no agreement
        raise NodeError(EXPORT_DIFFERS, source=source, difference=f"numbers differ by {apart:.3g}")
    return apart


def expected_of(model: Any, table: NDArray[np.float32], kind: str) -> NDArray[np.float64]:
    """Return what scikit-learn itself gives, float64 (rows, numbers); a detector's is large where strange."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "classes":
            numbers = model.predict_proba(table)
        else:
            numbers = -model.decision_function(table) if kind == "anomaly" else model.predict(table)
    return np.asarray(numbers, dtype=np.float64).reshape(len(table), -1)


def run_onnx(content: bytes, table: NDArray[np.float32], source: str) -> NDArray[np.float64]:
    """Return what the network gives in ONNX Runtime, float64 (rows, numbers). Raises NodeError."""
    from dicomnode.engine.runtimes.contract import Network, Reason  # noqa: PLC0415
    from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime  # noqa: PLC0415

    runtime = OnnxRuntime()
    capability = runtime.probe(1)
    if isinstance(capability, Reason):
        raise NodeError(NETWORK_FAILED, engine=source, error=capability.text)
    session = runtime.load(Network(engine=source, file="model.onnx", content=content), capability)
    try:
        (found,) = session.run({"row": table}).values()
    finally:
        session.close()
    return np.asarray(found, dtype=np.float64).reshape(len(table), -1)


if __name__ == "__main__":
    serve(convert)
