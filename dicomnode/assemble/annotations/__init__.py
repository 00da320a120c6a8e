"""What others say of a study, read from their SEG, RTSTRUCT and SR into values: labels, truth, answers.

`read_annotations` finds these objects among files and puts each on the images that it speaks of. What cannot
be read or placed is set aside with a row of the table of faults, never guessed. Names are loaded when first
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.assemble.annotations.reading import AnnotationReading, read_annotations

_HOMES = {
    "reading": ("AnnotationReading", "read_annotations"),
}

__all__ = [
    "AnnotationReading",
    "read_annotations",
]

__getattr__ = lazy_face(__name__, _HOMES)
