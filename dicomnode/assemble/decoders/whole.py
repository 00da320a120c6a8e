"""Whether a JPEG stream held all of its image, and nothing else.

Where the data of a scan end too early, libjpeg goes on with zeros, and gives a whole image without an error
(jdhuff.c, `insufficient_data`). GDCM's libjpeg says so on the standard error of C. Pillow's is silent, but
which blocks it found no data for can be seen: it reads zeros for the first of them, and leaves the others
without coefficients, of middle grey. So it is asked for one row of blocks more than the image has. Where the
first of that row is not grey, it is the first without data, and those of the image were all there. Where
another is not grey either, data are left over: bytes that were inserted or doubled have moved all that
follows them. Where the row does not tell, and of images in several scans or with restarts, GDCM is asked,
too: after a restart libjpeg takes data again. GDCM's libjpeg counts what is left over, but for the few bytes
that it has read ahead. JPEG-LS, JPEG 2000 and RLE decoders refuse streams that end early themselves.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from dicomnode.assemble.codestream import one_row_more
from dicomnode.assemble.decoders.file import UndecodableError
from dicomnode.store.foreign import UNREADABLE

Decoded = tuple[NDArray[Any], dict[str, Any]]
"""Pixels and what pydicom says of them."""

_ENDS_EARLY: Final = "the data of its codestream end before its image does"
_GOES_ON: Final = "the data of its codestream go on after its image"
_STDERR: Final = 2
# Messages of libjpeg (jerror.h); it tells the first one of an image only. Bytes too many before EOI (D9) may
# be padding; anywhere else they could hide what comes after
_OF_LIBJPEG: Final = re.compile(rb"Corrupt JPEG data|Premature end of JPEG")
_LEFT_OVER: Final = re.compile(rb"(\d+) extraneous bytes before marker 0xd9")
_SOS: Final = b"\xff\xda"
_EOI: Final = b"\xff\xd9"
# What encoders are known to leave there: zeros up to a word of theirs, or a byte more than need be of the
# ones that fill the last one (T.81 F.1.2.3), with its stuffed zero or not. Fill bytes FF are no data (T.81
# B.1.1.2, PS3.5 A.4), and nobody counts them
_PADDING: Final = re.compile(rb"(?:(?<!\xff)\0{1,4}|\x7f|\xff\0)\Z")
_LONGEST_PADDING: Final = 4
_BY_PILLOW: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})
_BLOCK: Final = 8  # rows, columns
# A block that was not there has no coefficient, and is of the middle grey of its 8 bits
_MIDDLE: Final = 128

_HEARING: Final = Lock()


def decode_whole(
    decode: Callable[[bytes, str], Decoded], stream: bytes, *, syntax: UID, plugin: str
) -> Decoded:
    """Decode a stream by the decoder `plugin`.

    Raises UndecodableError if its data end before its image does, or go on after it.

    decode: asks a decoder, which is given the stream as encapsulated Pixel Data (PS3.5 A.4).
    """
    if plugin.startswith("gdcm"):
        return _overheard(decode, stream, plugin)
    found = decode(encapsulate([stream], has_bot=False), plugin)
    if plugin == "pillow" and syntax in _BY_PILLOW and not _ends_there(stream):
        _overheard(decode, stream, "gdcm")
    return found


def _overheard(decode: Callable[[bytes, str], Decoded], stream: bytes, plugin: str) -> Decoded:
    heard = Heard()
    try:
        with listening(heard):
            found = decode(encapsulate([stream], has_bot=False), plugin)
    except UNREADABLE as error:  # of some streams it says it, and gives up
        if heard.is_broken:
            raise UndecodableError(_ENDS_EARLY) from error
        raise
    if heard.is_broken:
        raise UndecodableError(_ENDS_EARLY)
    if heard.bytes_left and heard.bytes_left > len(_padding(stream)[1]):
        raise UndecodableError(_GOES_ON)
    return found


def _padding(stream: bytes) -> tuple[int, bytes]:
    """Find what may be padding of the last scan: where it ends, before fill bytes and EOI, and its bytes."""
    header = stream.rfind(_SOS, 0, stream.rfind(_EOI)) + len(_SOS)
    begin = header + int.from_bytes(stream[header : header + 2])
    data = stream[begin : stream.find(_EOI, begin)].rstrip(b"\xff")
    found = _PADDING.search(data, max(len(data) - _LONGEST_PADDING, 1))  # no image is without a byte
    return begin + len(data), found[0] if found else b""


def _ends_there(stream: bytes) -> bool:
    """Tell whether a decoder finds the end of data right below the image; False also where that is not seen.

    Each block is decoded to one pixel, its mean: half of the time that the image itself takes. Raises
    UndecodableError where it finds another MCU instead.
    """
    end, padding = _padding(stream)
    if padding.startswith(b"\0"):  # which are codes in many tables, ones are in none (T.81 C)
        stream = stream[: end - len(padding)] + stream[end:]
    longer = one_row_more(stream)
    if longer is None:
        return False
    with Image.open(BytesIO(longer), formats=("JPEG",)) as image:
        if not isinstance(image, JpegImageFile):
            return False
        # Blocks of an MCU, all or none of which are decoded; a component alone is not interleaved (T.81 A.2)
        across = max(horizontal for _, horizontal, _, _ in image.layer) if image.layers > 1 else 1
        image.draft(None, (max(image.width // _BLOCK, 1), max(image.height // _BLOCK, 1)))
        row = np.asarray(image)[-1]
    first, others = row[0], row[across:]
    if np.any(others != _MIDDLE):
        raise UndecodableError(_GOES_ON)
    return len(others) > 0 and bool(np.any(first != _MIDDLE))


@dataclass(slots=True)
class Heard:
    """What was heard of a stream. is_broken: that its data are damaged. bytes_left: at its end, about."""

    is_broken: bool = False
    bytes_left: int = 0


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Hear what libjpeg says on the standard error of C meanwhile; what others say there is passed on.

    The descriptor stays as it is: Python, other programs and most libraries do not notice. One thread
    listens at a time.
    """
    ear = _Ear.only()
    with _HEARING:
        ear.take()  # of a thread that began to write while we listened, and was late
        try:
            with ear.listening():
                yield
        finally:
            said = ear.take().splitlines(keepends=True)
            left = [found for line in said if (found := _LEFT_OVER.search(line))]
            heard.is_broken = any(_OF_LIBJPEG.search(line) and not _LEFT_OVER.search(line) for line in said)
            heard.bytes_left = max((int(found[1]) for found in left), default=0)
            others = b"".join(line for line in said if not _OF_LIBJPEG.search(line))
            if others:
                os.write(_STDERR, others)


