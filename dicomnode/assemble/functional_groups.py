"""One data set a frame, of an object with functional groups (PS3.3 C.7.6.16).

A frame's data set is flat, as that of a classic image: what stands in the functional groups of all frames
and in those of this one is lifted out, with the keywords of classic images added where the enhanced ones
differ. So a frame is read by the code that reads an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement

from dicomnode.assemble.attributes import items_of, many, value_of
from dicomnode.assemble.bounded import ITEM_MARKS, MOST_ITEMS, TooMuchError
from dicomnode.store.elements import DEEPEST, ScanError, Scanner, Window
from dicomnode.store.foreign import UNREADABLE

GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

_GROUP_TAGS: Final = frozenset(tag_for_keyword(word) or 0 for word in GROUPS)

# Functional group macros whose attributes describe the frame itself (PS3.3 C.7.6.16.2, C.8.13,
# C.8.15, C.8.22). Others name other images, with UIDs that must not become those of the frame.
_MACROS: Final = (
    "UnassignedSharedConvertedAttributesSequence",  # legacy converted objects: what has no group of its own
    "UnassignedPerFrameConvertedAttributesSequence",
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameContentSequence",
    "TemporalPositionSequence",
    "CardiacSynchronizationSequence",
    "RespiratorySynchronizationSequence",
    "ContrastBolusUsageSequence",
    "CTImageFrameTypeSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "CTAcquisitionTypeSequence",
    "MRImageFrameTypeSequence",
    "MRTimingAndRelatedParametersSequence",
    "MRModifierSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "MRMetaboliteMapSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
)
_MAPPINGS: Final = "RealWorldValueMappingSequence"  # taken whole: it may have several items

# What a frame shares with its object, whatever a functional group says.
_OF_THE_OBJECT: Final = frozenset(
    tag_for_keyword(word)
    for word in (
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "PatientID",
        "IssuerOfPatientID",
        "NumberOfFrames",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Rows",
        "Columns",
        "BitsAllocated",
        "PixelRepresentation",
        "InstanceNumber",
    )
)

# Attributes of enhanced images that say what another one says of classic images.
_CLASSIC: Final = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "InversionTimes": "InversionTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
}

# What is more is not taken apart. Real objects have some 15 to 40 items and 100 elements a frame.
_ITEMS_A_FRAME: Final = 200
_ITEMS_BESIDE: Final = 5_000
_MOST_ELEMENTS: Final = 2_000_000
_UNCOUNTED: Final = 4 * 2**20  # bytes: an element has at least 8 of them

# Dimensions (PS3.3 C.7.6.17) that only number the places of the frames.
_PLACES: Final = frozenset(
    tag_for_keyword(word)
    for word in ("InStackPositionNumber", "ImagePositionPatient", "PlanePositionSequence", "SliceLocation")
)


def has_groups(dataset: Dataset, frames: int) -> bool:
    """Tell whether there are functional groups for each of so many frames; raises TooMuchError."""
    for tag in _GROUP_TAGS & dataset.keys():
        raw: object = dataset.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement):
            _bound(raw, frames)
    return frames > 0 and len(items_of(dataset, GROUPS[1])) == frames


def _bound(groups: RawDataElement, frames: int) -> None:
    """Raise TooMuchError for a sequence of more than its frames need, before pydicom takes it apart."""
    value = groups.value or b""
    items = max(value.count(mark) for mark in ITEM_MARKS)
    if items > min(_ITEMS_BESIDE + _ITEMS_A_FRAME * frames, MOST_ITEMS):
        raise TooMuchError(f"its functional groups have {items} items for {frames} frame(s)")
    if len(value) <= _UNCOUNTED:
        return
    scanner = Scanner(
        Window(value),
        implicit=groups.is_implicit_VR,
        big_endian=not groups.is_little_endian,
        most=_MOST_ELEMENTS,
    )
    try:
        _walk(scanner, 0, len(value))
    except ScanError as error:
        raise TooMuchError("its functional groups have too many elements, or are damaged") from error


def _walk(scanner: Scanner, begin: int, end: int, depth: int = 0) -> None:
    """Go through a sequence and those in it; ScanError for more elements than the scanner may see."""
    if depth > DEEPEST:
        raise ScanError("too deep")
    for elements in scanner.items(begin, end):
        for tag, vr, first, last, _ in elements:
            if vr == b"SQ" or (not vr and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"):
                _walk(scanner, first, last, depth + 1)


def frames_of(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a flat data set of each frame, in their order; they share the elements that they have in common.

    dataset: with as many items of Per-Frame Functional Groups Sequence (5200,9230) as frames.
    """
    whole = Dataset()
    whole.update({tag: dataset.get_item(tag) for tag in dataset.keys() - _GROUP_TAGS})
    for group in items_of(dataset, GROUPS[0]):
        _lift(group, whole)
    for tag in list(whole.keys()):  # made once of the bytes, not again for each frame
        value_of(whole, keyword_for_tag(tag))
    kept = _kept_dimensions(dataset)
    for group in items_of(dataset, GROUPS[1]):
        frame = Dataset()
        frame.update(whole)
        _lift(group, frame)
        _only_dimensions(frame, kept)
        _add_classic(frame)
        yield frame


def _lift(group: Dataset, flat: Dataset) -> None:
    for macro in _MACROS:
        for item in items_of(group, macro)[:1]:
            flat.update({tag: item.get_item(tag) for tag in item.keys() - _OF_THE_OBJECT})
    for diffusion in items_of(group, "MRDiffusionSequence")[:1]:
        for item in items_of(diffusion, "DiffusionGradientDirectionSequence")[:1]:
            flat.update({tag: item.get_item(tag) for tag in item.keys() - _OF_THE_OBJECT})
    if items_of(group, _MAPPINGS):
        flat.add(group[_MAPPINGS])


def _add_classic(frame: Dataset) -> None:
    for enhanced, classic in _CLASSIC.items():
        value = value_of(frame, enhanced)
        if value is None:
            continue
        first = value[0] if enhanced == "InversionTimes" and isinstance(value, tuple) else value
        try:
            setattr(frame, classic, list(first) if isinstance(first, tuple) else first)
        except UNREADABLE:
            continue


def _kept_dimensions(dataset: Dataset) -> tuple[int, ...] | None:
    """Return which Dimension Index Values say more than the place of a frame; None if that is not known."""
    pointers = [
        value_of(item, "DimensionIndexPointer") for item in items_of(dataset, "DimensionIndexSequence")
    ]
    if not pointers:
        return None
    return tuple(n for n, pointer in enumerate(pointers) if pointer not in _PLACES)


def _only_dimensions(frame: Dataset, kept: tuple[int, ...] | None) -> None:
    values = many(value_of(frame, "DimensionIndexValues"))
    if kept is None or max(kept, default=-1) >= len(values):
        frame.pop("DimensionIndexValues", None)
        return
    frame.DimensionIndexValues = [int(str(values[n]).split(".")[0]) for n in kept]
