"""Classical heads on features: trained by nested cross-validation, compared on one split, served as ONNX.

Only here and in `learn.convert` are scikit-learn and skl2onnx used; names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.heads.anomaly import DETECTORS, AnomalyHead, train_detector
    from dicomnode.learn.heads.cards import card_of_detector, card_of_head
    from dicomnode.learn.heads.cases import Cases, cases_of
    from dicomnode.learn.heads.compared import (
        Comparison,
        JudgedHead,
        OtherScores,
        compare_heads,
        comparison_document,
    )
    from dicomnode.learn.heads.exported import ExportedHead, export_head
    from dicomnode.learn.heads.kinds import HEADS, HeadKind
    from dicomnode.learn.heads.nested import FittedHead, OutOfFold, Search, fit_head, judge_out_of_fold
    from dicomnode.learn.heads.package import Wanted, draft_with_detector, draft_with_head
    from dicomnode.learn.heads.scores import read_scores
    from dicomnode.learn.heads.training import HeadsPlan, TrainedHeads, train_heads

_HOMES = {
    "anomaly": ("DETECTORS", "AnomalyHead", "train_detector"),
    "cards": ("card_of_detector", "card_of_head"),
    "cases": ("Cases", "cases_of"),
    "compared": ("Comparison", "JudgedHead", "OtherScores", "compare_heads", "comparison_document"),
    "exported": ("ExportedHead", "export_head"),
    "kinds": ("HEADS", "HeadKind"),
    "nested": ("FittedHead", "OutOfFold", "Search", "fit_head", "judge_out_of_fold"),
    "package": ("Wanted", "draft_with_detector", "draft_with_head"),
    "scores": ("read_scores",),
    "training": ("HeadsPlan", "TrainedHeads", "train_heads"),
}

__all__ = [
    "DETECTORS",
    "HEADS",
    "AnomalyHead",
    "Cases",
    "Comparison",
    "ExportedHead",
    "FittedHead",
    "HeadKind",
    "HeadsPlan",
    "JudgedHead",
    "OtherScores",
    "OutOfFold",
    "Search",
    "TrainedHeads",
    "Wanted",
    "card_of_detector",
    "card_of_head",
    "cases_of",
    "compare_heads",
    "comparison_document",
    "draft_with_detector",
    "draft_with_head",
    "export_head",
    "fit_head",
    "judge_out_of_fold",
    "read_scores",
    "train_detector",
    "train_heads",
]

__getattr__ = lazy_face(__name__, _HOMES)
