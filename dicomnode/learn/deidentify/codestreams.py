"""What lies beside pixels in the pixel data: comments in compressed frames, bytes after the last pixel.

No decoder shows them and no table of attributes names them: an archive's JPEG may hold an EXIF block or a
comment with the name. They are cut out; what a decoder makes of the rest stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID

from dicomnode.faults import EXPORT_KIND, NodeError

_FAMILY: Final = "1.2.840.10008.1.2.4."
_JPEG: Final = frozenset({"50", "51", "57", "70"})
_JPEG_LS: Final = frozenset({"80", "81"})
_JPEG_2000: Final = frozenset({"90", "91", "92", "93", "201", "202", "203"})
# Markers that end coded pixels (ITU-T T.81 B.1.1.2; T.87 for JPEG-LS, which stuffs single bits)
_MARKER: Final = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_MARKER_LS: Final = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")
_EOI, _SOS, _LSE = 0xD9, 0xDA, 0xF8
_SOC: Final = b"\xff\x4f"
_J2K_TLM, _J2K_COM, _J2K_SOT, _J2K_SOD = b"\xff\x55", b"\xff\x64", b"\xff\x90", b"\xff\x93"
_J2K_EOC: Final = b"\xff\xd9"


def cut_what_is_no_pixel(dataset: Dataset, file: str) -> None:
    """Leave only pixels in the pixel data, in place.

    Raises NodeError(EXPORT_KIND) on videos and the like, whose streams carry titles and dates of their own;
    ValueError and what pydicom raises on frames that are no such codestream.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        _cut_the_end(dataset)
        return
    bare = _cutter(syntax, file)
    if bare is None or "PixelData" not in dataset:
        return
    tables = [dataset.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    frames = list(
        generate_frames(
            dataset.PixelData,
            number_of_frames=int(dataset.get("NumberOfFrames") or 1),
            extended_offsets=tuple(tables) if all(tables) else None,
        )
    )
    cut = [bare(frame) for frame in frames]
    if all(one.rstrip(b"\0") == frame.rstrip(b"\0") for one, frame in zip(cut, frames, strict=True)):
        return
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PixelData = encapsulate(cut)
    dataset["PixelData"].is_undefined_length = True


def _cutter(syntax: UID, file: str) -> Callable[[bytes], bytes] | None:
    """Tell how frames are cut; None for those that have room for nothing but pixels (RLE, deflated)."""
    if not syntax.startswith(_FAMILY):
        return None
    number = syntax.removeprefix(_FAMILY)
    if number in _JPEG or number in _JPEG_LS:
        return lambda frame: _bare_jpeg(frame, _MARKER_LS if number in _JPEG_LS else _MARKER)
    if number in _JPEG_2000:
        return _bare_jpeg_2000
    raise NodeError(EXPORT_KIND, file=file, kind=f"stream of {syntax.name}")


def _cut_the_end(dataset: Dataset) -> None:
    """Leave of native pixels as many bytes as the header says."""
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword not in dataset:
            continue
        length = get_expected_length(dataset, unit="bytes")
        value = dataset[keyword].value
        if isinstance(value, bytes) and len(value) > length:
            dataset[keyword].value = value[:length] + b"\0" * (length % 2)


def _bare_jpeg(frame: bytes, marker: re.Pattern[bytes]) -> bytes:
    """Leave out comments, and application segments other than those that tell of colour."""
    if frame[:2] != b"\xff\xd8":
        raise ValueError("no JPEG")
    kept, at = [frame[:2]], 2
    while True:
        found = marker.match(frame, at)
        if found is None:
            raise ValueError("no marker of JPEG")
        code, start = frame[found.end() - 1], found.end()
        if code == _EOI:
            return b"".join([*kept, b"\xff\xd9"])
        end = start + int.from_bytes(frame[start : start + 2], "big")
        if end < start + 2 or end > len(frame):
            raise ValueError("a segment of JPEG ends outside")
        if code == _SOS:  # its coded pixels reach to the next marker
            following = marker.search(frame, end)
            if following is None:
                raise ValueError("JPEG without an end")
            end = following.start()
        if _is_needed(code, frame[start + 2 : end]):
            kept.append(b"\xff" + bytes([code]) + frame[start:end])
        at = end


def _is_needed(code: int, content: bytes) -> bool:
    if code == 0xE0:  # JFIF without a thumbnail
        return content.startswith(b"JFIF\0") and len(content) == 14
    if code == 0xEE:  # tells which colour space
        return content.startswith(b"Adobe") and len(content) == 12
    if code == 0xE8:  # tells how JPEG-LS mixes colours
        return content.startswith(b"mrfx") and len(content) == 5
    return code < 0xE0 or code in (0xF7, _LSE)


def _bare_jpeg_2000(frame: bytes) -> bytes:
    """Leave out boxes around the codestream, comments, and what follows its end (ITU-T T.800 Annex A)."""
    start = frame.find(_SOC + b"\xff\x51")
    if start < 0:
        raise ValueError("no JPEG 2000")
    main, at = _header(frame, start + 2, _J2K_SOT)
    # Lengths of tile-parts are told again by TLM, which decoders can do without
    kept = [_SOC, *(one for one in main if one[:2] != _J2K_TLM)]
    while frame[at : at + 2] == _J2K_SOT:
        length = int.from_bytes(frame[at + 6 : at + 10], "big")
        end = at + length if length else frame.rfind(_J2K_EOC)
        if end <= at + 12 or end > len(frame):
            raise ValueError("a part of JPEG 2000 ends outside")
        head, data = _header(frame, at + 12, _J2K_SOD)
        part = b"".join([*head, frame[data:end]])
        size = (12 + len(part)).to_bytes(4, "big") if length else b"\0\0\0\0"
        kept += [frame[at : at + 6], size, frame[at + 10 : at + 12], part]
        at = end
    return b"".join([*kept, _J2K_EOC])


def _header(frame: bytes, at: int, last: bytes) -> tuple[list[bytes], int]:
    """Return the segments of a header that are no comments, and where `last` begins."""
    kept = []
    while (code := frame[at : at + 2]) != last:
        end = at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
        if code[:1] != b"\xff" or end < at + 4 or end > len(frame):
            raise ValueError("no marker of JPEG 2000")
        if code != _J2K_COM:
            kept.append(frame[at:end])
        at = end
    return kept, at
