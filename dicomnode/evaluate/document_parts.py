"""The JSON of what all documents are made of: figures, intervals, cases, data; absent means null."""

from __future__ import annotations

from typing import Any

from dicomnode.evaluate.evaluation import DataFacts
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Interval, Resampling
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.values import Code

Document = dict[str, Any]


def figure_document(figure: Figure) -> Document:
    """One figure: value, or null with the reason."""
    return {
        "name": figure.name,
        "label": figure.label,
        "value": figure.value,
        "reason": figure.reason or None,
        "part": figure.part,
        "whole": figure.whole,
    }


def interval_document(interval: Interval) -> Document:
    """A figure with its interval, and how it was drawn."""
    return {
        **figure_document(interval.figure),
        "low": interval.low,
        "high": interval.high,
        "standard_error": interval.standard_error,
        "level": interval.level,
        "method": str(interval.method),
        "resamples": interval.resamples,
        "undefined": interval.undefined,
        "patients": interval.patients,
        "seed": interval.seed,
        "remarks": list(interval.remarks),
    }


def case_document(case: CaseName) -> Document:
    """Which case: the patient is a number within the data."""
    return {
        "patient": case.patient,
        "study_instance_uid": case.study_instance_uid,
        "series_instance_uid": case.series_instance_uid or None,
        "lesion": case.lesion or None,
        "place": case.place or None,
    }


def data_document(data: DataFacts) -> Document:
    """Which studies."""
    return {
        "studies": data.studies,
        "patients": data.patients,
        "synthetic": data.synthetic,
        "part": data.part or None,
        "parts": dict(data.parts),
        "annotations": data.annotations,
        "labels": data.labels or None,
        "set_aside": dict(sorted(data.set_aside.items())),
        "digest": data.digest or None,
    }


def resampling_document(how: Resampling) -> Document:
    """How intervals were drawn."""
    return {"method": str(how.method), "resamples": how.resamples, "level": how.level, "seed": how.seed}


def code_document(code: Code) -> Document:
    """A code and what it means."""
    return {"code": code.value, "scheme": code.scheme, "meaning": code.meaning}
