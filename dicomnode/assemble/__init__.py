"""From the instances of a study to volumes: grouped, checked, decoded, placed in the patient.

`read_studies` looks at headers and says of each file what becomes of it; `load_volume` decodes a stack.
What cannot be a volume is a refusal that names the attribute, never a guess. Names are loaded when first
used: pydicom and numpy are not needed to know that this room exists.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from dicomnode.assemble.volume import load_volume

_HOMES = {
    "Header": "record",
    "Placement": "placing",
    "SeriesFiles": "studies",
    "Stack": "studies",
    "StudyFiles": "studies",
    "StudyReading": "studies",
    "find_files": "studies",
    "load_volume": "volume",
    "read_studies": "studies",
    "source_of": "sources",
}

__all__ = [
    "Header",
    "Placement",
    "SeriesFiles",
    "Stack",
    "StudyFiles",
    "StudyReading",
    "find_files",
    "load_volume",
    "read_studies",
    "source_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
