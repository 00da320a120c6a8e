"""Whether a JPEG stream held all of its image.

Where the data of a scan end too early, libjpeg goes on with zeros, and gives a whole image without an error
(jdhuff.c, `insufficient_data`): its lower part is constant. GDCM's libjpeg says so on stderr. Pillow's is
silent; of it the image is decoded again with more data behind its own, and is another one if it wanted more:
where the last pixel may be of what fills up, and always of progressive images, whose last scan only refines.
JPEG-LS, JPEG 2000 and RLE decoders refuse such streams themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from dicomnode.assemble.codestream import is_progressive
from dicomnode.assemble.decoders.file import UndecodableError

Decoded = tuple[NDArray[Any], dict[str, Any]]
"""Pixels and what pydicom says of them."""

_ENDS_EARLY: Final = "the data of its codestream end before its image does"
_STDERR: Final = 2
_MOST_SAID: Final = 1 << 16  # bytes: what a pipe holds
# Messages of libjpeg (jerror.h); it tells the first one of an image only. Bytes too many at the very end,
# before EOI (D9), do no harm; anywhere else they could hide what comes after
_OF_LIBJPEG: Final = re.compile(rb"Corrupt JPEG data|Premature end of JPEG")
_HARMLESS: Final = re.compile(rb"extraneous bytes before marker 0xd9")
_BY_PILLOW: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_END: Final = b"\xff\xd9"
_MORE: Final = bytes(range(1, 255)) * 2  # no FF: these are codes of blocks, whatever the tables
# A block that was not there has no coefficient, and is of the middle grey of its 8 bits
_MIDDLE: Final = 128

_SWAPPING: Final = Lock()


def decode_whole(decode: Callable[[bytes], Decoded], stream: bytes, *, syntax: UID, plugin: str) -> Decoded:
    """Decode a stream; raises UndecodableError if it ends before its image does.

    decode: asks the decoder `plugin`, and is given the stream as encapsulated Pixel Data (PS3.5 A.4).
    """
    source = encapsulate([stream], has_bot=False)
    if plugin.startswith("gdcm"):
        with _listening() as heard:
            found = decode(source)
        if heard.is_broken:
            raise UndecodableError(_ENDS_EARLY)
        return found
    found = decode(source)
    if plugin != "pillow" or syntax not in _BY_PILLOW:
        return found
    if is_progressive(stream) or _may_lack_its_end(found[0]):
        longer, _ = decode(encapsulate([_lengthened(stream)], has_bot=False))
        if not np.array_equal(longer, found[0]):
            raise UndecodableError(_ENDS_EARLY)
    return found


def _may_lack_its_end(pixels: NDArray[Any]) -> bool:
    last = pixels[-1, -1].astype(np.int64) & 0xFF  # of signed ones, too
    return bool(np.all(last == _MIDDLE))


def _lengthened(stream: bytes) -> bytes:
    """Put more data between those of the last scan and its end, in this restart interval and the next.

    The markers between these are counted modulo 8 (T.81 B.1.1.3, RST).
    """
    end = stream.rfind(_END)
    marks = _RESTART.findall(stream, 0, end)
    following = (marks[-1][1] - 0xD0 + 1) % 8 if marks else 0
    restart = bytes([0xFF, 0xD0 + following])
    return stream[:end].rstrip(b"\xff") + _MORE + restart + _MORE + stream[end:]


@dataclass(slots=True)
class _Heard:
    is_broken: bool = False


@contextmanager
def _listening() -> Iterator[_Heard]:
    """Hear what libjpeg says on stderr meanwhile; what others say there is passed on.

    For the whole process: where other threads write to stderr, their lines come a moment later.
    """
    heard = _Heard()
    reader, writer = _pipe()
    with _SWAPPING:
        own = os.dup(_STDERR)
        _take(reader)  # what a process says that was started while we listened
        try:
            os.dup2(writer, _STDERR)
            yield heard
        finally:
            os.dup2(own, _STDERR)
            os.close(own)
            said = _take(reader)
            heard.is_broken = any(_OF_LIBJPEG.search(line) and not _HARMLESS.search(line) for line in said)
            others = b"".join(line for line in said if not _OF_LIBJPEG.search(line))
            if others:
                os.write(_STDERR, others)


@cache
def _pipe() -> tuple[int, int]:
    """Make a pipe in which nobody waits. No file: a decoder process may write none (`confine`)."""
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


def _take(reader: int) -> list[bytes]:
    try:
        return os.read(reader, _MOST_SAID).splitlines(keepends=True)
    except BlockingIOError:
        return []
