"""From a file to a `Header`: bounded, nothing decoded, every problem a value.

Only the attributes named here are loaded; all others are skipped where they lie, and reading stops at
the pixels. So a header costs a few kilobytes, whatever a maker put into private elements.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.assemble.foreign import UNREADABLE, file_unreadable, is_of_the_disk, reason
from dicomnode.assemble.record import Header, Orientation
from dicomnode.faults import HEADER_DAMAGED, NOT_DICOM, Fault
from dicomnode.values import FACT_TAGS, Fact, SetAside, is_valid_uid

# What tells images at one position apart, the most telling first.
PHASE_KEYWORDS: Final = (
    "ImageType",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
    "EchoNumbers",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "ConvolutionKernel",
    "FilterType",
    "KVP",
    "ContrastBolusAgent",
    "LossyImageCompression",
    "AcquisitionTime",
)
_OTHER_KEYWORDS: Final = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "FrameOfReferenceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "PixelRepresentation",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_TAGS: Final = sorted(
    {tag_for_keyword(word) or 0 for word in (*FACT_TAGS, *PHASE_KEYWORDS, *_OTHER_KEYWORDS)}
)
_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

# A text or a list in these attributes that is longer says nothing that matching needs.
_LONGEST_VALUE: Final = 4096  # bytes
# What is not a plausible coordinate or factor would only overflow later.
_LARGEST_NUMBER: Final = 1e7
# A deflated data set is inflated whole to be read (PS3.5 A.5); a small file can hold a very large one.
_INFLATED_MAX: Final = 512 * 2**20  # bytes

# Transfer syntaxes whose pixels have the length that the header says; all others are encapsulated.
_NATIVE: Final = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    }
)
_PIXEL_DATA: Final = 0x7FE00010
_FIRST_PIXEL_TAG: Final = 0x7FE00008  # Float Pixel Data; offset tables stand before
_NO_PIXEL_DATA: Final = "it has no Pixel Data"


def read_header(path: Path) -> Header | SetAside:
    """Read the header of one Part 10 file, or say why it is none or cannot be read.

    Raises NodeError(FILE_UNREADABLE) when the disk does not give the file. Call it within `quiet()`.
    """
    try:
        with path.open("rb") as file:
            if not _is_part10(file):
                return _aside(path, NOT_DICOM, "it has no DICM mark at byte 128")
            return _read(path, file)
    except OSError as error:
        raise file_unreadable(path, error) from error


def is_part10(path: Path) -> bool:
    """Tell whether a file has the mark of PS3.10 section 7.1; raises NodeError(FILE_UNREADABLE)."""
    try:
        with path.open("rb") as file:
            return _is_part10(file)
    except OSError as error:
        raise file_unreadable(path, error) from error


def _is_part10(file: BinaryIO) -> bool:
    mark = file.read(132)[128:]
    file.seek(0)
    return mark == b"DICM"


def _aside(path: Path, fault: Fault, error: str, sop_instance_uid: str | None = None) -> SetAside:
    text = fault.text(file=path.name, error=error)
    return SetAside(sop_instance_uid=sop_instance_uid, file=str(path), code=fault.code, text=text)


def _read(path: Path, file: BinaryIO) -> Header | SetAside:
    pixels = _PixelElement()
    try:
        dataset = read_partial(
            _bounded(file),
            stop_when=pixels.reached,
            defer_size=_LONGEST_VALUE,
            specific_tags=list(_TAGS),
        )
        _drop_large(dataset)
        syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
        uids = {keyword: _text(dataset, keyword) for keyword in _UIDS}
    except OSError as error:
        if is_of_the_disk(error):
            raise
        return _aside(path, HEADER_DAMAGED, reason(error))
    except UNREADABLE as error:
        return _aside(path, HEADER_DAMAGED, reason(error))
    for keyword, uid in uids.items():
        if not is_valid_uid(uid):
            instance = uids["SOPInstanceUID"]
            error_text = f"{keyword} is missing or no UID"
            return _aside(path, HEADER_DAMAGED, error_text, instance if is_valid_uid(instance) else None)
    if not is_valid_uid(syntax):
        return _aside(path, HEADER_DAMAGED, "it names no transfer syntax", uids["SOPInstanceUID"])
    inflated = syntax == DeflatedExplicitVRLittleEndian
    left = None if inflated else path.stat().st_size - file.tell()
    return _header(path, dataset, uids | {"TransferSyntaxUID": syntax}, pixels.damage(dataset, syntax, left))


def _drop_large(dataset: Dataset) -> None:
    """Take out what was too long to be loaded: pydicom would load it when it is asked for."""
    for tag in list(dataset.keys()):
        element: object = dataset.get_item(tag, keep_deferred=True)
        if isinstance(element, RawDataElement) and element.value is None and element.length:
            del dataset[tag]


def _bounded(file: BinaryIO) -> BinaryIO:
    """Return `file` itself; raise ValueError if it is deflated and inflates to more than is allowed."""
    start = file.read(132 + 1024)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() not in start:
        return file
    begin = 132 + 12 + int.from_bytes(start[140:144], "little")  # group length (0002,0000), PS3.10 7.1
    file.seek(begin)
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = file.read()
    while rest and not inflate.eof:
        total += len(inflate.decompress(rest, 2**20))
        rest = inflate.unconsumed_tail
        if total > _INFLATED_MAX:
            raise ValueError("deflated data set is too large")
    file.seek(0)
    return file


class _PixelElement:
    """What is seen of the pixels on the way past: their element's tag and length."""

    def __init__(self) -> None:
        self.seen = False
        self.length = 0
        self.head = 8  # bytes of tag and length

    def reached(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Stop at the pixels: called by pydicom at each element."""
        if tag < _FIRST_PIXEL_TAG:
            return False
        if tag <= _PIXEL_DATA:
            # PS3.5 7.1.2: OB, OW, OF, OD have 2 reserved bytes and a length of 4
            self.seen, self.length, self.head = True, length, 8 if vr is None else 12
        return True

    def damage(self, dataset: Dataset, syntax: str, left: int | None) -> str | None:
        """Say why the pixels cannot be read, as far as lengths tell. left: bytes from the element on."""
        if not self.seen:
            return _NO_PIXEL_DATA
        if syntax not in _NATIVE or self.length == 0xFFFFFFFF:
            return None
        names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
        counts = [_whole(dataset, name) or 0 for name in names]
        wanted = (_whole(dataset, "NumberOfFrames") or 1) * counts[0] * counts[1] * counts[2] * counts[3] // 8
        there = self.length if left is None else min(self.length, max(left - self.head, 0))
        return f"its Pixel Data end after {there} of {wanted} bytes" if there < wanted else None


def _header(path: Path, dataset: Dataset, uids: dict[str, str], damage: str | None) -> Header:
    spacing = _numbers(dataset, "PixelSpacing", 2)
    orientation = _numbers(dataset, "ImageOrientationPatient", 6)
    position = _numbers(dataset, "ImagePositionPatient", 3)
    slope, intercept = _numbers(dataset, "RescaleSlope", 1), _numbers(dataset, "RescaleIntercept", 1)
    padding, limit = _whole(dataset, "PixelPaddingValue"), _whole(dataset, "PixelPaddingRangeLimit")
    image_type = _value(dataset, "ImageType")
    patient = "\0".join(_text(dataset, keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
    tags = {keyword: _value(dataset, keyword) for keyword in {*FACT_TAGS, *PHASE_KEYWORDS}}
    return Header(
        path=path,
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=uids["SOPClassUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=uids["TransferSyntaxUID"],
        patient_key=hashlib.sha256(patient.encode()).hexdigest(),
        modality=_text(dataset, "Modality"),
        frame_of_reference_uid=_text(dataset, "FrameOfReferenceUID") or None,
        image_type=tuple(str(word).upper() for word in _many(image_type)),
        instance_number=_whole(dataset, "InstanceNumber"),
        frames=_whole(dataset, "NumberOfFrames") or 1,
        samples=_whole(dataset, "SamplesPerPixel") or 0,
        photometric=_text(dataset, "PhotometricInterpretation"),
        rows=_whole(dataset, "Rows") or None,
        columns=_whole(dataset, "Columns") or None,
        # 0.000 is written by some: as good as nothing, and must not be divided by
        spacing_ji_mm=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        orientation=_six(orientation) if orientation else None,
        position_lps_mm=(position[0], position[1], position[2]) if position else None,
        rescale=(slope[0], intercept[0]) if slope and intercept and slope[0] != 0 else None,
        padding=(padding, padding if limit is None else limit) if padding is not None else None,
        has_pixels=damage != _NO_PIXEL_DATA,
        damage=damage,
        tags={keyword: value for keyword, value in sorted(tags.items()) if value is not None},
    )


def _six(numbers: tuple[float, ...]) -> Orientation:
    a, b, c, d, e, f = numbers
    return (a, b, c, d, e, f)


def _many(value: Fact) -> tuple[object, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _value(dataset: Dataset, keyword: str) -> Fact:
    """Return an attribute's value; None if it is missing, empty, not valid, or not of a simple kind."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue):
            parts = [_simple(one) for one in value]
            if any(isinstance(part, str) for part in parts):
                return tuple("" if part is None else str(part) for part in parts)
            return tuple(float(part) for part in parts if part is not None)
        return _simple(value)
    except UNREADABLE:
        return None


def _simple(value: object) -> str | int | float | None:
    if isinstance(value, str):  # UID is a str
        return str(value).strip() or None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):  # IS is an int
        return int(value)
    if isinstance(value, float):  # DS is a float
        number = float(value)
        return number if abs(number) < float("inf") else None
    return None


def _text(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    return value if isinstance(value, str) else ""


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    values = _many(_value(dataset, keyword))
    if len(values) != count:
        return None
    numbers = [float(one) for one in values if isinstance(one, int | float)]
    if len(numbers) != count or not all(abs(one) < _LARGEST_NUMBER for one in numbers):
        return None
    return tuple(numbers)


def _whole(dataset: Dataset, keyword: str) -> int | None:
    value = _value(dataset, keyword)
    return value if isinstance(value, int) else None
