"""A look at a codestream of the JPEG family before a decoder gets it.

Decoders are C and C++: some end the whole process on a stream that contradicts itself, or ask for as much
memory as it says. What is checked here is what a right stream always has (ITU-T T.81, T.87, T.800).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Final

_EOI: Final = 0xD9
_SOS: Final = 0xDA
_DHT: Final = 0xC4
# Start of frame: all of T.81 but DHT, JPG, DAC in that range; 0xF7 is JPEG-LS
_FRAMES: Final = frozenset(
    {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
)
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})  # DCT, Huffman coding
_LOSSLESS: Final = 0xC3
_DRI: Final = 0xDD  # restart interval
_PROGRESSIVE: Final = 0xC2
_COEFFICIENTS: Final = 64  # of a block
_BLOCK: Final = 8  # rows
_HIGHEST_MCU: Final = 4 * _BLOCK  # T.81 B.2.2: sampling factors are 1 to 4
_MOST_ROWS: Final = 65_500  # that libjpeg takes (jmorecfg.h)
_JPEG_LS: Final = 0xF7
_JPEG_2000: Final = b"\xff\x4f\xff\x51"  # SOC, SIZ
# Within entropy-coded data FF is followed by 00 (stuffed) or RST0 … RST7 (T.81 B.1.1.5), in JPEG-LS by
# anything with a first bit of 0 (T.87 A.1)
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_MARKER_LS: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")


def contradiction(stream: bytes, rows: int, columns: int, samples: int = 1) -> str | None:
    """Say how a stream of one image contradicts the header or itself; None if it does not.

    samples: of a pixel.

    Only JPEG, JPEG-LS and JPEG 2000 codestreams are looked into; of others nothing is said.
    """
    try:
        if stream.startswith(_JPEG_2000):
            return _jpeg_2000(stream, rows, columns, samples)
        if stream.startswith(b"\xff\xd8"):
            return _jpeg(stream, rows, columns, samples)
    except (struct.error, IndexError):
        return "its codestream is cut off"
    return None


def one_row_more(stream: bytes) -> bytes | None:
    """Have a JPEG stream say that its image goes on below: for one row of MCUs (T.81 A.2), which it lacks.

    stream: one without a contradiction. None where its image is not sequential, or not of a single scan; or
    has restarts: after each of them libjpeg looks for data again, whatever it has missed before (jdhuff.c,
    `process_restart`), so what lies below tells nothing of what was lost within.
    """
    places = list(_places(stream))
    frames = [place for place in places if place[0] in _SEQUENTIAL]
    scans = [stream[begin] for marker, begin, _ in places if marker == _SOS]
    if not frames or _has_restarts(stream, places):
        return None
    _, begin, end = frames[0]
    _, rows, _, components = struct.unpack_from(">BHHB", stream, begin)
    if scans != [components]:
        return None
    # Component, sampling factors (horizontal in the high half), table; one alone is not interleaved
    vertical = [factors & 0x0F for factors in stream[begin + 7 : end : 3]]
    height = _BLOCK * (max(vertical) if components > 1 else 1)
    more = (rows + height - 1) // height * height + 1
    if not 1 <= height <= _HIGHEST_MCU or more > _MOST_ROWS:
        return None
    return stream[: begin + 1] + struct.pack(">H", more) + stream[begin + 3 :]


def _has_restarts(stream: bytes, places: Sequence[tuple[int, int, int]]) -> bool:
    """Tell whether its scans are of several intervals (T.81 B.2.4.4, E.1.4)."""
    if any(marker == _DRI for marker, _, _ in places):
        return True
    return any(_RESTART.search(stream, end) is not None for marker, _, end in places if marker == _SOS)


def _size(found_rows: int, found_columns: int, rows: int, columns: int) -> str | None:
    if (found_rows, found_columns) == (rows, columns):
        return None
    return f"its codestream has {found_rows} rows of {found_columns}, the header says {rows} of {columns}"


def _jpeg_2000(stream: bytes, rows: int, columns: int, samples: int) -> str | None:
    # T.800 A.5.1: image area on the reference grid, then tiles
    x1, y1, x0, y0, tile_x, tile_y = struct.unpack_from(">6L", stream, 8)
    components = struct.unpack_from(">H", stream, 40)[0]
    if components != samples or not tile_x or not tile_y:
        return f"its codestream has {components} components and tiles of {tile_y} × {tile_x}"
    return _size(y1 - y0, x1 - x0, rows, columns)


def _jpeg(stream: bytes, rows: int, columns: int, samples: int) -> str | None:
    frame: int | None = None
    tables: set[int] = set()
    lacking: dict[int, list[int | None]] = {}
    for marker, segment in _segments(stream):
        problem: str | None = None
        if marker in _FRAMES:
            problem = "its codestream has two frames" if frame else _frame(segment, rows, columns, samples)
            frame = marker
        elif marker == _DHT:
            problem = _tables(segment, tables)
        elif marker == _SOS:
            problem = _scan(segment, frame, tables, samples)
            if frame == _PROGRESSIVE and problem is None:
                _refine(lacking, segment)
        elif marker == _EOI:
            return _unrefined(lacking, samples) if frame == _PROGRESSIVE else None
        if problem is not None:
            return problem
    return "its codestream is cut off"


def _frame(segment: bytes, rows: int, columns: int, samples: int) -> str | None:
    precision, found_rows, found_columns, components = struct.unpack_from(">BHHB", segment)
    if components != samples or not 2 <= precision <= 16:
        return f"its codestream has {components} components of {precision} bits"
    return _size(found_rows, found_columns, rows, columns)


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield markers and their parameters up to the end of the image; IndexError if it does not come."""
    return ((marker, stream[begin:end]) for marker, begin, end in _places(stream))


