"""Slices, decoded: all that a volume needs of their files, so that none is opened twice."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from dicomnode.assemble.bits import Stored
from dicomnode.assemble.decode import Frame, decode_frame
from dicomnode.assemble.decoders.colour import decode_colour_frame
from dicomnode.assemble.decoders.file import DecodingError, ImageFile, UndecodableError, open_image
from dicomnode.assemble.record import Header
from dicomnode.assemble.sources import encode_header
from dicomnode.store.foreign import quiet


@dataclass(frozen=True, slots=True, eq=False)
class DecodedSlice:
    """Stored values (j, i) before rescaling, and what is remembered of how they came out of the file.

    Of colours they are red, green and blue, (j, i, 3). low, high: of the values. encoded_header: as
    `encode_header` gives it; empty where it was not asked for. plugin: the decoder's name, empty for native
    pixels. hides_more: all pixels have one value, and the file holds more than that would need.
    cleared, shifted: what was done to the bits of its pixels (`Frame`).
    """

    stored: Stored
    low: int
    high: int
    encoded_header: bytes
    plugin: str
    hides_more: bool
    cleared: int = 0
    shifted: int = 0

    @property
    def is_constant(self) -> bool:
        """Tell whether all pixels have one value."""
        return self.low == self.high

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.stored.nbytes + len(self.encoded_header)


class DecodeSlices(Protocol):
    """Decodes slices in the order asked; what cannot be decoded is given as the error that says why.

    The header of a multi-frame instance is encoded with the first of its frames. other_than: a decoder that
    is not to be asked again. Raises NodeError about the disk, or about a decoder that did not survive.
    """

    def __call__(
        self, headers: Sequence[Header], *, other_than: str | None = None
    ) -> Iterator[DecodedSlice | DecodingError]:
        """Decode these."""


class SliceDecoder:
    """Decodes one slice after the other, and keeps the multi-frame file open that it read last.

    apart: this is a process of its own, which may die of what it decodes.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self._apart = apart
        self._last: tuple[Header, ImageFile] | None = None

    def __enter__(self) -> Self:
        """Use it as a context; it lets go of the file at its end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._last is not None:
            self._last[1].close()
            self._last = None

    def decode(
        self, header: Header, *, other_than: str | None = None, with_header: bool = True
    ) -> DecodedSlice:
        """Decode the slice that a header is of; raises as `read_frame`. Call it within `quiet()`."""
        image = self._open(header)
        frame = (
            _coloured(image, header)
            if header.is_colour
            else decode_frame(image, header, other_than=other_than, apart=self._apart)
        )
        return DecodedSlice(
            stored=frame.stored,
            low=frame.low,
            high=frame.high,
            encoded_header=encode_header(image.header, header) if with_header else b"",
            plugin=frame.plugin,
            hides_more=frame.hides_more,
            cleared=frame.cleared,
            shifted=frame.shifted,
        )

    def _open(self, header: Header) -> ImageFile:
        if self._last is not None:
            last, image = self._last
            if (last.path, last.sop_instance_uid) == (header.path, header.sop_instance_uid):
                return image
            self.close()
        image = open_image(header)
        self._last = (header, image)
        return image


def _coloured(image: ImageFile, header: Header) -> Frame:
    """Decode a frame to red, green and blue, (j, i, 3)."""
    colours = decode_colour_frame(image, header)
    if colours.shape[2] != 3:
        raise UndecodableError("its pixels have no colours, though its header says so")
    return Frame(colours, int(colours.min()), int(colours.max()), "", colours.nbytes)


def decode_here(
    headers: Sequence[Header], *, other_than: str | None = None
) -> Generator[DecodedSlice | DecodingError]:
    """Decode slices in this process, one after the other; see `DecodeSlices`.

    For files of one's own: what a damaged stream does to a decoder it does to the process.
    """
    with SliceDecoder() as decoder:
        for header, first in zip(headers, first_of_instance(headers), strict=True):
            with quiet():
                try:
                    decoded: DecodedSlice | DecodingError = decoder.decode(
                        header, other_than=other_than, with_header=first
                    )
                except DecodingError as error:
                    decoded = error
                except MemoryError:
                    decoded = UndecodableError("it needs more memory than there is")
            yield decoded


def first_of_instance(headers: Sequence[Header]) -> list[bool]:
    """Tell of each header whether it is the first of its instance."""
    firsts: dict[str, int] = {}
    for number, header in enumerate(headers):
        firsts.setdefault(header.sop_instance_uid, number)
    return [firsts[header.sop_instance_uid] == number for number, header in enumerate(headers)]
