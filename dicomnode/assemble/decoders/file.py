"""The pixels of one Part 10 file, frame by frame: found by offsets, never all of them in memory.

Native frames lie one behind the other. Encapsulated ones are fragments (PS3.5 A.4); which of them make a
frame is told by the offset tables (PS3.3 C.7.6.3.1.8) only where the fragments do not tell it themselves.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, Self

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID, RLELossless

from dicomnode.assemble.attributes import text_of, whole_of
from dicomnode.assemble.dataset import PIXEL_DATA, UNDEFINED_LENGTH, UpToPixels, Wanted, read_up_to_pixels
from dicomnode.assemble.record import Header
from dicomnode.store.foreign import UNREADABLE, file_unreadable, is_of_the_disk, reason

_ITEM: Final = (0xFFFE, 0xE000)
_PIXEL_MODULE: Final = Wanted(
    tags=frozenset(
        tag_for_keyword(word) or 0
        for word in (
            "SOPInstanceUID",
            "SamplesPerPixel",
            "PhotometricInterpretation",
            "PlanarConfiguration",
            "NumberOfFrames",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
            "ExtendedOffsetTable",
        )
    ),
    longest=2**28,  # bytes: an offset table has 8 a frame
    longer={},
)
_DELIMITER: Final = (0xFFFE, 0xE0DD)
# A fragment may be empty: 8 bytes of a file, and hundreds in a list
_MOST_FRAGMENTS: Final = 100_000
# T.81 B.1.1.3 EOI, T.800 A.4.4 EOC: the last two bytes of a codestream, then at most padding
_END_OF_STREAM: Final = b"\xff\xd9"

Fragment = tuple[int, int]
"""Where a fragment's bytes begin, and how many there are."""


class DecodingError(Exception):
    """An image cannot be had from its file; the text says why."""


class UndecodableError(DecodingError):
    """The pixels cannot be decoded; the text says why."""


class ImplausibleError(DecodingError):
    """The pixels were decoded to something that they cannot be; the text says to what."""


