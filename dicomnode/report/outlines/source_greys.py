"""What the stored values of the first source mean to a display: rescale, windows, polarity, shape of a pixel.

Read from the headers that came with the Findings: of the image alone, nothing of the patient. What is wrong
there is left out: a presentation state then says nothing of it, and the image's reader decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from dicomnode.report.drawing.display_window import DisplayWindow
from dicomnode.report.heading.characters import as_it_is, read_encoded
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import Source

_TABLES: Final = ("ModalityLUTSequence", "VOILUTSequence")
_GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_RESCALE: Final = "PixelValueTransformationSequence"
_WINDOW: Final = "FrameVOILUTSequence"
_MAPPING: Final = "RealWorldValueMappingSequence"
_READ: Final = tuple(
    Tag(tag_for_keyword(keyword) or 0)
    for keyword in (
        "SpecificCharacterSet",
        "SOPInstanceUID",
        "Modality",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PixelAspectRatio",
        "BitsStored",
        "PixelRepresentation",
        "Units",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "WindowCenter",
        "WindowWidth",
        "VOILUTFunction",
        _MAPPING,
        *_TABLES,
        *_GROUPS,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """Stored values times slope, plus intercept, are of this type (0028,1054)."""

    slope: float = 1.0
    intercept: float = 0.0
    type: str = "US"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window as it stands in a header, in rescaled values; function: (0028,1056), words: (0028,1055)."""

    centre: float
    width: float
    function: str = "LINEAR"
    words: str = ""

    @classmethod
    def between(cls, shown: DisplayWindow) -> Window:
        """Black up to the lowest value shown, white from the highest one on: PS3.3 C.11.2.1.2.1."""
        return cls(
            centre=(shown.low + shown.high + 1) / 2, width=shown.high - shown.low + 1, words=shown.name
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceGreys:
    """Of each slice: rescale, window and table of the image itself, None where it has none.

    rescales, windows: by slice. modality_table, display_table: items of Modality LUT and VOI LUT Sequence, of
    a source of one instance. is_colour, dark_is_more (MONOCHROME1), aspect (rows to columns), units
    (0054,1001), is_mapped (to real world values), bits and is_signed of stored values: of the first.
    of_pixels: the window of images that have none, see `pixel_window`.
    """

    rescales: tuple[Rescale | None, ...]
    windows: tuple[Window | None, ...]
    modality_table: Dataset | None
    display_table: Dataset | None
    is_colour: bool
    dark_is_more: bool
    aspect: tuple[int, int]
    units: str
    is_mapped: bool
    bits: int
    is_signed: bool
    of_pixels: Window | None = None

    @property
    def reach(self) -> tuple[float, float]:
        """From where to where the values of an image can reach, after its table or rescale."""
        if self.modality_table is not None:
            return 0.0, float(2 ** int(self.modality_table.LUTDescriptor[2]) - 1)
        low = -(2 ** (self.bits - 1)) if self.is_signed else 0
        scale = self.rescales[0] or Rescale()
        ends = [scale.slope * stored + scale.intercept for stored in (low, low + 2**self.bits - 1)]
        return min(ends), max(ends)


def read_greys(source: Source) -> SourceGreys:
    """Read it of the headers of `source`."""
    with as_it_is():
        headers = [read_encoded(encoded, _READ) for encoded in source.headers.encoded]
        first = headers[0]
        of_instance = {str(_value(one, "SOPInstanceUID")): one for one in headers}
        rescales, windows = [], []
        for frame in source.frames:
            header = of_instance[frame.sop_instance_uid]
            number = frame.frame_number
            rescales.append(_rescale(_group(header, _RESCALE, number) or header))
            windows.append(_window(_group(header, _WINDOW, number) or header))
        tables = [_table(first, keyword) if len(headers) == 1 else None for keyword in _TABLES]
        return SourceGreys(
            rescales=tuple(rescales),
            windows=tuple(windows),
            modality_table=tables[0],
            display_table=tables[1],
            is_colour=_is_colour(first),
            dark_is_more=_value(first, "PhotometricInterpretation") == "MONOCHROME1",
            aspect=_aspect(first),
            units=str(_value(first, "Units") or "").strip().upper(),
            is_mapped=_MAPPING in first,
            bits=int(next(iter(_numbers(first, "BitsStored")), 0)),
            is_signed=_value(first, "PixelRepresentation") == 1,
        )


def is_in_colour(source: Source) -> bool:
    """Tell it of the first header of `source` alone."""
    with as_it_is():
        return _is_colour(read_encoded(source.headers.encoded[0], _READ))


def _is_colour(header: Dataset) -> bool:
    return _value(header, "SamplesPerPixel") not in (None, 1)


def _value(header: Dataset, keyword: str) -> object:
    try:
        return header.get(keyword)
    except UNREADABLE_ITEMS:
        return None


def _numbers(header: Dataset, keyword: str) -> list[float]:
    """All finite numbers of an element, else none."""
    try:
        found = np.array(header.get(keyword), dtype=np.float64, ndmin=1).tolist()
    except UNREADABLE_ITEMS:
        return []
    return found if np.isfinite(found).all() else []


def _group(header: Dataset, macro: str, number: int | None) -> Dataset | None:
    """Return the functional group macro of a frame: its own, else that of all frames."""
    for keyword, index in ((_GROUPS[1], (number or 1) - 1), (_GROUPS[0], 0)):
        try:
            found: Dataset = header[keyword].value[index][macro].value[0]
        except UNREADABLE_ITEMS:
            continue
        return found
    return None


def _rescale(header: Dataset) -> Rescale | None:
    slope, intercept = _numbers(header, "RescaleSlope"), _numbers(header, "RescaleIntercept")
    if not _value(header, "RescaleIntercept"):  # missing or empty: read as 0, as with the voxels
        intercept = [0.0]
    if len(slope) != 1 or len(intercept) != 1 or slope[0] == 0:
        return None
    kind = str(_value(header, "RescaleType") or "").strip()
    unsaid = "HU" if _value(header, "Modality") == "CT" else "US"  # PS3.3 C.8.2.1, C.11.1
    return Rescale(slope=slope[0], intercept=intercept[0], type=kind or unsaid)


def _window(header: Dataset) -> Window | None:
    """Return the first of the windows of an image: that is what readers open it with."""
    centre, width = _numbers(header, "WindowCenter"), _numbers(header, "WindowWidth")
    if not centre or not width:
        return None
    function = str(_value(header, "VOILUTFunction") or "LINEAR").strip()
    least = 1.0 if function == "LINEAR" else 0.0  # PS3.3 C.11.2.1.2: LINEAR is at least 1 wide
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not width[0] >= least or not width[0] > 0:
        return None
    return Window(centre=centre[0], width=width[0], function=function)


def _table(header: Dataset, keyword: str) -> Dataset | None:
    """Return the first table, without the words that came with it."""
    try:
        item = header[keyword].value[0]
        kept = Dataset()
        for name in ("LUTDescriptor", "ModalityLUTType", "LUTData"):
            if name in item:
                kept[name] = item[name]
    except UNREADABLE_ITEMS:
        return None
    return kept if "LUTDescriptor" in kept and "LUTData" in kept else None


def _aspect(header: Dataset) -> tuple[int, int]:
    down, across = (*_numbers(header, "PixelAspectRatio"), 0.0, 0.0)[:2]
    return (int(down), int(across)) if down >= 1 and across >= 1 else (1, 1)
