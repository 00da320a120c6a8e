"""Gradient boosting in which classes weigh alike: scikit-learn's own has no `class_weight`.

HistGradientBoostingClassifier has, but skl2onnx 1.20 writes numpy's booleans and protobuf refuses them. Loads
scikit-learn: import it only where a head is made.
"""

from __future__ import annotations

from typing import Any, Final

from sklearn.ensemble import GradientBoostingClassifier
from sklearn.utils.class_weight import compute_sample_weight

_ALIAS: Final = "DicomnodeBalancedGradientBoosting"


class BalancedGradientBoosting(GradientBoostingClassifier):  # type: ignore[misc]  # it has no types
    """Gradient boosting on trees; each row weighs as its class is rare, unless weights are given."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, monitor: Any = None) -> Any:  # noqa: N803
        """Train it; arguments as of scikit-learn."""
        weights = compute_sample_weight("balanced", y) if sample_weight is None else sample_weight
        return super().fit(X, y, sample_weight=weights, monitor=monitor)


def register_for_onnx() -> None:
    """Tell skl2onnx that it is written as what it is made of; a second time does nothing."""
    from skl2onnx import update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415
        calculate_linear_classifier_output_shapes,
    )
    from skl2onnx.operator_converters.gradient_boosting import (  # noqa: PLC0415
        convert_sklearn_gradient_boosting_classifier,
    )

    update_registered_converter(
        BalancedGradientBoosting,
        _ALIAS,
        calculate_linear_classifier_output_shapes,
        convert_sklearn_gradient_boosting_classifier,
        overwrite=True,
        options={
            "zipmap": [True, False, "columns"],
            "raw_scores": [True, False],
            "output_class_labels": [False, True],
            "nocl": [True, False],
        },
    )
