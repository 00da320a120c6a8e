"""A data set up to its pixels, with its elements as they lie in the file.

pydicom's reader takes a millisecond for a header of a hundred elements. So elements are found by the store's
scanner, and pydicom converts those values that somebody asks for. What is not plain Explicit or Implicit VR
Little Endian, or is damaged, is left to pydicom's reader; both give the same data set.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import BinaryIO, Final, cast

from pydicom import Dataset
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.values import convert_string, converters

from dicomnode.assemble.bounded import Bounded, frames_written, inflated, most_elements
from dicomnode.store.elements import IMPLICIT_LE, Element, ScanError, Scanner, Window

Encodings = str | MutableSequence[str]
"""Of Python, of the terms of Specific Character Set (0008,0005)."""

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
PIXEL_DATA: Final = 0x7FE00010
FIRST_PIXELS: Final = 0x7FE00008
"""Float Pixel Data; offset tables stand before."""

_PREAMBLE: Final = 132  # bytes, with the mark (PS3.10 7.1)
_META: Final = range(0x00020000, 0x00030000)
_FIRST_TAG: Final = 0x00080000
_TRANSFER_SYNTAX: Final = 0x00020010
_CHARACTER_SET: Final = 0x00080005
_NUMBER_OF_FRAMES: Final = 0x00280008
_LONGEST_COUNT: Final = 16  # bytes of a number of frames
# Transfer syntaxes of the standard are Explicit VR Little Endian but for these: the first one is Implicit,
# the others are Big Endian or compressed as a whole
_STANDARD: Final = "1.2.840.10008.1.2"
_OTHERS: Final = frozenset(f"{_STANDARD}.{last}" for last in ("2", "1.99", "4.95", "4.205"))
# What the standard defines; implicit elements have none
PLAIN_VRS: Final = frozenset({b""} | {vr.encode() for vr in converters if len(vr) == 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which elements are to be read.

    longest: bytes of a value; what is longer is left out. longer: the same of some tags that may be longer.
    """

    tags: frozenset[int]
    longest: int
    longer: Mapping[int, int]

    def keeps(self, tag: int, length: int) -> bool:
        """Tell whether an element of so many bytes is to be read, up to its end also where that is marked."""
        return tag in self.tags and length <= self.longer.get(tag, self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelElement:
    """The element of the pixels: its tag, its VR (None in implicit VR), where its value begins.

    length: as written, also where it is `UNDEFINED_LENGTH` or more than there is.
    """

    tag: int
    vr: str | None
    begin: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpToPixels:
    """What stands before the pixels of a file. dataset: what was wanted of it. size: of the file, in bytes.

    scan: where all elements lie, while the file is open; None where pydicom has read them. inflated: what a
    deflated file became; then places and size are those in it. dropped: tags that pydicom found, and that
    were too long.
    """

    dataset: Dataset
    transfer_syntax_uid: str
    pixels: PixelElement | None
    size: int
    scan: tuple[Scanner, list[Element]] | None
    inflated: BinaryIO | None = None
    dropped: frozenset[int] = frozenset()

    def left_out(self, tag: int) -> bool:
        """Tell whether the file has an element that is not in `dataset`."""
        found = () if self.scan is None else self.scan[1]
        return tag in self.dropped or (tag not in self.dataset and any(one[0] == tag for one in found))

    def everything(self) -> Dataset:
        """Return a data set of all elements before the pixels."""
        return self.dataset if self.scan is None else dataset_of(*self.scan)


def read_up_to_pixels(file: BinaryIO, wanted: Wanted | None = None) -> UpToPixels:
    """Read a Part 10 file up to its pixels; raises what pydicom raises (`foreign.UNREADABLE`), and OSError.

    wanted: of `dataset`, at least; `everything` has all.
    """
    return scanned(file, wanted, whole=True) or read_by_pydicom(file)


def scanned(file: BinaryIO, wanted: Wanted | None = None, *, whole: bool = False) -> UpToPixels | None:
    """Do it by the scanner; None for a file that it is not made for.

    whole: also elements that are not wanted are going to be asked for.
    """
    window = Window(file)
    try:
        meta, start = Scanner(window, implicit=False).elements(_PREAMBLE, before=_META.stop)
        syntax = _transfer_syntax(window, meta)
        if syntax is None:
            return None
        implicit = syntax == IMPLICIT_LE
        scanner = Scanner(window, implicit=implicit, most=most_elements(0))
        elements, end = scanner.elements(start, before=_NUMBER_OF_FRAMES + 1)
        # Functional groups whose ends are only marked are walked over one by one, in a microsecond each
        scanner = Scanner(window, implicit=implicit, most=most_elements(_frames(window, elements)))
        behind, end = scanner.elements(end, before=FIRST_PIXELS)
        elements += behind
        pixels = _pixels(scanner, end) if end < window.size else None
    except ScanError:
        return None
    kept = elements if wanted is None else _kept(wanted, elements)
    if not _is_plain(elements, elements if whole else kept, implicit=scanner.implicit):
        return None
    return UpToPixels(
        dataset=dataset_of(scanner, kept),
        transfer_syntax_uid=syntax,
        pixels=pixels,
        size=window.size,
        scan=(scanner, elements),
    )


def _frames(window: Window, elements: Sequence[Element]) -> int:
    """Return the Number of Frames if that is the last of these elements; else 0."""
    if not elements or elements[-1][0] != _NUMBER_OF_FRAMES:
        return 0
    _, _, begin, end, _ = elements[-1]
    return frames_written(window.take(begin, min(end, begin + _LONGEST_COUNT)))


def _kept(wanted: Wanted, elements: Sequence[Element]) -> list[Element]:
    """Return the elements that are wanted, and Specific Character Set, by which texts are read."""
    return [
        one
        for one in elements
        if one[0] == _CHARACTER_SET or (one[0] in wanted.tags and wanted.keeps(one[0], one[3] - one[2]))
    ]


def _transfer_syntax(window: Window, meta: Sequence[Element]) -> str | None:
    """Return the transfer syntax if it is a standard one that is little endian and not deflated."""
    if any(tag not in _META for tag, *_ in meta):
        return None
    for tag, _, begin, end, _ in meta:
        if tag == _TRANSFER_SYNTAX:
            syntax = window.take(begin, end).decode("latin-1").rstrip("\0 ")
            return syntax if syntax.startswith(_STANDARD) and syntax not in _OTHERS else None
    return None


def _pixels(scanner: Scanner, at: int) -> PixelElement | None:
    """Look at the element where the scan stopped."""
    head = scanner.window.take(at, at + 12)
    tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
    if tag > PIXEL_DATA:
        return None
    if scanner.implicit:
        length = int.from_bytes(head[4:8], "little")
        return PixelElement(tag=tag, vr=None, begin=at + 8, length=length)
    vr = head[4:6]
    if vr not in (b"OB", b"OW", b"OF", b"OD", b"UN") or len(head) < 12:
        raise ScanError("its Pixel Data are of another VR")
    # PS3.5 7.1.2: these have 2 reserved bytes and a length of 4
    return PixelElement(
        tag=tag, vr=vr.decode("ascii"), begin=at + 12, length=int.from_bytes(head[8:12], "little")
    )


def _is_plain(elements: Sequence[Element], kept: Sequence[Element], *, implicit: bool) -> bool:
    """Tell whether pydicom would find the same elements."""
    if not elements or elements[0][0] < _FIRST_TAG:
        return False
    if implicit:
        # Undefined length without a VR: a sequence where the dictionary says so, else pydicom looks inside
        return all(not undefined or _vr(tag) == "SQ" for tag, _, _, _, undefined in kept)
    vrs, endless = {one[1] for one in elements}, {one[1] for one in kept if one[4]}
    return vrs <= PLAIN_VRS and endless <= {b"SQ"}


def is_plain_item(elements: Sequence[Element], *, implicit: bool) -> bool:
    """Tell whether pydicom would find the same elements in an item of a sequence."""
    endless = [one for one in elements if one[4]]
    if implicit:
        return all(_vr(one[0]) == "SQ" for one in endless)
    return {one[1] for one in elements} <= PLAIN_VRS and all(one[1] == b"SQ" for one in endless)


def dataset_of(
    scanner: Scanner, elements: Sequence[Element], otherwise: Encodings = default_encoding
) -> Dataset:
    """Return a data set of elements that were found; their values are converted when they are asked for.

    otherwise: how its texts are encoded where it does not say so itself: as in what it is an item of.
    """
    take, implicit = scanner.window.take, scanner.implicit
    raw: dict[BaseTag, DataElement | RawDataElement] = {}
    for tag, vr, begin, end, undefined in elements:
        base, written = base_tag(tag), _vr(tag) if undefined else _written(vr)
        value = take(begin, end) if end > begin else _nothing(written)
        raw[base] = RawDataElement(base, written, end - begin, value, begin, implicit, True)
    dataset = Dataset(raw)
    charset = raw.get(base_tag(_CHARACTER_SET))
    encoding = otherwise if charset is None else list(_encodings(charset.value or b""))
    dataset.set_original_encoding(implicit, True, encoding)
    return dataset


def read_as(dataset: Dataset, other: Dataset) -> Dataset:
    """Have the texts of a data set that was made of elements of another be read as those of that."""
    implicit, little = other.original_encoding
    dataset.set_original_encoding(implicit, little, encodings_of(other))
    return dataset


def encodings_of(dataset: Dataset) -> Encodings:
    """Return how the texts of a data set are encoded, as it was read."""
    return dataset.original_character_set or default_encoding


@lru_cache(maxsize=64)
def _nothing(vr: str | None) -> bytes | None:
    """Return what pydicom's reader has for a value of no length."""
    value = empty_value_for_VR(vr, raw=True)
    return value if isinstance(value, bytes) else None


@lru_cache(maxsize=64)
def _encodings(value: bytes) -> tuple[str, ...]:
    """Return the encodings of a Specific Character Set as written."""
    return tuple(convert_encodings(convert_string(value, is_little_endian=True)))


@lru_cache(maxsize=4096)
def base_tag(tag: int) -> BaseTag:
    """Return pydicom's tag, the same one each time: so a data set finds it without comparing."""
    return BaseTag(tag)


@lru_cache(maxsize=64)
def _written(vr: bytes) -> str | None:
    return vr.decode("ascii") or None


@lru_cache(maxsize=1024)
def _vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def read_by_pydicom(file: BinaryIO, wanted: Wanted | None = None) -> UpToPixels:
    """Do `read_up_to_pixels` by pydicom's reader, bounded; inflate what is deflated.

    Raises also TooMuchError, a ValueError.
    """
    content = inflated(file)
    if content is not None:
        read = scanned(content, wanted) or read_by_pydicom(content, wanted)
        return replace(read, transfer_syntax_uid=str(DeflatedExplicitVRLittleEndian), inflated=content)
    seen: list[tuple[int, str | None, int]] = []
    bounded = Bounded(file)

    def reached(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag == _NUMBER_OF_FRAMES:  # it stands in front of what grows with it
            place = file.tell()
            bounded.allow(frames_written(file.read(min(length, _LONGEST_COUNT))))
            file.seek(place)
        if FIRST_PIXELS <= tag <= PIXEL_DATA:
            seen.append((int(tag), vr, length))
        return int(tag) >= FIRST_PIXELS

    file.seek(0)
    dataset = read_partial(
        cast(BinaryIO, bounded),
        stop_when=reached,
        defer_size=None if wanted is None else wanted.longest,
        specific_tags=None if wanted is None else list(wanted.tags),
    )
    pixels = None
    if seen:
        tag, vr, length = seen[0]
        pixels = PixelElement(tag=tag, vr=vr, begin=file.tell() + (8 if vr is None else 12), length=length)
    return UpToPixels(
        dataset=dataset,
        transfer_syntax_uid=str(dataset.file_meta.get("TransferSyntaxUID") or ""),
        pixels=pixels,
        size=file.seek(0, io.SEEK_END),
        scan=None,
        dropped=frozenset() if wanted is None else _load_or_drop(file, dataset, wanted),
    )


def _load_or_drop(file: BinaryIO, dataset: Dataset, wanted: Wanted) -> frozenset[int]:
    """Load what may be long, and take out what is too long; return the tags of that.

    What is not loaded here pydicom would load when it is asked for, and nobody would see how much that is.
    """
    dropped = []
    for tag in list(dataset.keys()):
        element: object = dataset.get_item(tag, keep_deferred=True)
        if tag == _CHARACTER_SET or not isinstance(element, RawDataElement):
            continue
        length = element.length if element.value is None else len(element.value)
        if not wanted.keeps(int(tag), length):
            dropped.append(int(tag))
            del dataset[tag]
        elif element.value is None and length:
            file.seek(element.value_tell)
            dataset[tag] = element._replace(value=file.read(length))
    return frozenset(dropped)
