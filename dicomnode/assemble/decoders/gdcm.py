"""GDCM's lossless JPEG, without the way through text.

Its Python binding returns pixels as a `str`, which is made from bytes and has to be made into bytes again:
half of the time that a CT slice takes. The same C++ method, called by its exported name, writes into memory
of ours. A plug-in for pydicom (`pydicom.pixels.decoders`); where the name is not exported it is not
available, and pydicom's own GDCM plug-in does the work.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Final

import gdcm
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

NAME: Final = "gdcm-direct"
DECODER_DEPENDENCIES: Final = {JPEGLossless: ("gdcm>=3.0.10",), JPEGLosslessSV1: ("gdcm>=3.0.10",)}
_LIBRARY: Final = "/libgdcmMSFF."
# bool gdcm::Bitmap::GetBuffer(char*) const, as the Itanium C++ ABI names it
_GET_BUFFER: Final = "_ZNK4gdcm6Bitmap9GetBufferEPc"
_PIXEL_DATA: Final = (0x7FE0, 0x0010)


def is_available(uid: str) -> bool:
    """Tell whether the plug-in can decode a transfer syntax here."""
    return uid in DECODER_DEPENDENCIES and _get_buffer() is not None


def register() -> None:
    """Make the plug-in known to pydicom; a second time it does nothing."""
    for decoder in map(get_decoder, DECODER_DEPENDENCIES):
        if NAME not in decoder.available_plugins:
            decoder.add_plugin(NAME, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame; RuntimeError if it cannot be."""
    get_buffer = _get_buffer()
    image = _image(source, runner)
    length = image.GetBufferLength()
    if get_buffer is None or length != runner.frame_length(unit="bytes"):
        raise RuntimeError(f"GDCM would give {length} bytes")
    pixels = bytearray(length)
    place = (ctypes.c_char * length).from_buffer(pixels)
    if not get_buffer(int(image.this), place):
        raise RuntimeError("GDCM cannot decode it")
    return pixels


@cache
def _get_buffer() -> Any:
    """Return the method as a function of image and place; None where it is not exported.

    Of the library that the binding has loaded: a second copy of it would not know the first one's objects.
    """
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    loaded = {line.split(maxsplit=5)[5] for line in maps if _LIBRARY in line}
    if len(loaded) != 1:
        return None
    library = ctypes.CDLL(loaded.pop())
    if not hasattr(library, _GET_BUFFER):
        return None
    method = library[_GET_BUFFER]
    method.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    method.restype = ctypes.c_bool
    return method


def _image(source: bytes, runner: DecodeRunner) -> Any:
    """Describe the frame to GDCM, as pydicom's plug-in does."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(source)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if runner.samples_per_pixel > 1:
        image.SetPlanarConfiguration(runner.planar_configuration)
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(runner.transfer_syntax))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(
        gdcm.PixelFormat(
            runner.samples_per_pixel,
            runner.bits_allocated,
            runner.bits_stored,
            runner.bits_stored - 1,
            runner.pixel_representation,
        )
    )
    return image
