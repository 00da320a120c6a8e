"""What the header of a picture says: view, side, size of a pixel in the patient, times of its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from pydicom import Dataset

from dicomnode.assemble.attributes import items_of, many, numbers_of, positive_of, text_of, value_of, whole_of
from dicomnode.values import PicturePlane

KEYWORDS: Final = (
    "ViewPosition",
    "ViewCodeSequence",
    "ImageLaterality",
    "Laterality",
    "FrameLaterality",
    "PatientOrientation",
    "PresentationIntentType",
    "ImagerPixelSpacing",
    "EstimatedRadiographicMagnificationFactor",
    "SequenceOfUltrasoundRegions",
    "FrameIncrementPointer",
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
)

Spacing = tuple[float, float]

_FRAME_TIME: Final = 0x00181063
_FRAME_TIME_VECTOR: Final = 0x00181065
_MOST_FRAMES: Final = 1_000_000
# Views of CID 4014 and CID 4010 that people call by letters, as View Position (0018,5101) has them; the
# same codes were written as SRT before they were SNOMED CT.
_VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "399162004": "CC",
        "R-10242": "CC",
        "399368009": "MLO",
        "R-10226": "MLO",
        "399260004": "ML",
        "R-10224": "ML",
        "399352003": "LM",
        "R-10228": "LM",
        "399099002": "LMO",
        "399192008": "XCCL",
        "399101009": "XCCM",
        "399196006": "FB",
        "272479007": "PA",
        "R-10214": "PA",
        "399348003": "AP",
        "R-10206": "AP",
        "399067008": "LATERAL",
        "399173006": "LL",
        "R-10236": "LL",
        "399198007": "RL",
        "R-10232": "RL",
    }
)
# Of an ultrasound region (PS3.3 C.8.5.5.1): two-dimensional, tissue or colour flow, and lengths in cm
_TWO_DIMENSIONAL: Final = 1
_OF_TISSUE: Final = frozenset({1, 2})
_CENTIMETRES: Final = 3
_MM_PER_CM: Final = 10.0
_SAME: Final = 1e-4  # of a spacing: two regions, or two attributes, say the same


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What is known of a picture before its pixels are decoded.

    plane: see `PicturePlane`. intent: "FOR PRESENTATION", "FOR PROCESSING" or empty. notes: what was
    found out about the size of its pixels, in sentences.
    """

    plane: PicturePlane
    intent: str = ""
    notes: tuple[str, ...] = ()


def picture_facts(dataset: Dataset) -> PictureFacts:
    """Return what a data set says; what is missing or not valid is None or empty."""
    spacing, notes = _spacing(dataset)
    toward = [str(word).upper() for word in many(value_of(dataset, "PatientOrientation"))]
    plane = PicturePlane(
        spacing_ji_mm=spacing,
        frame_times_ms=_times(dataset),
        view=_view(dataset),
        laterality=_laterality(dataset),
        toward=(toward[0], toward[1]) if len(toward) == 2 and all(toward) else None,
    )
    return PictureFacts(
        plane=plane, intent=text_of(dataset, "PresentationIntentType").upper(), notes=tuple(notes)
    )


def _view(dataset: Dataset) -> str | None:
    """Return the view by its letters; the code is asked first, View Position is retired in some classes."""
    for item in items_of(dataset, "ViewCodeSequence"):
        known = _VIEWS.get(text_of(item, "CodeValue"))
        if known is not None:
            return known
    return text_of(dataset, "ViewPosition").upper() or None


def _laterality(dataset: Dataset) -> str | None:
    """Return "L", "R", "B" or "U": of the image, else of its series (PS3.3 C.7.3.1)."""
    for keyword in ("ImageLaterality", "FrameLaterality", "Laterality"):
        letter = text_of(dataset, keyword).upper()[:1]
        if letter in {"L", "R", "B", "U"}:
            return letter
    return None


# ── the size of a pixel ──


