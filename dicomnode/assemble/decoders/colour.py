"""Frames for pictures: one or three samples a pixel, as red, green and blue where they are colours.

Volumes never come from here: what is decoded for a picture is for eyes and for engines that take pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

from dicomnode.assemble.bits import PixelBits
from dicomnode.assemble.codestream import contradiction
from dicomnode.assemble.decode import decoders_of, frame_index, native_frame, pixel_options
from dicomnode.assemble.decoders.file import ImageFile, UndecodableError, open_image
from dicomnode.assemble.decoders.whole import Decoded, decode_whole
from dicomnode.assemble.record import Header
from dicomnode.store.foreign import UNREADABLE, reason

Colours = NDArray[np.integer]

_PALETTE: Final = "PALETTE COLOR"
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
# The decoder gives red, green and blue whatever the header calls them (PS3.5 8.2.1, 8.2.4)
_CONVERTED: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, *JPEG2000TransferSyntaxes})


def read_colour_frame(header: Header) -> Colours:
    """Open the file of one image, and decode that image; as `decode_colour_frame`.

    Raises UndecodableError, NodeError(FILE_UNREADABLE). Call it within `quiet()`.
    """
    with open_image(header) as image:
        return decode_colour_frame(image, header)


def decode_colour_frame(image: ImageFile, header: Header) -> Colours:
    """Decode frame `header.frame_number` of a file, or the only one, to (j, i, c).

    c: one grey value as it is stored, or red, green, blue; planes are joined, YBR is converted (PS3.3
    C.7.6.3.1.2), a palette is applied. Raises UndecodableError.
    """
    options = pixel_options(image)
    if not image.encapsulated and PixelBits.of(image).shift:
        raise UndecodableError("(0028,0102) HighBit is not that of the bits stored, and it is a colour image")
    if (
        image.syntax == RLELossless
    ):  # which keeps bits above Bits Stored; only those of grey values are judged
        options["correct_unused_bits"] = True
    source = _source(image, header, options)
    for plugin in decoders_of(header.transfer_syntax_uid):
        try:
            pixels, found = _decode(source, image.syntax, plugin, options)
            return _as_colours(pixels, str(found["photometric_interpretation"]), image, header)
        except OSError as error:  # Pillow raises it for broken streams
            raise UndecodableError(reason(error)) from error
        except UNREADABLE as error:
            raise UndecodableError(reason(error)) from error
    raise UndecodableError("there is no decoder for it here")


def _decode(source: bytes, syntax: UID, plugin: str, options: Mapping[str, Any]) -> Decoded:
    def decode(content: bytes, plugin: str) -> Decoded:
        return get_decoder(syntax).as_array(content, index=0, decoding_plugin=plugin, **options)

    if not syntax.is_encapsulated:
        return decode(source, plugin)
    return decode_whole(decode, source, syntax=syntax, plugin=plugin)


def _source(image: ImageFile, header: Header, options: dict[str, Any]) -> bytes:
    if not image.encapsulated:
        return native_frame(image, header, options)
    stream = image.codestream(frame_index(header))
    samples = int(options["samples_per_pixel"])
    problem = contradiction(stream, header.rows or 0, header.columns or 0, samples)
    if problem is not None:
        raise UndecodableError(problem)
    return stream


def _as_colours(pixels: Colours, photometric: str, image: ImageFile, header: Header) -> Colours:
    if photometric == _PALETTE:
        pixels = apply_color_lut(pixels, image.dataset)
    elif photometric in _GREY:
        pixels = pixels[..., np.newaxis]
    elif photometric != "RGB" and image.syntax not in _CONVERTED:
        raise UndecodableError(f"its colours are {photometric}")
    if pixels.ndim != 3 or pixels.shape[:2] != (header.rows, header.columns) or pixels.shape[2] not in (1, 3):
        raise UndecodableError(f"it decodes to {pixels.shape}, not {header.rows} rows of {header.columns}")
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
