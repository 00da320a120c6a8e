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
    from dicomnode.assemble.decoders.pool import DecoderLimits, DecoderPool
    from dicomnode.assemble.pictures import load_picture
    from dicomnode.assemble.placing import Placement
    from dicomnode.assemble.record import Header
    from dicomnode.assemble.required import other_person
    from dicomnode.assemble.sampling import SampledSlice, sample_slices
    from dicomnode.assemble.slices import DecodeSlices, decode_here
    from dicomnode.assemble.sources import encode_headers, source_of
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
    "ahead": ("SlicesAhead",),
    "decoders.pool": ("DecoderLimits", "DecoderPool"),
    "pictures": ("load_picture",),
    "placing": ("Placement",),
    "record": ("Header",),
    "required": ("other_person",),
    "sampling": ("SampledSlice", "sample_slices"),
    "slices": ("DecodeSlices", "decode_here"),
    "sources": ("encode_headers", "source_of"),
    "studies": (
        "SeriesFiles",
        "Stack",
        "StudyFiles",
        "StudyReading",
        "find_files",
        "read_studies",
    ),
    "volume": ("load_volume",),
}

__all__ = [
    "DecodeSlices",
    "DecoderLimits",
    "DecoderPool",
    "Header",
    "Placement",
    "SampledSlice",
    "SeriesFiles",
    "SlicesAhead",
    "Stack",
    "StudyFiles",
    "StudyReading",
    "decode_here",
    "encode_headers",
    "find_files",
    "load_picture",
    "load_volume",
    "other_person",
    "read_studies",
    "sample_slices",
    "source_of",
]

__getattr__ = lazy_face(__name__, _HOMES)
