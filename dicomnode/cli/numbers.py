"""The JSON of results that have no voxels of a segment: boxes, classes, numbers, maps, images, changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dicomnode.values import (
        Change,
        Classification,
        DerivedImage,
        FeatureVector,
        Findings,
        FrameScore,
        Grid,
        Measurement,
        Region,
        ScalarMap,
        Segment,
    )

_DIGITS: Final = 4  # as everywhere in the JSON
_FEATURE_DIGITS: Final = 7  # what a float32 holds


def region_document(findings: Findings, region: Region) -> dict[str, Any]:
    """Give a point or a box in patient space."""
    return {
        "kind": region.kind.value,
        "label": region.label,
        "engine": findings.provenance.engine,
        "score": None if region.score is None else round(region.score, _DIGITS),
        "calibrated": region.calibrated,
        "points_lps_mm": [[round(x, _DIGITS) for x in point] for point in region.points_lps_mm],
        "tracking_uid": region.tracking_uid,
        "measurements": {one.name: round(one.value, _DIGITS) for one in region.measurements},
        **answers_document(region),
    }


def answers_document(found: Segment | Region) -> dict[str, Any]:
    """Give what steps for each lesion said of one: its classes, and its features by their label."""
    return {
        "classes": [_classification(one) for one in found.classes],
        "features": [_features(one) for one in found.features],
    }


def _classification(one: Classification) -> dict[str, Any]:
    return {
        "label": one.label,
        "attribute": None if one.attribute is None else one.attribute.meaning,
        "probability": one.probability,
        "calibrated": one.calibrated,
        "threshold": one.threshold,
        "present": one.present,
        "probabilities": {each.label: each.probability for each in one.probabilities},
    }


def _measurement(one: Measurement) -> dict[str, Any]:
    return {
        "label": one.name,
        "value": round(one.value, _DIGITS),
        "unit": one.unit.value,
        "interval": None if one.interval is None else [round(end, _DIGITS) for end in one.interval],
        "interval_percent": one.interval_percent,
    }


def _map(one: ScalarMap) -> dict[str, Any]:
    return {"label": one.label, "unit": one.unit.value, **_field(one.values, one.grid)}


def _image(one: DerivedImage) -> dict[str, Any]:
    named = {"label": one.label, "description": one.description, "unit": one.unit.value}
    return {**named, **_field(one.values, one.grid)}


def _field(values: Any, grid: Grid) -> dict[str, Any]:
    return {
        "shape_kji": list(grid.shape_kji),
        "affine_lps": [[float(x) for x in row] for row in grid.affine_lps],
        "min": round(float(values.min()), _DIGITS),
        "max": round(float(values.max()), _DIGITS),
        "mean": round(float(values.mean(dtype="float64")), _DIGITS),
    }


def _features(one: FeatureVector) -> dict[str, Any]:
    values = (round(float(value), _FEATURE_DIGITS) for value in one.values)
    return {"label": one.label, "values": dict(zip(one.names, values, strict=True))}


def _frame(one: FrameScore) -> dict[str, Any]:
    return {
        "label": one.label,
        "k": one.k,
        "sop_instance_uid": one.frame.sop_instance_uid,
        "frame_number": one.frame.frame_number,
        "score": round(one.score, _DIGITS),
    }


def _change(one: Change) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "label": one.label,
        "centre_lps_mm": [round(x, _DIGITS) for x in one.centre_lps_mm],
        "earlier_volume_ml": _rounded(one.earlier_volume_mm3, 1000.0),
        "percent": _rounded(one.percent),
        "days": one.days,
        "doubling_days": _rounded(one.doubling_days),
    }


def _rounded(value: float | None, per: float = 1.0) -> float | None:
    return None if value is None else round(value / per, _DIGITS)


Kind = Callable[["Findings"], Sequence[Any]]
Row = Callable[[Any], dict[str, Any]]
# Key of the JSON → what of the Findings it lists, and how one entry is written
NUMBERS: Final[Mapping[str, tuple[Kind, Row]]] = {
    "classifications": (lambda findings: findings.classifications, _classification),
    "measurements": (lambda findings: findings.measurements, _measurement),
    "maps": (lambda findings: findings.maps, _map),
    "images": (lambda findings: findings.images, _image),
    "features": (lambda findings: findings.features, _features),
    "frame_scores": (lambda findings: findings.frame_scores, _frame),
    "changes": (lambda findings: findings.changes, _change),
}
