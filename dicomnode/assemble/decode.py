"""From one file to stored values, and whether they are plausible.

Decoders have returned zeros, half images and values out of range without an error. So each frame is
checked against its header, and where it does not fit, another decoder is asked before it is refused.
No decoder here lets go of Python's lock while it works, so a pool of threads would gain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
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

from dicomnode.assemble.codestream import contradiction
from dicomnode.assemble.foreign import UNREADABLE, file_unreadable, is_of_the_disk, reason
from dicomnode.assemble.record import Header

Stored = NDArray[np.integer]

# It writes to stderr what it also returns as a failure.
gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()

# The decoder of a transfer syntax, then those that are asked where its result is not plausible. Of those
# that are right, the first is the one that survives damaged streams best: GDCM (JPEG, JPEG 2000) and
# pylibjpeg's RLE have ended the process on some, Pillow, pyjpegls and pydicom have not.
_DECODERS: Final[dict[UID, tuple[str, ...]]] = {
    JPEGBaseline8Bit: ("pillow", "gdcm"),
    JPEGExtended12Bit: ("pillow", "gdcm"),
    JPEGLossless: ("gdcm",),
    JPEGLosslessSV1: ("gdcm",),
    JPEGLSLossless: ("pyjpegls", "gdcm"),
    JPEGLSNearLossless: ("pyjpegls", "gdcm"),
    JPEG2000Lossless: ("pillow", "pylibjpeg"),
    JPEG2000: ("pillow", "pylibjpeg"),
    HTJ2KLossless: ("pylibjpeg",),
    HTJ2KLosslessRPCL: ("pylibjpeg",),
    HTJ2K: ("pylibjpeg",),
    RLELossless: ("pydicom",),
}

# No damaged stream has ended the process in these
_STURDY: Final = frozenset({"pillow", "pyjpegls", "pydicom"})

# A frame of one value compresses to next to nothing: at most a bit a pixel (lossless JPEG) and its tables.
_CONSTANT_BITS: Final = 1
_CONSTANT_OVERHEAD: Final = 4096  # bytes


class UndecodableError(Exception):
    """The pixels cannot be decoded; the text says why."""


class ImplausibleError(Exception):
    """The pixels were decoded to something that they cannot be; the text says to what."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded image: its data set, and stored values (j, i) as the header's Pixel Representation says.

    plugin: the decoder's name, empty for native pixels. encoded_bytes: size of Pixel Data in the file.
    """

    dataset: Dataset
    stored: Stored
    plugin: str
    encoded_bytes: int

    @property
    def is_constant(self) -> bool:
        """Tell whether all pixels have one value."""
        return bool(self.stored.min() == self.stored.max())

    @property
    def hides_more(self) -> bool:
        """Tell whether a frame of one value came from more bytes than such a frame compresses to."""
        largest = self.stored.size * _CONSTANT_BITS // 8 + _CONSTANT_OVERHEAD
        return bool(self.plugin) and self.encoded_bytes > largest


def read_dataset(header: Header) -> Dataset:
    """Read the whole file again, pixels still encoded.

    Raises UndecodableError if it is not what `header` was read from, NodeError(FILE_UNREADABLE) if the
    disk does not give it.
    """
    try:
        dataset = dcmread(header.path)
        uid = str(dataset.get("SOPInstanceUID") or "").strip()
        has_pixels = "PixelData" in dataset
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(header.path, error) from error
        raise UndecodableError(reason(error)) from error
    except UNREADABLE as error:
        raise UndecodableError(reason(error)) from error
    if uid != header.sop_instance_uid:
        raise UndecodableError("the file was changed after it was read")
    if not has_pixels:
        raise UndecodableError("it has no Pixel Data")
    return dataset


def read_frame(header: Header, *, other_than: str | None = None) -> Frame:
    """Read and decode one image; the first decoder's result that is plausible counts.

    other_than: a decoder that is not to be asked again.
    Raises UndecodableError, ImplausibleError, NodeError(FILE_UNREADABLE). Call it within `quiet()`.
    """
    dataset = read_dataset(header)
    size = _check_stream(dataset, header)
    doubt = ""
    for plugin in _plugins(header.transfer_syntax_uid):
        if plugin == other_than:
            continue
        try:
            stored = _decode(dataset, header, plugin)
        except UndecodableError:
            if not doubt:  # the first one fails: so would the others, and not all of them fail well
                raise
            continue
        problem = _doubt(stored, dataset)
        if problem is None:
            return Frame(dataset, stored, plugin, size)
        doubt = problem
    if doubt:
        raise ImplausibleError(doubt)
    raise UndecodableError("there is no decoder for it here")


def is_sturdy(transfer_syntax_uid: str) -> bool:
    """Tell whether no decoder is asked first that a damaged stream can end the process in."""
    return set(_plugins(transfer_syntax_uid)[:1]) <= _STURDY | {""}


def same_pixels(one: Header, other: Header) -> bool:
    """Tell whether two images have equal stored values; what cannot be read equals nothing.

    Of one transfer syntax the encoded bytes are compared; of two, what they decode to.
    """
    try:
        if one.transfer_syntax_uid == other.transfer_syntax_uid:
            first, second = (read_dataset(header).PixelData for header in (one, other))
            return bool(first == second)
        return bool(np.array_equal(read_frame(one).stored, read_frame(other).stored))
    except (UndecodableError, ImplausibleError):
        return False


def _plugins(syntax: str) -> tuple[str, ...]:
    """Return the decoders to ask, in that order; one without a name stands for native pixels."""
    uid = UID(syntax)
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        return ()
    if not uid.is_encapsulated:
        return ("",)
    return tuple(name for name in _DECODERS.get(uid, ()) if name in decoder.available_plugins)


def _check_stream(dataset: Dataset, header: Header) -> int:
    """Return the size of the one encoded frame in bytes; UndecodableError if it cannot be the image."""
    pixels: bytes = dataset.PixelData
    if header.transfer_syntax_uid not in _DECODERS:
        return len(pixels)
    try:
        stream = next(generate_frames(pixels, number_of_frames=1))
    except (*UNREADABLE, StopIteration) as error:
        raise UndecodableError("its Pixel Data are not encapsulated as PS3.5 A.4 says") from error
    problem = contradiction(stream, header.rows or 0, header.columns or 0)
    if problem is not None:
        raise UndecodableError(problem)
    return len(stream)


def _decode(dataset: Dataset, header: Header, plugin: str) -> Stored:
    uid = UID(header.transfer_syntax_uid)
    # Bits above Bits Stored mean nothing in native pixels (PS3.5 8.1.1), nor in RLE, which keeps them; and
    # a JPEG decoder does not know of signs. Otherwise there is no reason for them: they are to be seen.
    is_signed_jpeg = uid in JPEGTransferSyntaxes and dataset.get("PixelRepresentation") == 1
    # pydicom's annotation means each option by itself as one DecodeOptions
    options: Any = {"correct_unused_bits": uid not in _DECODERS or uid == RLELossless or is_signed_jpeg}
    try:
        pixels, _ = get_decoder(uid).as_array(dataset, index=0, raw=True, decoding_plugin=plugin, **options)
    except OSError as error:  # Pillow raises it for broken streams; nothing is read from the disk here
        raise UndecodableError(reason(error)) from error
    except UNREADABLE as error:
        raise UndecodableError(_first_line(error)) from error
    if pixels.ndim != 2 or pixels.shape != (header.rows, header.columns):
        raise UndecodableError(f"it decodes to {pixels.shape}, not {header.rows} rows of {header.columns}")
    stored: Stored = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return stored


def _first_line(error: BaseException) -> str:
    """Say what a decoder said: it speaks of the stream, and of attributes of the Image Pixel module."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")[:200]


def _doubt(stored: Stored, dataset: Dataset) -> str | None:
    """Say what is wrong with decoded values, if they do not fit Bits Stored (PS3.5 8.1.1)."""
    bits = int(dataset.BitsStored)
    signed = dataset.PixelRepresentation == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    least, most = int(stored.min()), int(stored.max())
    if least < low or most > high:
        return f"its values reach from {least} to {most}, {bits} bits hold {low} to {high}"
    return None
