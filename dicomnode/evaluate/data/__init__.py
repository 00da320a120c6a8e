"""Labelled studies: images with what is known of them, patients kept apart between training and testing.

Needs no engine and no torch. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.data.labels import LabelRow, LabelTable, read_labels
    from dicomnode.evaluate.data.leaks import Leak, check_leaks, find_leaks
    from dicomnode.evaluate.data.lesions import with_lesions
    from dicomnode.evaluate.data.numbering import numbered
    from dicomnode.evaluate.data.split import (
        FRACTIONS,
        Part,
        Split,
        draw_folds,
        draw_split,
        extend_split,
        kept_split,
        load_split,
        save_split,
        strata_of,
    )
    from dicomnode.evaluate.data.studies import LabelledData, LabelledStudy, patient_named, read_labelled

_HOMES = {
    "labels": ("LabelRow", "LabelTable", "read_labels"),
    "leaks": ("Leak", "check_leaks", "find_leaks"),
    "lesions": ("with_lesions",),
    "numbering": ("numbered",),
    "split": (
        "FRACTIONS",
        "Part",
        "Split",
        "draw_folds",
        "draw_split",
        "extend_split",
        "kept_split",
        "load_split",
        "save_split",
        "strata_of",
    ),
    "studies": ("LabelledData", "LabelledStudy", "patient_named", "read_labelled"),
}

__all__ = [
    "FRACTIONS",
    "LabelRow",
    "LabelTable",
    "LabelledData",
    "LabelledStudy",
    "Leak",
    "Part",
    "Split",
    "check_leaks",
    "draw_folds",
    "draw_split",
    "extend_split",
    "find_leaks",
    "kept_split",
    "load_split",
    "numbered",
    "patient_named",
    "read_labelled",
    "read_labels",
    "save_split",
    "strata_of",
    "with_lesions",
]

__getattr__ = lazy_face(__name__, _HOMES)