def _spacing(dataset: Dataset) -> tuple[Spacing | None, list[str]]:
    """Return mm of the patient a pixel, and what is to be said of them (PS3.3 10.7.1.3, C.8.5.5.1)."""
    regions = items_of(dataset, "SequenceOfUltrasoundRegions")
    if regions:
        return _of_regions(regions)
    pixel, imager = _positive(dataset, "PixelSpacing"), _positive(dataset, "ImagerPixelSpacing")
    if pixel is not None and (imager is None or not _alike(pixel, imager)):
        return pixel, []  # calibrated, or of a class that has no other
    if imager is None:
        return None, []
    factor = positive_of(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor is None:
        note = (
            f"Pixels of {imager[0]:g} × {imager[1]:g} mm are those of the detector ((0018,1164) Imager Pixel "
            "Spacing): in the patient they are smaller, and lengths are too long by the magnification."
        )
        return imager, [note]
    spacing = (imager[0] / factor, imager[1] / factor)
    note = (
        f"Pixels of {imager[0]:g} × {imager[1]:g} mm at the detector ((0018,1164) Imager Pixel Spacing) are "
        f"{spacing[0]:.4g} × {spacing[1]:.4g} mm in the patient by the magnification {factor:g} "
        "((0018,1114) Estimated Radiographic Magnification Factor)."
    )
    return spacing, [note]


def _positive(dataset: Dataset, keyword: str) -> Spacing | None:
    """Return a spacing between rows and columns; 0.000 is written by some, and says nothing."""
    numbers = numbers_of(dataset, keyword, 2)
    return (numbers[0], numbers[1]) if numbers and min(numbers) > 0 else None


def _alike(one: Spacing, other: Spacing) -> bool:
    return all(abs(a - b) <= _SAME * a for a, b in zip(one, other, strict=True))


def _of_regions(regions: Sequence[Dataset]) -> tuple[Spacing | None, list[str]]:
    """Return the spacing that all two-dimensional regions of tissue agree in."""
    found = [spacing for spacing in map(_of_region, regions) if spacing is not None]
    others = len(regions) - len(found)
    notes = []
    if others:
        notes.append(
            f"{others} of {len(regions)} ultrasound region(s) show no tissue in two dimensions: text, curves "
            "or scales may be drawn into the pixels."
        )
    if not found:
        return None, notes
    if any(not _alike(found[0], one) for one in found[1:]):
        notes.append("Its ultrasound regions have pixels of different sizes: the picture has no spacing.")
        return None, notes
    return found[0], notes


def _of_region(region: Dataset) -> Spacing | None:
    if whole_of(region, "RegionSpatialFormat") != _TWO_DIMENSIONAL:
        return None
    if whole_of(region, "RegionDataType") not in _OF_TISSUE:
        return None
    units = [whole_of(region, f"PhysicalUnits{axis}Direction") for axis in "XY"]
    deltas = [value_of(region, f"PhysicalDelta{axis}") for axis in "YX"]
    numbers = [abs(float(one)) * _MM_PER_CM for one in deltas if isinstance(one, int | float) and one != 0]
    if units != [_CENTIMETRES, _CENTIMETRES] or len(numbers) != 2:
        return None
    return numbers[0], numbers[1]


# ── the times of the frames ──


def _times(dataset: Dataset) -> tuple[float, ...]:
    """Return the times of the frames in ms from the first one on; none where they are not told.

    Frame Increment Pointer (0028,0009) names the attribute that counts (PS3.3 C.7.6.6.1.1); where it names
    none, the one that is there. A rate for display alone says nothing of when frames were made.
    """
    frames = whole_of(dataset, "NumberOfFrames") or 1
    if not 1 < frames <= _MOST_FRAMES:
        return ()
    pointer = whole_of(dataset, "FrameIncrementPointer")
    steps = many(value_of(dataset, "FrameTimeVector")) if pointer != _FRAME_TIME else ()
    if len(steps) == frames:
        numbers = [float(one) for one in steps if isinstance(one, int | float) and one >= 0]
        # The first increment is 0 (C.7.6.5.1.2); where it is not, nothing comes before the first frame
        return tuple(accumulate([0.0, *numbers[1:]])) if len(numbers) == frames else ()
    frame_ms = positive_of(dataset, "FrameTime")
    rate = positive_of(dataset, "CineRate")
    if frame_ms is None and rate is not None and pointer not in (_FRAME_TIME, _FRAME_TIME_VECTOR):
        frame_ms = 1000.0 / rate
    return tuple(frame_ms * number for number in range(frames)) if frame_ms is not None else ()
