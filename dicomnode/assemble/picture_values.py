"""From stored values of a grey picture to those that are meant: modality LUT, window if asked, polarity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from dicomnode.assemble.attributes import numbers_of
from dicomnode.assemble.bits import Stored, bits_repairs
from dicomnode.assemble.bounded import ITEM_MARKS
from dicomnode.assemble.dataset import UpToPixels, Wanted, read_by_pydicom, scanned
from dicomnode.assemble.record import Header
from dicomnode.assemble.rescale import declared_padding
from dicomnode.assemble.slices import DecodedSlice
from dicomnode.faults import HEADER_DAMAGED, PICTURE_TABLE, NodeError
from dicomnode.store.foreign import (
    UNREADABLE,
    UNREADABLE_ITEMS,
    file_unreadable,
    is_of_the_disk,
    quiet,
    reason,
)
from dicomnode.values import Pixels, Repair

Float64 = NDArray[np.float64]

_DARK_IS_MORE: Final = "MONOCHROME1"
_MODALITY: Final = "modality LUT or rescale (PS3.3 C.11.1)"
_DISPLAY: Final = "window or VOI LUT (PS3.3 C.11.2)"
_TABLES: Final = {
    tag_for_keyword("ModalityLUTSequence") or 0: _MODALITY,
    tag_for_keyword("VOILUTSequence") or 0: _DISPLAY,
}
# A table has at most 65536 entries of 2 bytes; of VOI LUTs there may be some
_LONGEST_TABLES: Final = 8 * 2**20  # bytes
_MOST_TABLES: Final = 1_000  # items
_WANTED: Final = Wanted(
    tags=frozenset(_TABLES)
    | {
        tag_for_keyword(word) or 0
        for word in (
            "SamplesPerPixel",
            "PhotometricInterpretation",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
            "RescaleIntercept",
            "RescaleSlope",
            "RescaleType",
            "WindowCenter",
            "WindowWidth",
            "VOILUTFunction",
        )
    },
    longest=4096,  # bytes
    longer=dict.fromkeys(_TABLES, _LONGEST_TABLES),
)


@dataclass(slots=True, eq=False)
class PictureValues:
    """What is done to each frame of one instance. display: whether the image's own window is applied.

    repairs: what was done to the frames so far, in words.
    """

    header: Header
    dataset: Dataset
    display: bool
    _padded: int = field(default=0)
    _pixels: int = field(default=0)
    _cleared: int = field(default=0)  # pixels
    _shifted: set[int] = field(default_factory=set)  # bits

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What was done, in words; complete once all frames are through."""
        said = []
        if self.header.photometric == _DARK_IS_MORE:
            said.append(Repair("polarity", "MONOCHROME1: values were turned over, so that brighter is more."))
        if self._padded:
            part = 100.0 * self._padded / self._pixels
            text = (
                f"{part:.1f} % of the pixels are Pixel Padding Value (0028,0120) and were set to the "
                "darkest value."
            )
            said.append(Repair("padding", text))
        if self.header.lacks_intercept:
            said.append(Repair("rescale", "Rescale Intercept (0028,1052) is missing, and was read as 0."))
        return (*said, *bits_repairs(self._cleared, self._shifted))

    def of(self, one: DecodedSlice) -> Pixels:
        """Return the values (j, i) of a frame: uint8 or uint16 where they are stored so, else float32."""
        self._cleared += one.cleared
        self._shifted.add(one.shifted)
        padding = declared_padding(one.stored, self.header.padding, (one.low, one.high))
        values: NDArray[np.generic] = one.stored
        low, high = self._stored_range()
        if self._is_mapped:
            values, (low, high) = self._modality(one.stored), self._modality_range(low, high)
        if self.display:
            values, low, high = self._displayed(values, low, high), 0.0, 1.0
        if self.header.photometric == _DARK_IS_MORE:
            values = (low + high) - values.astype(np.float64)
        pixels = self._typed(values, one.stored)
        self._pixels += pixels.size
        if padding is not None and not padding.all():
            self._padded += int(padding.sum())
            pixels = pixels.copy()
            pixels[padding] = pixels[~padding].min()
        return pixels

    @property
    def _is_mapped(self) -> bool:
        has_rescale = self.header.rescale is not None and self.header.rescale != (1.0, 0.0)
        return bool(self._table("ModalityLUTSequence", _MODALITY)) or has_rescale

    def _stored_range(self) -> tuple[float, float]:
        bits = int(self.dataset.BitsStored)
        if int(self.dataset.PixelRepresentation):
            return float(-(2 ** (bits - 1))), float(2 ** (bits - 1) - 1)
        return 0.0, float(2**bits - 1)

    def _modality(self, stored: Stored) -> NDArray[np.generic]:
        try:
            mapped: NDArray[np.generic] = apply_modality_lut(stored, self.dataset)
        except UNREADABLE as error:
            raise self._wrong(_MODALITY, error) from error
        return mapped

    def _modality_range(self, low: float, high: float) -> tuple[float, float]:
        """Return what the values can reach: of a table, its bits; else the ends rescaled."""
        table = self._table("ModalityLUTSequence", _MODALITY)
        if table:
            return 0.0, float(2 ** int(table[0].LUTDescriptor[2]) - 1)
        slope, intercept = self.header.rescale or (1.0, 0.0)
        ends = sorted((low * slope + intercept, high * slope + intercept))
        return ends[0], ends[1]

    def _displayed(self, values: NDArray[np.generic], low: float, high: float) -> Float64:
        """Return values from 0 to 1 as the image's first window or VOI LUT shows them."""
        table = self._table("VOILUTSequence", _DISPLAY)
        try:
            if table:
                shown = apply_voi_lut(np.rint(values.astype(np.float64)).astype(np.int64), self.dataset)
                low, high = 0.0, float(2 ** int(table[0].LUTDescriptor[2]) - 1)
            else:
                shown = apply_voi_lut(values, self.dataset)
        except UNREADABLE as error:
            raise self._wrong(_DISPLAY, error) from error
        return np.clip((shown.astype(np.float64) - low) / (high - low or 1.0), 0.0, 1.0)

    def _typed(self, values: NDArray[np.generic], stored: Stored) -> Pixels:
        as_stored = stored.dtype if not (self.display or self._is_mapped) else values.dtype
        if as_stored == np.uint8:
            return values.astype(np.uint8)
        if as_stored == np.uint16:
            return values.astype(np.uint16)
        return values.astype(np.float32)

    def _table(self, keyword: str, what: str) -> tuple[Dataset, ...]:
        try:
            return tuple(self.dataset.get(keyword) or ())
        except UNREADABLE_ITEMS as error:
            raise self._wrong(what, error) from error

    def _wrong(self, what: str, error: BaseException) -> NodeError:
        uid = self.header.sop_instance_uid
        return NodeError(PICTURE_TABLE, sop_instance_uid=uid, what=what, error=reason(error))


