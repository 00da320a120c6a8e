"""An engine on labelled studies: what it answers beside what is true, and the figures of that.

How an engine is run is the caller's (`Answerer`): this room judges answers, it makes none. Names are loaded
when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.running.answering import Answer, Answerer
    from dicomnode.evaluate.running.comparing import compare
    from dicomnode.evaluate.running.drawn import Drawn
    from dicomnode.evaluate.running.gallery import worst_pictures
    from dicomnode.evaluate.running.judging import Evaluated, Judging, data_facts, judge
    from dicomnode.evaluate.running.outlines import segments_of
    from dicomnode.evaluate.running.places import candidates_of

_HOMES = {
    "answering": ("Answer", "Answerer"),
    "comparing": ("compare",),
    "drawn": ("Drawn",),
    "gallery": ("worst_pictures",),
    "judging": ("Evaluated", "Judging", "data_facts", "judge"),
    "outlines": ("segments_of",),
    "places": ("candidates_of",),
}

__all__ = [
    "Answer",
    "Answerer",
    "Drawn",
    "Evaluated",
    "Judging",
    "candidates_of",
    "compare",
    "data_facts",
    "judge",
    "segments_of",
    "worst_pictures",
]

__getattr__ = lazy_face(__name__, _HOMES)