def _places(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Do it with where the parameters begin and end."""
    at, pattern = 2, _MARKER
    while True:
        while stream[at] == 0xFF and stream[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = stream[at + 1]
        if stream[at] != 0xFF:
            return
        if marker == _EOI:
            yield marker, at + 2, at + 2
            return
        length = struct.unpack_from(">H", stream, at + 2)[0]
        if length < 2 or at + 2 + length > len(stream):
            return
        yield marker, at + 4, at + 2 + length
        at += 2 + length
        if marker == _JPEG_LS:
            pattern = _MARKER_LS
        if marker == _SOS:
            following = pattern.search(stream, at)
            if following is None:
                return
            at = following.start()


def _tables(segment: bytes, seen: set[int]) -> str | None:
    """Check Huffman tables (T.81 B.2.4.2, C): codes must not be more than their lengths allow.

    seen: class and number of each table so far, is added to.
    """
    at = 0
    while at < len(segment):
        counts = segment[at + 1 : at + 17]
        free = 1
        for count in counts:
            free = 2 * free - count
            if free < 0:
                return "its codestream has a Huffman table with too many codes"
        if len(counts) < 16 or at + 17 + sum(counts) > len(segment):
            return "its codestream has a Huffman table that is cut off"
        seen.add(segment[at])
        at += 17 + sum(counts)
    return None


def _scan(segment: bytes, frame: int | None, tables: set[int], samples: int) -> str | None:
    """Check a scan header (T.81 B.2.3, H.1)."""
    components = segment[0]
    if frame is None or not 1 <= components <= samples or len(segment) != 4 + 2 * components:
        return f"its codestream has a scan without a frame, or of {components} components"
    if frame != _LOSSLESS:
        return None
    predictor, end, transform = segment[-3:]
    if not 1 <= predictor <= 7 or end != 0 or transform > 15:
        return f"its codestream has predictor {predictor}"
    # Class 0 in the high half of the byte that names a table, number in the low one
    used = {table >> 4 for table in segment[2 : 1 + 2 * components : 2]}
    return None if used <= tables else "its codestream lacks a Huffman table"


def _refine(lacking: dict[int, list[int | None]], segment: bytes) -> None:
    """Note what a progressive scan brings (T.81 G.1.1.1).

    lacking: component → for each coefficient the bits that are still to come; None before its first scan.
    """
    components = segment[0]
    first, last, bits = segment[-3], segment[-2], segment[-1] & 0x0F
    for number in segment[1 : 1 + 2 * components : 2]:
        of_component = lacking.setdefault(number, [None] * _COEFFICIENTS)
        for coefficient in range(first, min(last, _COEFFICIENTS - 1) + 1):
            of_component[coefficient] = bits


def _unrefined(lacking: dict[int, list[int | None]], samples: int) -> str | None:
    if len(lacking) == samples and all(bits == 0 for one in lacking.values() for bits in one):
        return None
    return "its codestream lacks scans of a progressive image"
