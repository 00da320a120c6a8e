"""The JSON of an evaluation: the same words as the values, lists in a stable order, absent means null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dicomnode.evaluate.calibration import Calibration
from dicomnode.evaluate.detection import FrocCurve
from dicomnode.evaluate.evaluation import (
    SCHEMA,
    CaseRun,
    Comparison,
    DataFacts,
    EngineFacts,
    Evaluation,
    task_of,
)
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Interval, Resampling
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassCurves,
    ClassificationResult,
    DetectionResult,
    OutputName,
    RegressionResult,
    Result,
    SegmentationResult,
)
from dicomnode.values import Code

Document = dict[str, Any]


def evaluation_document(evaluation: Evaluation) -> Document:
    """Return the whole evaluation as what `json` can write; numbers are finite or null."""
    compared = evaluation.comparison
    return {
        "schema": SCHEMA,
        "engine": _engine(evaluation.engine),
        "data": _data(evaluation.data),
        "made_at": None if evaluation.made_at is None else evaluation.made_at.isoformat(),
        "node_version": evaluation.node_version,
        "resampling": _resampling(evaluation.resampling),
        "warnings": list(evaluation.warnings),
        "headline": [
            {"task": str(task_of(result)), "output": result.output.label, "figure": figure_document(lead)}
            for result, lead in evaluation.leads
        ],
        "results": [result_document(result) for result in evaluation.results],
        "runs": [_run(run) for run in evaluation.runs],
        "unmatched": list(evaluation.unmatched),
        "remarks": list(evaluation.remarks),
        "comparison": None if compared is None else _comparison(compared),
    }


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


def result_document(result: Result) -> Document:
    """All of one output: the headline first, each case last."""
    return {
        "task": str(task_of(result)),
        "output": _output(result.output),
        "headline": _headline(result.headline),
        "figures": [interval_document(one) for one in result.intervals],
        "unanswered": [_case(case) for case in result.unanswered],
        "untold": result.untold,
        "remarks": list(result.remarks),
        **_OF_TASK[type(result)](result),
    }


# ── what each task adds ──


def _segmentation(result: SegmentationResult) -> Document:
    return {
        "cases": [
            {
                **_case(one.case),
                "dice": one.dice,
                "hd95_mm": one.hd95_mm,
                "found_ml": one.found_ml,
                "true_ml": one.true_ml,
                "volume_error_ml": one.volume_error_ml,
                "volume_error_percent": one.volume_error_percent,
            }
            for one in result.cases
        ]
    }


def _detection(result: DetectionResult) -> Document:
    sizes = [
        {
            "from_mm": one.from_mm,
            "below_mm": one.below_mm,
            "sensitivity": figure_document(one.sensitivity),
        }
        for one in result.by_size
    ]
    cases = [
        {
            **_case(one.case),
            "lesions": [
                {"diameter_mm": lesion.diameter_mm, "score": lesion.score} for lesion in one.outcome.lesions
            ],
            "false_alarms": list(one.outcome.false_alarms),
        }
        for one in result.cases
    ]
    return {
        "threshold": result.threshold,
        "froc": _froc(result.curve),
        "sensitivity_by_size": sizes,
        "cases": cases,
    }


def _froc(curve: FrocCurve) -> Document:
    return {
        "lesions": curve.lesions,
        "studies": curve.studies,
        "thresholds": curve.thresholds.tolist(),
        "found": curve.found.tolist(),
        "false_alarms": curve.false_alarms.tolist(),
        "rates": list(curve.rates),
        "sensitivity_at_rates": [figure_document(one) for one in curve.at_rates],
        "ceiling": figure_document(curve.ceiling),
    }


def _classification(result: ClassificationResult) -> Document:
    matrix = result.report.matrix
    return {
        "labels": list(result.labels),
        "positive": result.positive,
        "threshold": result.threshold,
        "calibrated": result.calibrated,
        "matrix": {"labels": list(matrix.labels), "counts": matrix.counts.tolist()},
        "curves": [_curves(one) for one in result.curves],
        "cases": [
            {**_case(one.case), "truth": one.truth, "called": one.called, "scores": list(one.scores)}
            for one in result.cases
        ],
    }


def _curves(curves: ClassCurves) -> Document:
    roc, recall = curves.roc, curves.precision_recall
    return {
        "label": curves.label,
        "roc": {
            "thresholds": roc.thresholds.tolist(),
            "sensitivity": roc.sensitivity.tolist(),
            "specificity": roc.specificity.tolist(),
            "area": figure_document(roc.area),
        },
        "precision_recall": {
            "thresholds": recall.thresholds.tolist(),
            "precision": recall.precision.tolist(),
            "recall": recall.recall.tolist(),
            "prevalence": figure_document(recall.prevalence),
            "area": figure_document(recall.area),
        },
        "calibration": None if curves.calibration is None else _calibration(curves.calibration),
    }


def _calibration(calibration: Calibration) -> Document:
    return {
        "brier": figure_document(calibration.brier),
        "ece": figure_document(calibration.ece),
        "slope": figure_document(calibration.slope),
        "intercept": figure_document(calibration.intercept),
        "in_the_large": figure_document(calibration.in_the_large),
        "bins": [
            {
                "lowest": one.lowest,
                "highest": one.highest,
                "count": one.count,
                "positives": one.positives,
                "mean_probability": one.mean_probability,
                "observed": one.observed,
            }
            for one in calibration.bins
        ],
    }


def _regression(result: RegressionResult) -> Document:
    return {
        "unit": _code(result.unit),
        "cases": [{**_case(one.case), "found": one.found, "true": one.true} for one in result.cases],
    }


_OF_TASK: Final[Mapping[type[Any], Callable[[Any], Document]]] = {
    SegmentationResult: _segmentation,
    DetectionResult: _detection,
    ClassificationResult: _classification,
    RegressionResult: _regression,
}


# ── the rest ──


def _headline(headline: Headline) -> Document:
    return {
        "lead": figure_document(headline.lead),
        "warnings": list(headline.warnings),
        "contradictions": [one.text for one in headline.contradictions],
        "then": [figure_document(one) for one in headline.then],
    }


def _comparison(comparison: Comparison) -> Document:
    other = comparison.other
    return {
        "other": _engine(other.engine),
        "results": [result_document(result) for result in other.results],
        "runs": [_run(run) for run in other.runs],
        "warnings": list(other.warnings),
        "unmatched": list(other.unmatched),
        "differences": [
            {
                "task": str(one.task),
                "output": one.output,
                "figure": one.difference.second.name,
                "label": one.difference.second.label,
                "engine": one.difference.second.value,
                "other": one.difference.first.value,
                "difference": interval_document(one.difference.interval),
                "higher_is_better": one.higher_is_better,
                "bearing_patients": one.bearing,
                "left_out": one.left_out,
                "verdict": str(one.verdict),
            }
            for one in comparison.differences
        ],
        "mcnemar": [
            {
                "output": one.output,
                "only_engine": one.test.only_second,
                "only_other": one.test.only_first,
                "both": one.test.both,
                "neither": one.test.neither,
                "p_value": figure_document(one.test.p_value),
                "remarks": list(one.test.remarks),
            }
            for one in comparison.calls
        ],
        "remarks": list(comparison.remarks),
    }


def _engine(engine: EngineFacts) -> Document:
    return {
        "name": engine.name,
        "version": engine.version,
        "title": engine.title,
        "use": engine.use,
        "digest": engine.digest,
        "runtime": engine.runtime or None,
        "precision": engine.precision or None,
        "device": engine.device or None,
    }


def _data(data: DataFacts) -> Document:
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


def _resampling(how: Resampling) -> Document:
    return {"method": str(how.method), "resamples": how.resamples, "level": how.level, "seed": how.seed}


def _run(run: CaseRun) -> Document:
    return {
        **_case(run.case),
        "state": str(run.state),
        "code": run.code or None,
        "reason": run.reason or None,
        "seconds": run.seconds,
    }


def _output(output: OutputName) -> Document:
    return {
        "label": output.label,
        "type": None if output.type is None else _code(output.type),
        "truth": output.truth,
        "by": output.by,
    }


def _case(case: CaseName) -> Document:
    return {
        "patient": case.patient,
        "study_instance_uid": case.study_instance_uid,
        "series_instance_uid": case.series_instance_uid or None,
        "place": case.place or None,
    }


def _code(code: Code) -> Document:
    return {"code": code.value, "scheme": code.scheme, "meaning": code.meaning}
