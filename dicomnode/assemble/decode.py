"""From one file to stored values, and whether they are plausible.

Decoders have returned zeros, half images and values out of range without an error. So each frame is
checked against its header, and where it does not fit, another decoder is asked before it is refused.
No decoder here lets go of Python's lock while it works, so a pool of threads would gain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGTransferSyntaxes,
    RLELossless,
)

from dicomnode.assemble.foreign import UNREADABLE, reason
from dicomnode.assemble.record import Header
from dicomnode.faults import FILE_UNREADABLE, NodeError

Stored = NDArray[np.integer]

# Which decoder first, measured: pyjpegls takes half the time of GDCM, GDCM two thirds of OpenJPEG's.
_FIRST: Final[dict[UID, str]] = {
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    RLELossless: "pylibjpeg",
} | dict.fromkeys(JPEG2000TransferSyntaxes, "gdcm")

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
        text = error.strerror or type(error).__name__
        raise NodeError(FILE_UNREADABLE, path=header.path, error=text) from error
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
    problem: UndecodableError | ImplausibleError | None = None
    for plugin in _plugins(header.transfer_syntax_uid):
        if plugin == other_than:
            continue
        try:
            stored = _decode(dataset, header, plugin)
        except UndecodableError as error:
            problem = problem or error
            continue
        doubt = _doubt(stored, dataset)
        if doubt is None:
            return Frame(dataset, stored, plugin, len(dataset.PixelData))
        problem = ImplausibleError(doubt)  # says more than that another decoder failed
    raise problem or UndecodableError("there is no decoder for this transfer syntax")


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


def _plugins(syntax: str) -> list[str]:
    """Return the decoders to ask, the best first; one without a name stands for native pixels."""
    uid = UID(syntax)
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        return []
    if not uid.is_encapsulated:
        return [""]
    first = _FIRST.get(uid)
    return sorted(decoder.available_plugins, key=lambda name: (name != first, name))


def _decode(dataset: Dataset, header: Header, plugin: str) -> Stored:
    uid = UID(header.transfer_syntax_uid)
    # pydicom would cut values off to Bits Stored. For lossy and lossless JPEG of unsigned values the
    # decoder has no reason to go beyond them: if it does, that is to be seen.
    # pydicom's annotation means each option by itself as one DecodeOptions
    options: Any = {
        "correct_unused_bits": uid not in JPEGTransferSyntaxes or dataset.get("PixelRepresentation") != 0
    }
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
