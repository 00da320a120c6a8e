"""From the instances of a study to volumes: grouped, checked, decoded, placed in the patient.

`read_studies` looks at headers and says of each file what becomes of it; `load_volume` decodes a stack.
What cannot be a volume is a refusal that names the attribute, never a guess. Names are loaded when first
used: pydicom and numpy are not needed to know that this room exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.assemble.ahead import SlicesAhead
    from dicomnode.assemble.placing import Placement
    from dicomnode.assemble.record import Header
    from dicomnode.assemble.sources import source_of
    from dicomnode.assemble.studies import (
        SeriesFiles,
        Stack,
        StudyFiles,
        StudyReading,
        find_files,
        read_studies,
    )
    from dicomnode.assemble.volume import Ahead, load_volume, nothing_ahead

_HOMES = {
    "ahead": ("SlicesAhead",),
    "placing": ("Placement",),
    "record": ("Header",),
    "sources": ("source_of",),
    "studies": (
        "SeriesFiles",
        "Stack",
        "StudyFiles",
        "StudyReading",
        "find_files",
        "read_studies",
    ),
    "volume": ("Ahead", "load_volume", "nothing_ahead"),
}

__all__ = [
    "Ahead",
    "Header",
    "Placement",
    "SeriesFiles",
    "SlicesAhead",
    "Stack",
    "StudyFiles",
    "StudyReading",
    "find_files",
    "load_volume",
    "nothing_ahead",
    "read_studies",
    "source_of",
]

__getattr__ = lazy_face(__name__, _HOMES)
