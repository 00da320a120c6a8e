"""From one file to stored values, and whether they are plausible.

Decoders have returned zeros, half images and values out of range without an error. So each frame is
checked against its header, and where it does not fit, another decoder is asked before it is refused.
No decoder here lets go of Python's lock while it works, and some end the process on a damaged stream: the
node decodes in processes of their own (`decoders.pool`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import gdcm
import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGTransferSyntaxes,
    RLELossless,
)

from dicomnode.assemble.attributes import text_of, whole_of
from dicomnode.assemble.bits import PixelBits, Stored
from dicomnode.assemble.codestream import contradiction
from dicomnode.assemble.decoders import gdcm as decoder_gdcm
from dicomnode.assemble.decoders.file import ImageFile, ImplausibleError, UndecodableError, open_image
from dicomnode.assemble.decoders.whole import Decoded, decode_whole
from dicomnode.assemble.record import Header
from dicomnode.store.foreign import UNREADABLE, reason

# It writes to stderr what it also returns as a failure.
gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()
decoder_gdcm.register()

# The decoder of a transfer syntax, then those that are asked where its result is not plausible. Of those
# that are right, the first is the one that survives damaged streams best: GDCM (JPEG, JPEG 2000) and
# pylibjpeg's RLE have ended the process on some, Pillow, pyjpegls and pydicom have not.
_DECODERS: Final[dict[UID, tuple[str, ...]]] = {
    JPEGBaseline8Bit: ("pillow", "gdcm"),
    JPEGExtended12Bit: ("pillow", "gdcm"),
    JPEGLossless: (decoder_gdcm.NAME, "gdcm"),
    JPEGLosslessSV1: (decoder_gdcm.NAME, "gdcm"),
    JPEGLSLossless: ("pyjpegls", "gdcm"),
    JPEGLSNearLossless: ("pyjpegls", "gdcm"),
    JPEG2000Lossless: ("pillow", "pylibjpeg"),
    JPEG2000: ("pillow", "pylibjpeg"),
    HTJ2KLossless: ("pylibjpeg",),
    HTJ2KLosslessRPCL: ("pylibjpeg",),
    HTJ2K: ("pylibjpeg",),
    RLELossless: ("pydicom",),
}
# In a process that may die: five times as fast, but it panics on damaged streams and says so on stderr
_DECODERS_APART: Final[dict[UID, tuple[str, ...]]] = {RLELossless: ("pylibjpeg", "pydicom")}

# What a library in Rust raises where it would have ended the program: no Exception, and of no module
_PANIC: Final = "PanicException"

# Attributes of the Image Pixel module, as pydicom's decoders call them
_WHOLE: Final = {
    "rows": "Rows",
    "columns": "Columns",
    "samples_per_pixel": "SamplesPerPixel",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
}
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})

# A frame of one value compresses to next to nothing: at most a bit a pixel (lossless JPEG) and its tables.
_CONSTANT_BITS: Final = 1
_CONSTANT_OVERHEAD: Final = 4096  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded image: its stored values (j, i) as the header's Pixel Representation says.

    low, high: of the values. plugin: the decoder's name, empty for native pixels. encoded_bytes: size of
    the image in the file. cleared: in how many pixels bits above Bits Stored were set, and taken away.
    shifted: by how many bits the values lay too high (High Bit).
    """

    stored: Stored
    low: int
    high: int
    plugin: str
    encoded_bytes: int
    cleared: int = 0
    shifted: int = 0

    @property
    def is_constant(self) -> bool:
        """Tell whether all pixels have one value."""
        return self.low == self.high

    @property
    def hides_more(self) -> bool:
        """Tell whether a frame of one value came from more bytes than such a frame compresses to."""
        largest = self.stored.size * _CONSTANT_BITS // 8 + _CONSTANT_OVERHEAD
        return self.is_constant and bool(self.plugin) and self.encoded_bytes > largest


