"""Precision: an fp32 network as fp16, bf16, int8 or fp8 ONNX, and how far the results agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.precision.agreement import Agreement
    from dicomnode.engine.precision.calibration import (
        Calibration,
        calibration_folder,
        site_calibration,
        site_folder,
    )
    from dicomnode.engine.precision.conversion import PRECISIONS, ConversionReport, conversion_of, convert

_HOMES = {
    "agreement": ("Agreement",),
    "calibration": ("Calibration", "calibration_folder", "site_calibration", "site_folder"),
    "conversion": ("PRECISIONS", "ConversionReport", "conversion_of", "convert"),
}

__all__ = [
    "PRECISIONS",
    "Agreement",
    "Calibration",
    "ConversionReport",
    "calibration_folder",
    "conversion_of",
    "convert",
    "site_calibration",
    "site_folder",
]

__getattr__ = lazy_face(__name__, _HOMES)
