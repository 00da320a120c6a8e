"""What kind of image a generator draws: class, modality, values and attributes, as its training images had.

Of the headers of these only a list of attributes is taken that say how an image is to be read; none says who
was imaged, where or when.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MRImageStorage,
    OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    VLEndoscopicImageStorage,
    VLPhotographicImageStorage,
)

from dicomnode.faults import GENERATOR_FORM, NodeError
from dicomnode.learn.generate.cine import tissue_region
from dicomnode.learn.generate.drawn import Drawing, DrawnPicture, DrawnSeries
from dicomnode.learn.generate.items import code_item
from dicomnode.phantom import SeriesForm
from dicomnode.values import Code, Grid

CLASSES: Final = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        DigitalMammographyXRayImageStorageForPresentation,
        DigitalMammographyXRayImageStorageForProcessing,
        UltrasoundImageStorage,
        SecondaryCaptureImageStorage,
        VLEndoscopicImageStorage,
        VLPhotographicImageStorage,
        OphthalmicPhotography8BitImageStorage,
    }
)
"""SOP Classes of pictures that are drawn."""

SLICES: Final = {"CT": CTImageStorage, "MR": MRImageStorage}
"""Modalities of volumes of which slices are drawn, and the class of these."""

# Of an image as it is to be read; what is empty there is empty here
_TAKEN: Final = (
    *("BodyPartExamined", "ViewPosition", "PatientOrientation", "Laterality", "ImageLaterality"),
    *("OrganExposed", "PresentationIntentType", "PositionerType", "BreastImplantPresent", "ConversionType"),
    *("EstimatedRadiographicMagnificationFactor", "PixelIntensityRelationship"),
    *("PixelIntensityRelationshipSign", "AnatomicRegionSequence", "ViewCodeSequence"),
    "AcquisitionDeviceTypeCodeSequence",
)
# Of the machine, which there was none: that they are there is all that is taken
_EMPTY: Final = (
    *("KVP", "PlateID", "DetectorType", "PatientEyeMovementCommanded", "EmmetropicMagnification"),
    *("IntraOcularPressure", "HorizontalFieldOfView", "PupilDilated", "AcquisitionContextSequence"),
    *("RefractiveStateSequence", "IlluminationTypeCodeSequence", "LightPathFilterTypeStackCodeSequence"),
    *("ImagePathFilterTypeStackCodeSequence", "LensesCodeSequence"),
)
# Values are those after the modality LUT, brighter is more: what says otherwise is put right
_PUT_RIGHT: Final[Mapping[str, str]] = {
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "RescaleType": "US",
    "PresentationLUTShape": "IDENTITY",
    "LossyImageCompression": "00",
}
_SCHEMES: Final = frozenset({"SCT", "SRT", "DCM"})  # of codes that are taken: others may mean anything
_PLAIN: Final = frozenset({"CS", "DS", "IS", "US", "SS"})  # VRs whose values are taken
# Of a class that counts frames, of one frame (PS3.3 A.41)
_OF_AN_EYE: Final[dict[str, object]] = {
    "ImageType": ["DERIVED", "PRIMARY", "SYNTHETIC"],
    "SourceImageSequence": [],
    "NumberOfFrames": 1,
    "FrameIncrementPointer": 0x00181063,
    "FrameTime": "0",
    "SynchronizationTrigger": "NO TRIGGER",
    "AcquisitionTimeSynchronized": "N",
}
_STORED: Final = {"CT": (-1024.0, 3071.0), "MR": (-32768.0, 32767.0)}  # HU, and 16 bits with a sign
_LEAST_GREYS: Final = 64.0  # values that a drawing has at least: fewer are seen as steps
_MOST_VALUE: Final = 1e9
_MOST_MM: Final = 1000.0
_CHARACTERS: Final = 16  # of CS, DS and IS
_MODALITY: Final = re.compile(r"[A-Z0-9]{1,16}")
MOST_SIDE: Final = 4096
"""Rows and columns of a drawing."""

_THICK_MM: Final = 1.0  # of a slice whose volume does not say

Words = str | list[str] | list[list[str]]
"""A value of an attribute; of a code sequence its items: value, scheme, meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageForm:
    """The kind of image. kind: "picture", or "volume" of which slices are drawn.

    low, high: values, in the unit of the training images, that the network calls −1 and 1. bits: of a grey
    value, 8 or 12. spacing_mm: between rows and between columns, of the drawing; None where it is not known.
    thickness_mm: of a slice. attributes: of those that are taken of headers, and of no others.
    Raises ValueError: it may come from a file of others.
    """

    kind: str
    sop_class_uid: str
    modality: str
    colour: bool
    side: int
    low: float
    high: float
    bits: int = 12
    spacing_mm: tuple[float, float] | None = None
    thickness_mm: float | None = None
    attributes: Mapping[str, Words] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = CLASSES if self.kind == "picture" else {SLICES.get(self.modality)}
        lengths = [*(self.spacing_mm or (1.0, 1.0)), self.thickness_mm or _THICK_MM]
        for name, holds in (
            ("kind", self.kind in {"picture", "volume"}),
            ("sop_class_uid", self.sop_class_uid in kinds),
            ("modality", _MODALITY.fullmatch(str(self.modality)) is not None),
            ("colour", isinstance(self.colour, bool)),
            ("side", str(self.side).isdecimal() and self.side in range(2, MOST_SIDE + 1)),
            ("bits", self.bits in {8, 12}),
            ("high", _MOST_VALUE > self.high > self.low > -_MOST_VALUE),
            ("spacing_mm", len(lengths) == 3 and all(0.0 < one < _MOST_MM for one in lengths)),
            ("attributes", all(_is_taken(name, one) for name, one in self.attributes.items())),
        ):
            if not holds:
                raise ValueError(f"ImageForm.{name} cannot be {getattr(self, name)!r}")

    @property
    def channels(self) -> int:
        """Of an image: 3 of colour, else 1."""
        return 3 if self.colour else 1

    @property
    def what(self) -> str:
        """What it is called."""
        name = UID(self.sop_class_uid).name.removesuffix(" Storage")
        return f"{name} ({self.modality}), {'slices' if self.kind == 'volume' else 'pictures'}"

    def drawing(
        self, values: NDArray[np.float32], row: Mapping[str, str], frame_of_reference: str
    ) -> Drawing:
        """Return what is written of an image (c, j, i) of −1 to 1. row: of labels.csv."""
        unit = (np.clip(values.astype(np.float64), -1.0, 1.0) + 1.0) / 2.0
        if self.kind == "volume":
            return self._slice(unit[0], row, frame_of_reference)
        planes = np.moveaxis(unit, 0, -1)[np.newaxis]
        if self.colour:
            pixels = np.rint(255.0 * planes).astype(np.uint8)
            return Drawing(picture=self._picture(pixels, {}, frame_of_reference), row=row)
        low, high = self._stored
        stored = np.rint(low + (high - low) * planes).astype(np.uint8 if self.bits == 8 else np.uint16)
        window = {"WindowCenter": f"{(low + high) / 2:g}", "WindowWidth": f"{max(high - low, 1.0):g}"}
        return Drawing(picture=self._picture(stored, window, frame_of_reference), row=row)

    @property
    def _stored(self) -> tuple[float, float]:
        """Values that are stored of grey: its own where its bits hold them, and they are many enough."""
        least, most = (0.0, float(2**self.bits - 1)) if self.kind == "picture" else _STORED[self.modality]
        holds = self.low >= least and self.high <= most and self.high - self.low >= _LEAST_GREYS
        return (self.low, self.high) if holds or self.modality == "CT" else (max(least, 0.0), most)

    def _picture(self, pixels: Any, window: Mapping[str, object], clock_uid: str) -> DrawnPicture:
        given: dict[str, object] = {name: _value(name, one) for name, one in self.attributes.items()}
        if self.sop_class_uid == OphthalmicPhotography8BitImageStorage:
            given |= _OF_AN_EYE | {"SynchronizationFrameOfReferenceUID": clock_uid}
        if self.spacing_mm is not None:
            row_mm, column_mm = self.spacing_mm
            spacing = [f"{row_mm:.6g}", f"{column_mm:.6g}"]
            if self.sop_class_uid == UltrasoundImageStorage:
                regions = [tissue_region(self.side, self.side, row_mm)]
                given["SequenceOfUltrasoundRegions"] = regions
            elif self.modality in {"CR", "DX", "MG"}:
                given |= {"ImagerPixelSpacing": spacing}
                given |= {"PixelSpacing": spacing} if self.modality == "CR" else {}
        return DrawnPicture(
            pixels=pixels,
            sop_class_uid=self.sop_class_uid,
            modality=self.modality,
            description="drawn by a network",
            attributes=given | dict(window),
        )

    def _slice(self, unit: NDArray[np.float64], row: Mapping[str, str], frame_of_reference: str) -> Drawing:
        low, high = self._stored
        values = low + (high - low) * unit
        row_mm, column_mm = self.spacing_mm or (1.0, 1.0)
        affine = np.diag([column_mm, row_mm, self.thickness_mm or _THICK_MM, 1.0])
        affine[:2, 3] = -column_mm * self.side / 2.0, -row_mm * self.side / 2.0
        grid = Grid((1, self.side, self.side), affine, frame_of_reference)
        if self.modality == "CT":
            values = np.clip(values, *_STORED["CT"])
        form = SeriesForm(
            modality="CT" if self.modality == "CT" else "MR",
            description="drawn by a network",
            body_part=str(self.attributes.get("BodyPartExamined") or ""),
        )
        series = DrawnSeries(voxels=np.rint(values)[np.newaxis].astype(np.int16), form=form)
        return Drawing(grid=grid, series=(series,), row=row)


