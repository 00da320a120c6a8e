"""A trained head as ONNX, held against scikit-learn's own numbers on the cases that it is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dicomnode.faults import HEAD_DIFFERS, HEAD_NOT_EXPORTED, NOT_CONVERTIBLE, TRAIN_MISSING, NodeError
from dicomnode.learn.convert.sklearn_child import OUTPUTS, expected_of, onnx_of, run_onnx
from dicomnode.learn.heads.cases import Float32

LARGEST_DIFFERENCE: Final = 1e-5
"""Of probabilities, and of an anomaly score as a part of the largest one (where that is above 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedHead:
    """A head as ONNX: input "row", float32 (n, features). output: the name of what is read.

    apart: the largest difference from scikit-learn on the `cases` that both were run on. low, high: smallest
    and largest feature of these.
    """

    name: str
    content: bytes
    output: str
    apart: float
    cases: int
    low: float
    high: float


def export_head(name: str, model: Any, values: Float32, kind: str = "classes") -> ExportedHead:
    """Write a head of scikit-learn as ONNX and run both on `values`, float32 (cases, features).

    kind: "classes" or "anomaly". Raises NodeError: HEAD_NOT_EXPORTED, HEAD_DIFFERS, TRAIN_MISSING.
    """
    try:
        from dicomnode.learn.heads.balanced import register_for_onnx  # noqa: PLC0415

        register_for_onnx()
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what=f"exporting {name}", package="skl2onnx", error=error) from error
    try:
        content = onnx_of(model, values.shape[1], kind, name)
    except NodeError as error:
        if error.fault is not NOT_CONVERTIBLE:
            raise
        reason = error.values.get("reason")
        raise NodeError(HEAD_NOT_EXPORTED, head=name, reason=reason) from error
    wanted, given = expected_of(model, values, kind), run_onnx(content, values, name)
    if given.shape != wanted.shape:
        raise NodeError(HEAD_DIFFERS, head=name, difference=f"it gives {given.shape} and not {wanted.shape}")
    apart = np.abs(given - wanted) / max(1.0, float(np.abs(wanted).max()))
    largest = float(apart.max())
    if not largest <= LARGEST_DIFFERENCE:  # not a number is no agreement
        many = int(np.count_nonzero(~(apart.max(axis=1) <= LARGEST_DIFFERENCE)))
        difference = f"by up to {largest:.3g} in {many} of {len(values)} cases"
        raise NodeError(HEAD_DIFFERS, head=name, difference=difference)
    return ExportedHead(
        name=name,
        content=content,
        output=OUTPUTS[kind],
        apart=largest,
        cases=len(values),
        low=float(values.min()),
        high=float(values.max()),
    )
