"""What a data set looks like: features of images, a map, outliers, near duplicates, doubtful labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.dataset.documents import look_document
    from dicomnode.evaluate.dataset.images import ImageFeatures, image_features
    from dicomnode.evaluate.dataset.look import DataSetLook, Outlier, look_at
    from dicomnode.evaluate.dataset.neighbours import NearDuplicate, near_duplicates
    from dicomnode.evaluate.dataset.studies import answer_labels, column_labels, look_at_studies
    from dicomnode.evaluate.dataset.suspects import (
        LabelSuspect,
        Suspects,
        answer_suspects,
        confident_suspects,
        feature_suspects,
    )
    from dicomnode.evaluate.dataset.table import FeatureTable, table_of
    from dicomnode.evaluate.dataset.watching import Watching

_HOMES = {
    "documents": ("look_document",),
    "images": ("ImageFeatures", "image_features"),
    "look": ("DataSetLook", "Outlier", "look_at"),
    "neighbours": ("NearDuplicate", "near_duplicates"),
    "studies": ("answer_labels", "column_labels", "look_at_studies"),
    "suspects": ("LabelSuspect", "Suspects", "answer_suspects", "confident_suspects", "feature_suspects"),
    "table": ("FeatureTable", "table_of"),
    "watching": ("Watching",),
}

__all__ = [
    "DataSetLook",
    "FeatureTable",
    "ImageFeatures",
    "LabelSuspect",
    "NearDuplicate",
    "Outlier",
    "Suspects",
    "Watching",
    "answer_labels",
    "answer_suspects",
    "column_labels",
    "confident_suspects",
    "feature_suspects",
    "image_features",
    "look_at",
    "look_at_studies",
    "look_document",
    "near_duplicates",
    "table_of",
]

__getattr__ = lazy_face(__name__, _HOMES)
