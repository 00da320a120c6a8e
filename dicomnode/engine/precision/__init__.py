"""Precision: an fp32 network as fp16, bf16, int8 or fp8 ONNX, and how far the results agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.precision.agreement import Agreement
    from dicomnode.engine.precision.calibration import Calibration
    from dicomnode.engine.precision.conversion import PRECISIONS, ConversionReport, conversion_of, convert

_HOMES = {
    "agreement": ("Agreement",),
    "calibration": ("Calibration",),
    "conversion": ("PRECISIONS", "ConversionReport", "conversion_of", "convert"),
}

__all__ = ["PRECISIONS", "Agreement", "Calibration", "ConversionReport", "conversion_of", "convert"]

__getattr__ = lazy_face(__name__, _HOMES)