def read_frame(header: Header, *, other_than: str | None = None) -> Frame:
    """Open the file of one monochrome image, and decode that image; as `decode_frame`.

    Raises UndecodableError, ImplausibleError, NodeError(FILE_UNREADABLE). Call it within `quiet()`.
    """
    with open_image(header) as image:
        return decode_frame(image, header, other_than=other_than)


def decode_frame(
    image: ImageFile, header: Header, *, other_than: str | None = None, apart: bool = False
) -> Frame:
    """Decode frame `header.frame_number` of a file, or the only one; the first plausible result counts.

    other_than: a decoder that is not to be asked again. apart: this process may die of it.
    Raises UndecodableError, ImplausibleError.
    """
    options = pixel_options(image)
    stream = _codestream(image, header) if image.encapsulated else None
    bits = PixelBits.of(image)
    # As they were allocated: a codestream has no bits above or below its values, whatever High Bit says
    keeps_bits = stream is None or image.syntax == RLELossless
    doubt = ""
    for plugin in decoders_of(header.transfer_syntax_uid, apart=apart):
        if plugin == other_than:
            continue
        try:
            stored = _decode(image, header, options | {"decoding_plugin": plugin}, stream)
        except UndecodableError:
            if not doubt:  # the first one fails: so would the others, and not all of them fail well
                raise
            continue
        cleared = shifted = 0
        if keeps_bits:
            stored, shifted = bits.aligned(stored), bits.shift
        low, high = int(stored.min()), int(stored.max())
        problem = bits.doubt(low, high)
        if problem is not None and keeps_bits:
            stored, cleared = bits.cleared(stored, are_right=bits.signed and bits.are_mapped(image.dataset))
            low, high = int(stored.min()), int(stored.max())
            problem = None
        if problem is None:
            encoded_bytes = stored.nbytes if stream is None else len(stream)
            return Frame(stored, low, high, plugin, encoded_bytes, cleared, shifted)
        doubt = problem
    if doubt:
        raise ImplausibleError(doubt)
    raise UndecodableError("there is no decoder for it here")


def decoders_of(syntax: str, *, apart: bool = False) -> tuple[str, ...]:
    """Return the decoders to ask, in that order; one without a name stands for native pixels.

    apart: in a process that may die of them.
    """
    uid = UID(syntax)
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        return ()
    if not uid.is_encapsulated:
        return ("",)
    names = (_DECODERS | _DECODERS_APART if apart else _DECODERS).get(uid, ())
    return tuple(name for name in names if name in decoder.available_plugins)


def pixel_options(image: ImageFile) -> dict[str, Any]:
    """Return what pydicom's decoders want to know of an image, from its Image Pixel module."""
    numbers = {name: whole_of(image.pixel_module, keyword) for name, keyword in _WHOLE.items()}
    whole = [number for number in numbers.values() if number is not None]
    photometric = text_of(image.pixel_module, "PhotometricInterpretation")
    if len(whole) < len(numbers) or not photometric:
        raise UndecodableError("its Image Pixel module is not whole")
    *sizes, bits, stored, _ = whole
    if min(sizes) < 1:
        raise UndecodableError("its Image Pixel module has no pixels")
    if bits not in (8, 16, 32) or not 1 <= stored <= bits:
        raise UndecodableError(f"it has {stored} bits stored of {bits} allocated")
    uid = image.syntax
    # A JPEG decoder does not know of signs. Otherwise bits above Bits Stored are to be seen (`bits`).
    is_signed_jpeg = uid in JPEGTransferSyntaxes and numbers["pixel_representation"] == 1
    return numbers | {
        "photometric_interpretation": photometric,
        "planar_configuration": whole_of(image.pixel_module, "PlanarConfiguration"),
        "correct_unused_bits": uid not in _DECODERS or is_signed_jpeg,
        "pixel_keyword": "PixelData",
        "pixel_vr": "OB",
        "number_of_frames": 1,
    }


def _codestream(image: ImageFile, header: Header) -> bytes:
    """Return the encoded frame; UndecodableError if it cannot be the image."""
    stream = image.codestream(frame_index(header))
    problem = contradiction(stream, header.rows or 0, header.columns or 0)
    if problem is not None:
        raise UndecodableError(problem)
    return stream