def require_form(kind: str, sop_class_uid: str, modality: str) -> None:
    """Raise NodeError(GENERATOR_FORM) for a kind of image that cannot be written."""
    if not _MODALITY.fullmatch(modality):
        raise NodeError(GENERATOR_FORM, what="no modality", reason="their headers say none")
    if kind == "volume":
        if modality not in SLICES:
            reason = f"slices are drawn of {' and '.join(SLICES)}"
            raise NodeError(GENERATOR_FORM, what=modality, reason=reason)
        return
    if kind != "picture":
        raise NodeError(GENERATOR_FORM, what=modality, reason="they have frames in time")
    if sop_class_uid not in CLASSES:
        what = UID(sop_class_uid).name
        raise NodeError(GENERATOR_FORM, what=what, reason="nothing is known that would make a valid one")


def usual_attributes(headers: Sequence[Dataset]) -> dict[str, Words]:
    """Return what most headers say of how their image is to be read, by keyword."""
    found: dict[str, Words] = {}
    for keyword in _TAKEN:
        said = [words for header in headers if (words := _words(header, keyword)) is not None]
        if 2 * len(said) >= len(headers) and said:
            counts = Counter(repr(one) for one in said)
            usual = min(counts, key=lambda one: (-counts[one], one))
            found[keyword] = next(one for one in said if repr(one) == usual)
    for keyword, value in (*_PUT_RIGHT.items(), *dict.fromkeys(_EMPTY, "").items()):
        if 2 * sum(keyword in header for header in headers) >= len(headers):
            found[keyword] = [] if dictionary_VR(keyword) == "SQ" else value
    return found


