"""What functional groups say of a frame (PS3.3 C.7.6.16.2), lifted out of them.

There may be a group for each of 20 000 frames, of 20 sequences each, most of them equal in all frames.
pydicom takes a millisecond for a group, and keeps it. So groups are found by the store's scanner, one after
the other, and what has the same bytes is taken apart once. What is not plain is left to pydicom; both give
the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from dicomnode.assemble.attributes import items_of
from dicomnode.assemble.dataset import base_tag, dataset_of, encodings_of, is_plain_item
from dicomnode.store.elements import Element, ScanError, Scanner, Window

Elements = dict[BaseTag, DataElement | RawDataElement]

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
_DIFFUSION: Final = "MRDiffusionSequence"
_GRADIENT: Final = "DiffusionGradientDirectionSequence"  # in it
_LIFTED: Final = {base_tag(tag_for_keyword(word) or 0): word for word in (*_MACROS, _MAPPINGS)}

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

# Macros that are remembered: those of one object that differ, and how long they may be
_REMEMBERED: Final = 1024
_REMEMBERED_BYTES: Final = 4096


class Lifting:
    """Lifts attributes out of the groups of one object; it remembers those that it has lifted."""

    def __init__(self) -> None:
        self._seen: dict[tuple[BaseTag, bytes], Elements] = {}

    def lifted(self, group: Dataset) -> Elements:
        """Return the elements that describe the frame, or frames, of a group."""
        found: Elements = {}
        there = group.keys()
        for tag, macro in _LIFTED.items():
            if tag in there:
                found |= self._of(group, tag, macro)
        return found

    def _of(self, group: Dataset, tag: BaseTag, macro: str) -> Elements:
        raw: object = group.get_item(tag, keep_deferred=True)
        value = raw.value if isinstance(raw, RawDataElement) else None
        if value is None or len(value) > _REMEMBERED_BYTES:
            return _take_apart(group, macro)
        elements = self._seen.get((tag, value))
        if elements is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            elements = self._seen[tag, value] = _take_apart(group, macro)
        return elements


def _take_apart(group: Dataset, macro: str) -> Elements:
    """Return the elements of the first item of a macro that describe a frame."""
    if macro == _MAPPINGS:
        tag = base_tag(tag_for_keyword(macro) or 0)
        return {tag: group.get_item(tag)} if count_groups(group, macro) else {}
    found: Elements = {}
    for item in groups_in(group, macro):
        found |= _own(item)
        if macro == _DIFFUSION:
            for gradient in items_of(item, _GRADIENT)[:1]:
                found |= _own(gradient)
        break
    return found


def _own(item: Dataset) -> Elements:
    return {tag: item.get_item(tag) for tag in item.keys() - _OF_THE_OBJECT}


def count_groups(dataset: Dataset, keyword: str) -> int:
    """Return how many items a sequence has; 0 if it is missing or cannot be read."""
    scan = _scan(dataset, keyword)
    if scan is not None:
        try:
            return sum(1 for _ in scan[1])
        except ScanError:
            pass
    return len(items_of(dataset, keyword))


def groups_in(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Yield the items of a sequence, one after the other; none if it is missing or cannot be read."""
    done, scan, encodings = 0, _scan(dataset, keyword), encodings_of(dataset)
    if scan is not None:
        scanner, items = scan
        try:
            for elements in items:
                if not is_plain_item(elements, implicit=scanner.implicit):
                    break
                yield dataset_of(scanner, elements, encodings)
                done += 1
            else:
                return
        except ScanError:
            pass
    yield from items_of(dataset, keyword)[done:]


def _scan(dataset: Dataset, keyword: str) -> tuple[Scanner, Iterator[list[Element]]] | None:
    """Scan a sequence that is still as it was read; None where it is not, or not little endian."""
    tag = base_tag(tag_for_keyword(keyword) or 0)
    if tag not in dataset.keys():  # noqa: SIM118  a dict's answer: a data set's own is ten times slower
        return None
    raw: object = dataset.get_item(tag, keep_deferred=True)
    if not isinstance(raw, RawDataElement) or not raw.value or not raw.is_little_endian:
        return None
    if raw.VR not in ("SQ", None):
        return None
    # Its caller has bounded the elements of all groups (`functional_groups`)
    scanner = Scanner(Window(raw.value), implicit=raw.is_implicit_VR, most=len(raw.value))
    return scanner, scanner.items(0, len(raw.value))
