"""Whether two images have the same pixels: asked of images that lie at one position."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Self

import numpy as np

from dicomnode.assemble.decode import encoded_frame
from dicomnode.assemble.decoders.file import DecodingError, open_image
from dicomnode.assemble.decoders.pool import DecoderLimits, DecoderPool
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice
from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.store.foreign import quiet

_ONE: Final = DecoderLimits(processes=1)

_Image = tuple[str, int | None]  # path, frame number
_Digest = bytes | None  # None: of what cannot be read


class PixelComparison:
    """Compares the images of one reading; each is read once, and a digest of it kept. Use it as a context.

    Call it with two headers; raises NodeError(FILE_UNREADABLE).
    """

    def __init__(self) -> None:
        self._encoded: dict[_Image, _Digest] = {}
        self._decoded: dict[_Image, _Digest] = {}
        self._pool: DecoderPool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def __call__(self, one: Header, other: Header) -> bool:
        """Tell whether two images have equal stored values; what cannot be read equals nothing.

        Of one transfer syntax the encoded bytes are compared; of two, what they decode to, in a decoder
        process.
        """
        digest = (
            self._of_encoded if one.transfer_syntax_uid == other.transfer_syntax_uid else self._of_decoded
        )
        first = digest(one)
        return first is not None and first == digest(other)

    def _of_encoded(self, header: Header) -> _Digest:
        image = (str(header.path), header.frame_number)
        if image not in self._encoded:
            self._encoded[image] = _encoded(header)
        return self._encoded[image]

    def _of_decoded(self, header: Header) -> _Digest:
        image = (str(header.path), header.frame_number)
        if image not in self._decoded:
            if self._pool is None:
                self._pool = DecoderPool(_ONE)
            self._decoded[image] = _decoded(header, self._pool)
        return self._decoded[image]


def _encoded(header: Header) -> _Digest:
    try:
        with quiet(), open_image(header) as image:
            return sha256(encoded_frame(image, header)).digest()
    except DecodingError:
        return None


def _decoded(header: Header, pool: DecoderPool) -> _Digest:
    try:
        found = next(pool([header]))
    except NodeError as error:
        if error.fault is FILE_UNREADABLE:
            raise
        return None  # a decoder that died of it
    if not isinstance(found, DecodedSlice):
        return None
    # Values are compared, not how many bytes a decoder gives them
    shape = np.array(found.stored.shape, dtype=np.int64).tobytes()
    return sha256(shape + found.stored.astype(np.int64).tobytes()).digest()
