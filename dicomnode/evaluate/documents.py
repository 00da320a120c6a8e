"""The JSON of an evaluation: the same words as the values, lists in a stable order, absent means null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dicomnode.evaluate.calibration import Calibration
from dicomnode.evaluate.detection import FrocCurve
from dicomnode.evaluate.document_parts import (
    Document,
    case_document,
    code_document,
    data_document,
    figure_document,
    interval_document,
    resampling_document,
)
from dicomnode.evaluate.evaluation import (
    SCHEMA,
    CaseRun,
    Comparison,
    EngineFacts,
    Evaluation,
    task_of,
)
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.outcomes import (
    ClassCurves,
    ClassificationResult,
    DetectionResult,
    OutputName,
    RegressionResult,
    Result,
    SegmentationResult,
)
from dicomnode.evaluate.readers.company_document import company_document


def evaluation_document(evaluation: Evaluation) -> Document:
    """Return the whole evaluation as what `json` can write; numbers are finite or null."""
    compared = evaluation.comparison
    return {
        "schema": SCHEMA,
        "engine": _engine(evaluation.engine),
        "data": data_document(evaluation.data),
        "made_at": None if evaluation.made_at is None else evaluation.made_at.isoformat(),
        "node_version": evaluation.node_version,
        "resampling": resampling_document(evaluation.resampling),
        "warnings": list(evaluation.warnings),
        "headline": [
            {
                "task": str(task_of(one)),
                "output": one.output.label,
                "figure": figure_document(one.headline.lead),
                "at": None if one.headline.at is None else figure_document(one.headline.at),
            }
            for one in evaluation.results
        ],
        "results": [result_document(result) for result in evaluation.results],
        "runs": [_run(run) for run in evaluation.runs],
        "unmatched": list(evaluation.unmatched),
        "remarks": list(evaluation.remarks),
        "comparison": None if compared is None else _comparison(compared),
        "readers": [company_document(one) for one in evaluation.companies],
    }


def result_document(result: Result) -> Document:
    """All of one output: the headline first, each case last."""
    return {
        "task": str(task_of(result)),
        "output": _output(result.output),
        "headline": _headline(result.headline),
        "figures": [interval_document(one) for one in result.intervals],
        "unanswered": [case_document(case) for case in result.unanswered],
        "untold": result.untold,
        "remarks": list(result.remarks),
        **_OF_TASK[type(result)](result),
    }


# ── what each task adds ──


def _segmentation(result: SegmentationResult) -> Document:
    return {
        "cases": [
            {
                **case_document(one.case),
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
            **case_document(one.case),
            "lesions": [
                {"diameter_mm": lesion.diameter_mm, "score": lesion.score} for lesion in one.outcome.lesions
            ],
            "false_alarms": list(one.outcome.false_alarms),
            "candidates": {
                "lesions": [lesion.score for lesion in one.free.lesions],
                "false_alarms": list(one.free.false_alarms),
            },
        }
        for one in result.cases
    ]
    return {
        "threshold": result.threshold,
        "candidates_down_to": result.down_to,
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
            {**case_document(one.case), "truth": one.truth, "called": one.called, "scores": list(one.scores)}
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
        "unit": code_document(result.unit),
        "cases": [{**case_document(one.case), "found": one.found, "true": one.true} for one in result.cases],
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
        "at": None if headline.at is None else figure_document(headline.at),
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
                "differing_patients": one.differing,
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


def _run(run: CaseRun) -> Document:
    return {
        **case_document(run.case),
        "state": str(run.state),
        "code": run.code or None,
        "reason": run.reason or None,
        "seconds": run.seconds,
    }


def _output(output: OutputName) -> Document:
    return {
        "label": output.label,
        "type": None if output.type is None else code_document(output.type),
        "truth": output.truth,
        "by": output.by,
    }