def _words(header: Dataset, keyword: str) -> Words | None:
    """Return what a header says; None where it says nothing, or what is not taken."""
    if keyword not in header:
        return None
    element = header[keyword]
    if element.VR == "SQ":
        items = [
            [str(item.get(name, "")) for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")]
            for item in element.value
        ]
        return items if _is_taken(keyword, items) else None
    if element.VR not in _PLAIN:
        return None
    if element.is_empty:
        return ""
    words = [str(one) for one in element.value] if element.VM > 1 else str(element.value)
    return words if _is_taken(keyword, words) else None


def _is_taken(keyword: str, words: Words) -> bool:
    """Whether an attribute, and a value of this form, is taken of a header."""
    if keyword in _EMPTY:
        return words in ("", [])
    if keyword in _PUT_RIGHT:
        return words == _PUT_RIGHT[keyword]
    if keyword not in _TAKEN:
        return False
    if dictionary_VR(keyword) == "SQ":
        return isinstance(words, list) and all(_is_code(one) for one in words)
    said = words if isinstance(words, list) else [words]
    return all(isinstance(one, str) and len(one) <= _CHARACTERS and one.isprintable() for one in said)


def _is_code(item: object) -> bool:
    if not isinstance(item, list) or not all(isinstance(one, str) for one in item) or len(item) != 3:
        return False
    value, scheme, meaning = item
    return scheme in _SCHEMES and 0 < len(value) <= _CHARACTERS and 0 < len(meaning) <= 4 * _CHARACTERS


def _value(keyword: str, words: Words) -> object:
    """Return what is set of an attribute."""
    if dictionary_VR(keyword) == "SQ":
        items = cast("list[list[str]]", words)
        made = [code_item(Code(value, scheme, meaning)) for value, scheme, meaning in items]
        for item in made if keyword == "ViewCodeSequence" else ():
            item.ViewModifierCodeSequence = []  # Type 2 within it (C.8.11.7)
        return made
    if words == "":
        return None
    return int(words) if dictionary_VR(keyword) in {"US", "SS"} and isinstance(words, str) else words
