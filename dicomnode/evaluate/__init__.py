"""Compares what an engine found with what is true: how often it is right, how sure, and how sure we can be.

Needs no DICOM and no engine: labels, scores, masks, points in LPS mm. Names are loaded when first used; areas
under curves and calibration need scikit-learn (the extra `evaluate`).
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
        intraclass_correlation,
        krippendorff_alpha,
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
    from dicomnode.evaluate.dataset.look import DataSetLook, look_at
    from dicomnode.evaluate.dataset.table import FeatureTable
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
    from dicomnode.evaluate.evaluation import (
        Compared,
        Comparison,
        DataFacts,
        EngineFacts,
        Evaluation,
        RunState,
        Verdict,
    )
    from dicomnode.evaluate.figures import Figure
    from dicomnode.evaluate.intervals import FigureOf, Interval, Method, Resampling, bootstrap_interval
    from dicomnode.evaluate.leading import Contradiction, Headline, Printed, contradictions, headline
    from dicomnode.evaluate.matching import Hit, KnownFinding, Matching, match_candidates
    from dicomnode.evaluate.metrics import VolumeError, dice, hausdorff95_mm, volume_error
    from dicomnode.evaluate.outcomes import (
        CaseName,
        ClassificationResult,
        DetectionResult,
        RegressionResult,
        SegmentationResult,
        Task,
    )
    from dicomnode.evaluate.page.gallery import WorstPicture
    from dicomnode.evaluate.page.report import report_html
    from dicomnode.evaluate.pictures import Place, truth_and_found_png
    from dicomnode.evaluate.pointing import LesionBox, Pointed, PointingGame, pointed, pointing_game
    from dicomnode.evaluate.worst import WorstCase, worst_cases

_HOMES = {
    "agreement": (
        "PairDice",
        "ReadersDice",
        "Weights",
        "cohen_kappa",
        "fleiss_kappa",
        "intraclass_correlation",
        "krippendorff_alpha",
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
    "dataset.look": ("DataSetLook", "look_at"),
    "dataset.table": ("FeatureTable",),
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
    "evaluation": (
        "Compared",
        "Comparison",
        "DataFacts",
        "EngineFacts",
        "Evaluation",
        "RunState",
        "Verdict",
    ),
    "figures": ("Figure",),
    "intervals": ("FigureOf", "Interval", "Method", "Resampling", "bootstrap_interval"),
    "leading": ("Contradiction", "Headline", "Printed", "contradictions", "headline"),
    "matching": ("Hit", "KnownFinding", "Matching", "match_candidates"),
    "outcomes": (
        "CaseName",
        "ClassificationResult",
        "DetectionResult",
        "RegressionResult",
        "SegmentationResult",
        "Task",
    ),
    "metrics": ("VolumeError", "dice", "hausdorff95_mm", "volume_error"),
    "page.gallery": ("WorstPicture",),
    "page.report": ("report_html",),
    "pictures": ("Place", "truth_and_found_png"),
    "pointing": ("LesionBox", "Pointed", "PointingGame", "pointed", "pointing_game"),
    "worst": ("WorstCase", "worst_cases"),
}

__all__ = [
    "Calibration",
    "CaseName",
    "ClassFigures",
    "ClassificationReport",
    "ClassificationResult",
    "Compared",
    "Comparison",
    "ConfusionMatrix",
    "Contradiction",
    "DataFacts",
    "DataSetLook",
    "DetectionResult",
    "Difference",
    "EngineFacts",
    "Evaluation",
    "FeatureTable",
    "Figure",
    "FigureOf",
    "FrocCurve",
    "Headline",
    "Hit",
    "Interval",
    "KnownFinding",
    "KnownLesion",
    "LesionBox",
    "Matching",
    "McNemar",
    "Method",
    "OperatingPoint",
    "PairDice",
    "Place",
    "Pointed",
    "PointingGame",
    "PrecisionRecallCurve",
    "Printed",
    "ReadersDice",
    "RegressionResult",
    "ReliabilityBin",
    "Resampling",
    "RocCurve",
    "Rows",
    "RunState",
    "ScoredCases",
    "SegmentationResult",
    "SizeClass",
    "StudyOutcome",
    "Task",
    "Verdict",
    "VolumeError",
    "Weights",
    "WorstCase",
    "WorstPicture",
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
    "intraclass_correlation",
    "krippendorff_alpha",
    "look_at",
    "match_candidates",
    "matrix_at",
    "matrix_of_labels",
    "matrix_of_probabilities",
    "mcnemar_test",
    "observed_agreement",
    "one_against_rest",
    "pointed",
    "pointing_game",
    "precision_recall_curve",
    "readers_dice",
    "reliability",
    "report_html",
    "roc_auc",
    "roc_curve",
    "sensitivity_at",
    "sensitivity_by_size",
    "study_outcome",
    "surest_class",
    "truth_and_found_png",
    "volume_error",
    "worst_cases",
]

__getattr__ = lazy_face(__name__, _HOMES)