def frame_index(header: Header) -> int:
    """Return the number of the frame in its file, counted from 0."""
    return (header.frame_number or 1) - 1


def encoded_frame(image: ImageFile, header: Header) -> bytes:
    """Return the bytes of one frame as they lie in the file; raises UndecodableError."""
    if image.encapsulated:
        return image.codestream(frame_index(header))
    return native_frame(image, header, pixel_options(image))


def native_frame(image: ImageFile, header: Header, options: Mapping[str, Any]) -> bytes:
    """Return the bytes of one native frame."""
    length = int(options["rows"]) * int(options["columns"]) * int(options["samples_per_pixel"])
    length = length * int(options["bits_allocated"]) // 8
    if options["photometric_interpretation"] == "YBR_FULL_422":  # two pixels share their colour
        length = length // 3 * 2
    begin, end = frame_index(header) * length, (frame_index(header) + 1) * length
    if image.syntax.is_little_endian or options["bits_allocated"] != 8 or image.pixel_vr != "OW":
        pixels = image.native(begin, length)
    else:  # PS3.5 7.3: words of two pixels, which change places, also across the border of frames
        words = np.frombuffer(image.native(begin // 2 * 2, (end + 1) // 2 * 2 - begin // 2 * 2), dtype=">u2")
        pixels = words.astype("<u2").tobytes()[begin % 2 :][:length]
    return pixels if length % 2 == 0 else pixels + b"\0"


def _decode(image: ImageFile, header: Header, options: Mapping[str, Any], stream: bytes | None) -> Stored:
    source = native_frame(image, header, options) if stream is None else stream
    if stream is None and _is_grey(options):
        pixels = _native(source, image.syntax.is_little_endian, options)
    else:
        pixels = _by_pydicom(source, image.syntax, options)
    if pixels.ndim != 2 or pixels.shape != (header.rows, header.columns):
        raise UndecodableError(f"it decodes to {pixels.shape}, not {header.rows} rows of {header.columns}")
    stored: Stored = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return stored


def _by_pydicom(source: bytes, syntax: UID, options: Mapping[str, Any]) -> Stored:
    """Decode a codestream, or native pixels."""

    def decode(content: bytes, plugin: str) -> Decoded:
        asked = {**options, "decoding_plugin": plugin}
        return get_decoder(syntax).as_array(content, index=0, raw=True, **asked)

    plugin = options["decoding_plugin"]
    try:
        if not syntax.is_encapsulated:
            return decode(source, plugin)[0]
        pixels: Stored = decode_whole(decode, source, syntax=syntax, plugin=plugin)[0]
    except MemoryError:
        raise
    except OSError as error:  # Pillow raises it for broken streams
        raise UndecodableError(reason(error)) from error
    except UNREADABLE as error:
        raise UndecodableError(_first_line(error)) from error
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise UndecodableError("its decoder gave up") from error
    return pixels


def _is_grey(options: Mapping[str, Any]) -> bool:
    return (
        options["samples_per_pixel"] == 1
        and options["pixel_representation"] in (0, 1)
        and options["photometric_interpretation"] in _GREY
    )


def _native(source: bytes, little_endian: bool, options: Mapping[str, Any]) -> Stored:
    """View native pixels of one sample as numbers; a tenth of the time that pydicom takes."""
    rows, columns = int(options["rows"]), int(options["columns"])
    signed, bits = options["pixel_representation"] == 1, int(options["bits_allocated"])
    dtype = np.dtype(f"{'<' if little_endian else '>'}{'i' if signed else 'u'}{bits // 8}")
    if len(source) < rows * columns * dtype.itemsize:
        raise UndecodableError(
            f"its Pixel Data have {len(source)} bytes of {rows * columns * dtype.itemsize}"
        )
    return np.frombuffer(source, dtype, rows * columns).reshape(rows, columns)


def _first_line(error: BaseException) -> str:
    """Say what a decoder said: it speaks of the stream, and of attributes of the Image Pixel module."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")[:200]