class _Ear:
    """A stream of C in memory that stands in for `stderr`, a variable of glibc that may be set.

    There is one for good: a thread may still write to it when nobody listens any more. No file, and no pipe
    that is full at some time: a decoder process may write no file (`confine`).
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._stderr = ctypes.c_void_p.in_dll(self._libc, "stderr")
        for function in (self._libc.fflush, self._libc.rewind):
            function.argtypes = (ctypes.c_void_p,)
        self._libc.open_memstream.restype = ctypes.c_void_p
        self._text, self._length = ctypes.c_void_p(), ctypes.c_size_t()
        self._stream = self._libc.open_memstream(ctypes.byref(self._text), ctypes.byref(self._length))
        if not self._stream:
            raise MemoryError

    @staticmethod
    @cache
    def only() -> _Ear:
        """Return the one of this process."""
        return _Ear()

    @contextmanager
    def listening(self) -> Iterator[None]:
        own, self._stderr.value = self._stderr.value, self._stream
        try:
            yield
        finally:
            self._stderr.value = own

    def take(self) -> bytes:
        """Return what was said since the last time."""
        self._libc.fflush(self._stream)  # sets text and length (open_memstream(3))
        said = ctypes.string_at(self._text, self._length.value)
        self._libc.rewind(self._stream)
        return said
