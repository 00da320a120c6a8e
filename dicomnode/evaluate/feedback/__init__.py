"""What doctors say of our results: recognised among what others send, and compared with what we found.

No I/O: annotations as they were read, our results as they were kept. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.feedback.assessment import Assessment, assessment_of
    from dicomnode.evaluate.feedback.comparing import compare
    from dicomnode.evaluate.feedback.copies import is_copy
    from dicomnode.evaluate.feedback.judgement import ALIKE_DICE, Judgement, JudgementKind
    from dicomnode.evaluate.feedback.months import Month, by_month, last_words
    from dicomnode.evaluate.feedback.own import OwnObject, OwnResult
    from dicomnode.evaluate.feedback.recognition import Feedback, RecognisedBy, recognise

_HOMES = {
    "assessment": ("Assessment", "assessment_of"),
    "comparing": ("compare",),
    "copies": ("is_copy",),
    "judgement": ("ALIKE_DICE", "Judgement", "JudgementKind"),
    "months": ("Month", "by_month", "last_words"),
    "own": ("OwnObject", "OwnResult"),
    "recognition": ("Feedback", "RecognisedBy", "recognise"),
}

__all__ = [
    "ALIKE_DICE",
    "Assessment",
    "Feedback",
    "Judgement",
    "JudgementKind",
    "Month",
    "OwnObject",
    "OwnResult",
    "RecognisedBy",
    "assessment_of",
    "by_month",
    "compare",
    "is_copy",
    "last_words",
    "recognise",
]

__getattr__ = lazy_face(__name__, _HOMES)
