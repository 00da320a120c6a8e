"""Forests as ONNX: operators of ai.onnx.ml, which ONNX Runtime alone has, on any machine."""

from __future__ import annotations

from typing import Final

_OPERATORS: Final = b"TreeEnsemble"  # TreeEnsemble, TreeEnsembleClassifier, TreeEnsembleRegressor


def is_forest(content: bytes) -> bool:
    """Tell whether an ONNX file holds trees: no plan is made of it, and no runtime of a GPU is tried."""
    return _OPERATORS in content