def read_values(header: Header, *, display: bool) -> PictureValues:
    """Read what says how stored values become those that are meant.

    Raises NodeError(FILE_UNREADABLE) when the disk does not give the file, NodeError(HEADER_DAMAGED) when it
    is not what was read before, NodeError(PICTURE_TABLE) where it says too little.
    """
    try:
        with quiet():
            read = _read(header)
            dataset = read.dataset
            whole = all(dataset.get(name) is not None for name in ("BitsStored", "PixelRepresentation"))
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(header.path, error) from error
        raise NodeError(HEADER_DAMAGED, file=header.path.name, error=reason(error)) from error
    except UNREADABLE as error:
        raise NodeError(HEADER_DAMAGED, file=header.path.name, error=reason(error)) from error
    _bound_tables(header, read, display=display)
    if not whole:
        error_text = "Bits Stored or Pixel Representation is missing"
        raise NodeError(
            PICTURE_TABLE,
            sop_instance_uid=header.sop_instance_uid,
            what="Image Pixel module",
            error=error_text,
        )
    if header.rescale is None and numbers_of(dataset, "RescaleSlope", 1) not in (None, (0.0,)):
        error_text = "(0028,1052) RescaleIntercept is no number"
        raise NodeError(
            PICTURE_TABLE, sop_instance_uid=header.sop_instance_uid, what=_MODALITY, error=error_text
        )
    if header.lacks_intercept:  # pydicom takes no slope without it
        dataset.RescaleIntercept = 0
    return PictureValues(header, dataset, display)


def _read(header: Header) -> UpToPixels:
    with header.path.open("rb") as file:
        return scanned(file, _WANTED) or read_by_pydicom(file, _WANTED)


def _bound_tables(header: Header, read: UpToPixels, *, display: bool) -> None:
    """Raise NodeError(PICTURE_TABLE) for tables that are longer than any, before pydicom takes them apart."""
    for tag, what in _TABLES.items():
        if what == _DISPLAY and not display:
            continue
        element: object = read.dataset.get_item(tag, keep_deferred=True) if tag in read.dataset else None
        value = (element.value or b"") if isinstance(element, RawDataElement) else b""
        if read.left_out(tag):
            error = f"it has more than {_LONGEST_TABLES} bytes"
        elif max(value.count(mark) for mark in ITEM_MARKS) > _MOST_TABLES:
            error = f"it has more than {_MOST_TABLES} items"
        else:
            continue
        raise NodeError(PICTURE_TABLE, sop_instance_uid=header.sop_instance_uid, what=what, error=error)
