"""Compares what an engine found with what is true: how often it is right, how sure, and how sure we can be.

Needs no DICOM and no engine: labels, scores, masks, points in LPS mm. Names are loaded when first used; areas
under curves, calibration and kappa need scikit-learn (the extra `evaluate`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.agreement import (
        PairDice,
        ReadersDice,
        Weights,
        cohen_kappa,
        fleiss_kappa,
        observed_agreement,
        readers_dice,
    )
    from dicomnode.evaluate.calibration import (
        Calibration,
        ReliabilityBin,
        brier,
        calibration_of,
        expected_calibration_error,
        reliability,
    )
    from dicomnode.evaluate.cases import Rows, ScoredCases, one_against_rest, surest_class
    from dicomnode.evaluate.classification import ClassFigures, ClassificationReport, classification_report
    from dicomnode.evaluate.comparison import (
        Difference,
        McNemar,
        compare_areas,
        compare_figures,
        mcnemar_test,
    )
    from dicomnode.evaluate.confusion import (
        ConfusionMatrix,
        matrix_at,
        matrix_of_labels,
        matrix_of_probabilities,
    )
    from dicomnode.evaluate.curves import (
        OperatingPoint,
        PrecisionRecallCurve,
        RocCurve,
        at_sensitivity,
        at_specificity,
        average_precision,
        precision_recall_curve,
        roc_auc,
        roc_curve,
    )
    from dicomnode.evaluate.detection import (
        FrocCurve,
        KnownLesion,
        SizeClass,
        StudyOutcome,
        competition_performance,
        false_alarms_at,
        froc,
        sensitivity_at,
        sensitivity_by_size,
        study_outcome,
    )
    from dicomnode.evaluate.figures import Figure
    from dicomnode.evaluate.intervals import FigureOf, Interval, Method, Resampling, bootstrap_interval
    from dicomnode.evaluate.leading import Contradiction, Headline, Printed, contradictions, headline
    from dicomnode.evaluate.matching import Hit, KnownFinding, Matching, match_candidates
    from dicomnode.evaluate.metrics import VolumeError, dice, hausdorff95_mm, volume_error

_HOMES = {
    "agreement": (
        "PairDice",
        "ReadersDice",
        "Weights",
        "cohen_kappa",
        "fleiss_kappa",
        "observed_agreement",
        "readers_dice",
    ),
    "calibration": (
        "Calibration",
        "ReliabilityBin",
        "brier",
        "calibration_of",
        "expected_calibration_error",
        "reliability",
    ),
    "cases": ("Rows", "ScoredCases", "one_against_rest", "surest_class"),
    "classification": ("ClassFigures", "ClassificationReport", "classification_report"),
    "comparison": ("Difference", "McNemar", "compare_areas", "compare_figures", "mcnemar_test"),
    "confusion": ("ConfusionMatrix", "matrix_at", "matrix_of_labels", "matrix_of_probabilities"),
    "curves": (
        "OperatingPoint",
        "PrecisionRecallCurve",
        "RocCurve",
        "at_sensitivity",
        "at_specificity",
        "average_precision",
        "precision_recall_curve",
        "roc_auc",
        "roc_curve",
    ),
    "detection": (
        "FrocCurve",
        "KnownLesion",
        "SizeClass",
        "StudyOutcome",
        "competition_performance",
        "false_alarms_at",
        "froc",
        "sensitivity_at",
        "sensitivity_by_size",
        "study_outcome",
    ),
    "figures": ("Figure",),
    "intervals": ("FigureOf", "Interval", "Method", "Resampling", "bootstrap_interval"),
    "leading": ("Contradiction", "Headline", "Printed", "contradictions", "headline"),
    "matching": ("Hit", "KnownFinding", "Matching", "match_candidates"),
    "metrics": ("VolumeError", "dice", "hausdorff95_mm", "volume_error"),
}

__all__ = [
    "Calibration",
    "ClassFigures",
    "ClassificationReport",
    "ConfusionMatrix",
    "Contradiction",
    "Difference",
    "Figure",
    "FigureOf",
    "FrocCurve",
    "Headline",
    "Hit",
    "Interval",
    "KnownFinding",
    "KnownLesion",
    "Matching",
    "McNemar",
    "Method",
    "OperatingPoint",
    "PairDice",
    "PrecisionRecallCurve",
    "Printed",
    "ReadersDice",
    "ReliabilityBin",
    "Resampling",
    "RocCurve",
    "Rows",
    "ScoredCases",
    "SizeClass",
    "StudyOutcome",
    "VolumeError",
    "Weights",
    "at_sensitivity",
    "at_specificity",
    "average_precision",
    "bootstrap_interval",
    "brier",
    "calibration_of",
    "classification_report",
    "cohen_kappa",
    "compare_areas",
    "compare_figures",
    "competition_performance",
    "contradictions",
    "dice",
    "expected_calibration_error",
    "false_alarms_at",
    "fleiss_kappa",
    "froc",
    "hausdorff95_mm",
    "headline",
    "match_candidates",
    "matrix_at",
    "matrix_of_labels",
    "matrix_of_probabilities",
    "mcnemar_test",
    "observed_agreement",
    "one_against_rest",
    "precision_recall_curve",
    "readers_dice",
    "reliability",
    "roc_auc",
    "roc_curve",
    "sensitivity_at",
    "sensitivity_by_size",
    "study_outcome",
    "surest_class",
    "volume_error",
]

__getattr__ = lazy_face(__name__, _HOMES)
