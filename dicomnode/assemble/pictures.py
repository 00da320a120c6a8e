"""From a stack of one picture or cine to its pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from dicomnode.assemble.decoders.file import DecodingError, ImplausibleError
from dicomnode.assemble.kinds import class_name
from dicomnode.assemble.picture_kinds import picture_kind
from dicomnode.assemble.picture_values import PictureValues, read_values
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice, DecodeSlices, decode_here
from dicomnode.assemble.studies import Stack
from dicomnode.faults import DECODE_FAILED, DECODE_SUSPECT, NodeError
from dicomnode.values import Picture, Pixels, Progress, SourceHeaders, no_progress

_LARGEST_BYTE: Final = 255


def load_picture(
    stack: Stack,
    progress: Progress = no_progress,
    decode: DecodeSlices = decode_here,
    *,
    display: bool = False,
) -> Picture:
    """Decode the frames of a picture or cine.

    decode: as of `load_volume`. Grey values are those after the modality LUT or rescale, MONOCHROME1 turned
    over, so that brighter is more; colours are red, green and blue. display: of grey ones, values as a
    display would show them by the image's own window or VOI LUT, float32 from 0 to 1.
    Raises NodeError(DECODE_FAILED, DECODE_SUSPECT, PICTURE_TABLE) about the image, NodeError(FILE_UNREADABLE)
    about the disk; ValueError for a stack that was refused, or is a volume.
    """
    header = stack.headers[0]
    if stack.facts.refusal is not None or picture_kind(header) is None or header.picture is None:
        raise ValueError("only a stack of a picture that was not refused has pixels")
    numbered = [replace(header, frame_number=n) for n in range(1, header.frames + 1)]
    asked = [header] if header.frames == 1 else numbered
    values = None if header.is_colour else read_values(header, display=display)
    frames: Pixels | None = None
    encoded = b""
    for number, one in enumerate(decode(asked)):
        progress("decoding", number, len(asked))
        decoded = _checked(header, one, len(asked))
        encoded = encoded or decoded.encoded_header
        pixels = _pixels(header, decoded, values)
        if frames is None:
            frames = np.empty((len(asked), *pixels.shape), dtype=pixels.dtype)
        frames[number] = pixels
    progress("decoding", len(asked), len(asked))
    assert frames is not None  # a header has a frame
    times = header.picture.plane.frame_times_ms
    return Picture(
        frames=frames,
        plane=replace(header.picture.plane, frame_times_ms=times if len(times) == len(asked) else ()),
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
        sources=tuple(one.source_frame for one in asked),
        headers=SourceHeaders((encoded,)),
        repairs=(*stack.repairs, *(values.repairs if values is not None else ())),
    )


def _checked(header: Header, one: DecodedSlice | DecodingError, total: int) -> DecodedSlice:
    if isinstance(one, ImplausibleError):
        raise NodeError(DECODE_SUSPECT, sop_instance_uid=header.sop_instance_uid, reason=str(one)) from one
    if isinstance(one, DecodingError):
        syntax = class_name(header.transfer_syntax_uid)
        raise NodeError(DECODE_FAILED, count=1, total=total, transfer_syntax=syntax, error=str(one)) from one
    return one


def _pixels(header: Header, decoded: DecodedSlice, values: PictureValues | None) -> Pixels:
    """Return a frame as (j, i, c)."""
    if values is not None:
        return values.of(decoded)[..., np.newaxis]
    stored = decoded.stored
    if header.photometric == "PALETTE COLOR" and stored.dtype == np.uint16:
        # Entries of 16 bits are colours of 8 in their upper byte (PS3.3 C.7.6.3.1.6); some wrote the lower
        return (stored >> 8 if decoded.high > _LARGEST_BYTE else stored).astype(np.uint8)
    if stored.dtype == np.uint8:
        return stored.astype(np.uint8, copy=False)
    return stored.astype(np.uint16) if stored.dtype == np.uint16 else stored.astype(np.float32)
