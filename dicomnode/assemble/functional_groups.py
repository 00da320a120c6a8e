"""One data set a frame, of an object with functional groups (PS3.3 C.7.6.16).

A frame's data set is flat, as that of a classic image: what stands in the functional groups of all frames
and in those of this one is lifted out, with the keywords of classic images added where the enhanced ones
differ. So a frame is read by the code that reads an image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement

from dicomnode.assemble.agents import Agents
from dicomnode.assemble.attributes import items_of, many, value_of
from dicomnode.assemble.bounded import ITEM_MARKS, TooMuchError, most_elements, most_items
from dicomnode.assemble.dataset import read_as
from dicomnode.assemble.macros import Elements, Lifting, count_groups, groups_in
from dicomnode.store.elements import SHORT_VRS, UNDEFINED, ScanError
from dicomnode.store.foreign import UNREADABLE
from dicomnode.values import Fact

GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

_GROUP_TAGS: Final = frozenset(tag_for_keyword(word) or 0 for word in GROUPS)

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

_UNCOUNTED: Final = 4 * 2**20  # bytes: an element has at least 8 of them
_ITEM: Final = 0xFFFEE000
_ENDS: Final = (0xFFFEE00D, 0xFFFEE0DD)  # of an item, of a sequence

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
    return frames > 0 and count_groups(dataset, GROUPS[1]) == frames


def _bound(groups: RawDataElement, frames: int) -> None:
    """Raise TooMuchError for a sequence of more than its frames need, before pydicom takes it apart."""
    value = groups.value
    if value is None:  # pydicom would fetch it by itself, unbounded
        if groups.length:
            raise TooMuchError(f"its functional groups of {groups.length} bytes were not read")
        return
    items, most = max(value.count(mark) for mark in ITEM_MARKS), most_items(frames)
    if items > most:
        raise TooMuchError(f"its functional groups have {items} items for {frames} frame(s), {most} at most")
    if len(value) <= _UNCOUNTED:
        return
    most = most_elements(frames)
    try:
        if any(n >= most for n, _ in enumerate(_heads(groups, value))):
            raise TooMuchError(f"its functional groups have too many elements: {most} may be")
    except (ScanError, struct.error) as error:
        raise TooMuchError("its functional groups are damaged") from error


class _Open(NamedTuple):
    """A sequence or an item that is walked in: where it ends at the latest, whether that is marked."""

    end: int
    marked: bool
    implicit: bool


def _heads(groups: RawDataElement, value: bytes) -> Iterator[int]:
    """Yield the tag of each element, item and delimiter of a sequence and of those in it, each once.

    ScanError, struct.error where one does not end within what holds it.
    """
    order = "<" if groups.is_little_endian else ">"
    head, long = struct.Struct(order + "HH2sH").unpack_from, struct.Struct(order + "L").unpack_from
    inside, outer, at = _Open(end=len(value), marked=True, implicit=groups.is_implicit_VR), list[_Open](), 0
    while at < inside.end:
        # An item of no length may be the last: its head has 8 bytes, that of an element 8 or 12
        group, number, vr, length = head(value, at)
        tag = group << 16 | number
        yield tag
        if tag in _ENDS:
            if not inside.marked:
                raise ScanError(f"an end is marked at byte {at}, where none is due")
            if not outer:
                return
            at, inside = at + 8, outer.pop()
        else:
            begin = at + 8
            if tag == _ITEM or inside.implicit:
                vr, length = b"", long(value, at + 4)[0]
            elif vr not in SHORT_VRS:
                begin, length = at + 12, long(value, at + 8)[0]
            at = begin if length == UNDEFINED else begin + length
            if at > inside.end:
                raise ScanError(f"what begins at byte {begin} reaches behind what holds it")
            if tag == _ITEM or length == UNDEFINED or _is_sequence(tag, vr):
                outer.append(inside)
                inside, at = _opened(inside, vr, length, begin), begin
        while at == inside.end and outer:
            inside = outer.pop()


def _opened(holder: _Open, vr: bytes, length: int, begin: int) -> _Open:
    if length == UNDEFINED:  # PS3.5 6.2.2: UN of undefined length holds a sequence in Implicit VR
        return _Open(end=holder.end, marked=True, implicit=holder.implicit or vr == b"UN")
    return _Open(end=begin + length, marked=False, implicit=holder.implicit)


def _is_sequence(tag: int, vr: bytes) -> bool:
    return vr == b"SQ" or (not vr and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ")


def frames_of(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a flat data set of each frame, in their order; they share the elements that they have in common.

    dataset: with as many items of Per-Frame Functional Groups Sequence (5200,9230) as frames.
    """
    lifting = Lifting()
    whole = read_as(Dataset({tag: dataset.get_item(tag) for tag in dataset.keys() - _GROUP_TAGS}), dataset)
    shared = list(groups_in(dataset, GROUPS[0]))
    for group in shared:
        whole.update(lifting.lifted(group))
    agents = Agents(dataset, shared)
    for tag in list(whole.keys()):  # made once of the bytes, not again for each frame
        value_of(whole, keyword_for_tag(tag))
    common: Elements = {tag: whole.get_item(tag) for tag in whole.keys()}  # noqa: SIM118  of a data set, not of a dict
    kept = _kept_dimensions(dataset)
    for group in groups_in(dataset, GROUPS[1]):
        frame = read_as(Dataset(common | lifting.lifted(group)), dataset)
        _only_dimensions(frame, kept)
        _add_classic(frame)
        agents.tell(group, frame)
        yield frame


def _add_classic(frame: Dataset) -> None:
    for enhanced, classic in _CLASSIC.items():
        value = value_of(frame, enhanced)
        if value is None:
            continue
        first = value[0] if enhanced == "InversionTimes" and isinstance(value, tuple) else value
        element = _classic(classic, first)
        if element is not None:
            frame[element.tag] = element


@lru_cache(maxsize=1024)
def _classic(keyword: str, value: Fact) -> DataElement | None:
    """Write a value as an attribute of classic images; None where it cannot be one."""
    tag = tag_for_keyword(keyword) or 0
    try:
        return DataElement(tag, dictionary_VR(tag), list(value) if isinstance(value, tuple) else value)
    except UNREADABLE:
        return None


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
    element = _classic("DimensionIndexValues", tuple(int(str(values[n]).split(".")[0]) for n in kept))
    if element is not None:
        frame[element.tag] = element
