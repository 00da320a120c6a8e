"""What of the labels answers what an engine gives: outlines, places, classes, numbers.

A study without a truth for an output is not a negative one, unless its labels say so. Names are loaded when
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.truth.answers import Asked, TrueAnswer, true_class, true_number, true_yes
    from dicomnode.evaluate.truth.lesions import (
        TrueLesion,
        TrueLesions,
        drawn_lesions,
        parts_of,
        true_lesions,
    )
    from dicomnode.evaluate.truth.outlines import TrueOutline, true_outline
    from dicomnode.evaluate.truth.trust import Labels, labels_for, only_by_people
    from dicomnode.evaluate.truth.wanted import Wanted, said_counterparts, wanted_outputs

_HOMES = {
    "answers": ("Asked", "TrueAnswer", "true_class", "true_number", "true_yes"),
    "lesions": ("TrueLesion", "TrueLesions", "drawn_lesions", "parts_of", "true_lesions"),
    "outlines": ("TrueOutline", "true_outline"),
    "trust": ("Labels", "labels_for", "only_by_people"),
    "wanted": ("Wanted", "said_counterparts", "wanted_outputs"),
}

__all__ = [
    "Asked",
    "Labels",
    "TrueAnswer",
    "TrueLesion",
    "TrueLesions",
    "TrueOutline",
    "Wanted",
    "drawn_lesions",
    "labels_for",
    "only_by_people",
    "parts_of",
    "said_counterparts",
    "true_class",
    "true_lesions",
    "true_number",
    "true_outline",
    "true_yes",
    "wanted_outputs",
]

__getattr__ = lazy_face(__name__, _HOMES)