@dataclass(slots=True, eq=False)
class ImageFile:
    """An open file with one or several images.

    header: all before the pixels. frames: how many it has. Where `encapsulated`, a frame is a codestream;
    else it is what Rows, Columns and the like say.
    """

    path: Path
    header: UpToPixels
    syntax: UID
    frames: int
    encapsulated: bool
    pixel_vr: str
    _source: BinaryIO
    _begin: int
    _length: int
    _index: Sequence[Sequence[Fragment]] | None = field(default=None)

    @property
    def dataset(self) -> Dataset:
        """All before the pixels, as a new data set."""
        return self.header.everything()

    @property
    def pixel_module(self) -> Dataset:
        """At least the Image Pixel module (PS3.3 C.7.6.3)."""
        return self.header.dataset

    def __enter__(self) -> Self:
        """Use it as a context; the file is closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def codestream(self, number: int) -> bytes:
        """Return the encoded bytes of a frame, counted from 0; UndecodableError if they are not there."""
        if self._index is None:
            self._index = self._frames()
        if not 0 <= number < len(self._index):
            raise UndecodableError(f"it has {len(self._index)} frames, not {number + 1}")
        return b"".join(self._read(*fragment) for fragment in self._index[number])

    def native(self, begin: int, length: int) -> bytes:
        """Return `length` bytes of the native pixels; UndecodableError if they are not there."""
        if self._length == UNDEFINED_LENGTH:
            raise UndecodableError("its Pixel Data are encapsulated, and its transfer syntax is not")
        if self._length < begin + length:
            raise UndecodableError(f"its Pixel Data end after {self._length} of {begin + length} bytes")
        return self._read(self._begin + begin, length)

    def _read(self, begin: int, length: int) -> bytes:
        try:
            self._source.seek(begin)
            return self._source.read(length)
        except OSError as error:
            raise file_unreadable(self.path, error) from error

    def _frames(self) -> Sequence[Sequence[Fragment]]:
        """Say which fragments make which frame."""
        fragments = self._fragments()
        if len(fragments) < 2:
            raise UndecodableError("its Pixel Data have no fragment")
        (_, *data), frames = fragments, self.frames
        if frames == 1:
            return [data]
        if len(data) == frames:
            return [[one] for one in data]
        if len(data) < frames or self.syntax == RLELossless:  # PS3.5 A.4.2: one fragment a frame
            raise UndecodableError(f"it has {frames} frames, and {len(data)} fragments of them")
        for first in (self._starts(fragments), self._starts_by_ends(data)):
            if len(first) == frames and first[0] == 0:
                return [data[a:b] for a, b in pairwise((*first, len(data)))]
        raise UndecodableError(f"which of its {len(data)} fragments make its {frames} frames is not told")

    def _starts(self, fragments: Sequence[Fragment]) -> Sequence[int]:
        """Return the fragment that each frame begins with, by the offset tables; none if they are wrong."""
        (table, *data) = fragments
        extended = self.pixel_module.get("ExtendedOffsetTable")
        content, dtype = (extended, "<u8") if isinstance(extended, bytes) else (self._read(*table), "<u4")
        count = len(content) // np.dtype(dtype).itemsize
        offsets = np.frombuffer(content, dtype, count).tolist()
        # From the first item after the table (PS3.5 A.4); `data` are places of values, 8 bytes further
        numbers = {begin - data[0][0]: number for number, (begin, _) in enumerate(data)}
        found = [numbers[offset] for offset in offsets if offset in numbers]
        return found if len(found) == len(offsets) and found == sorted(set(found)) else ()

    def _starts_by_ends(self, data: Sequence[Fragment]) -> Sequence[int]:
        """Return the same by the last bytes of the fragments, if the last one ends a frame."""
        tails = [self._read(begin + max(length - 4, 0), min(length, 4)) for begin, length in data]
        ends = [n for n, tail in enumerate(tails) if tail.rstrip(b"\0").endswith(_END_OF_STREAM)]
        return [0, *(end + 1 for end in ends[:-1])] if ends and ends[-1] == len(data) - 1 else ()

    def _fragments(self) -> list[Fragment]:
        """Return the fragments in their order, the first being the Basic Offset Table."""
        if self._length != UNDEFINED_LENGTH:
            raise UndecodableError("its Pixel Data are not encapsulated as PS3.5 A.4 says")
        end = self._source.seek(0, io.SEEK_END)
        at, found = self._begin, list[Fragment]()
        while True:
            head = self._read(at, 8)
            if len(head) < 8:
                raise UndecodableError(f"its Pixel Data are cut off after {len(found)} fragments")
            group, element, length = struct.unpack("<HHL", head)
            if (group, element) == _DELIMITER:
                return found
            if (group, element) != _ITEM or length == UNDEFINED_LENGTH:
                raise UndecodableError("its Pixel Data are not encapsulated as PS3.5 A.4 says")
            if at + 8 + length > end:
                raise UndecodableError(f"its Pixel Data are cut off within fragment {len(found)}")
            if len(found) > _MOST_FRAGMENTS:
                raise UndecodableError(f"its Pixel Data have more than {_MOST_FRAGMENTS} fragments")
            found.append((at + 8, length))
            at += 8 + length


def open_image(header: Header) -> ImageFile:
    """Open the file that a header was read from.

    Raises UndecodableError if it is not that file or has no pixels, NodeError(FILE_UNREADABLE) if the disk
    does not give it. Call it within `quiet()`.
    """
    try:
        image = _open(header.path)
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(header.path, error) from error
        raise UndecodableError(reason(error)) from error
    except UNREADABLE as error:
        raise UndecodableError(reason(error)) from error
    found = text_of(image.pixel_module, "SOPInstanceUID")
    if (found, image.syntax) != (header.sop_instance_uid, header.transfer_syntax_uid):
        image.close()
        raise UndecodableError("the file was changed after it was read")
    return image


def _open(path: Path) -> ImageFile:
    file: BinaryIO = path.open("rb", buffering=0)
    try:
        read = read_up_to_pixels(file, _PIXEL_MODULE)
        if read.inflated is not None:  # all of it is in memory
            file.close()
            file = read.inflated
        return _image(path, file, read)
    except BaseException:
        file.close()
        raise


def _image(path: Path, file: BinaryIO, read: UpToPixels) -> ImageFile:
    pixels = read.pixels
    if pixels is None or pixels.tag != PIXEL_DATA:
        raise UndecodableError("it has no Pixel Data")
    there = max(read.size - pixels.begin, 0)
    syntax = UID(read.transfer_syntax_uid)
    return ImageFile(
        path=path,
        header=read,
        syntax=syntax,
        frames=_number_of_frames(read.dataset),
        encapsulated=syntax.is_encapsulated,
        pixel_vr=pixels.vr or "OW",
        _source=file,
        _begin=pixels.begin,
        _length=pixels.length if pixels.length == UNDEFINED_LENGTH else min(pixels.length, there),
    )


def _number_of_frames(dataset: Dataset) -> int:
    return max(whole_of(dataset, "NumberOfFrames") or 1, 1)
