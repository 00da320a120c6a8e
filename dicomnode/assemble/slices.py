"""One slice, decoded: all that a volume needs of its file, so that the file is not opened twice."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.assemble.decode import Stored, read_frame
from dicomnode.assemble.record import Header
from dicomnode.assemble.sources import encode_header


@dataclass(frozen=True, slots=True, eq=False)
class DecodedSlice:
    """Stored values (j, i) before rescaling, and what is remembered of how they came out of the file.

    encoded_header: as `encode_header` gives it. plugin: the decoder's name, empty for native pixels.
    is_constant: all pixels have one value. hides_more: and the file holds more than that would need.
    """

    stored: Stored
    encoded_header: bytes
    plugin: str
    is_constant: bool
    hides_more: bool

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.stored.nbytes + len(self.encoded_header)


def decode_slice(header: Header, *, other_than: str | None = None) -> DecodedSlice:
    """Decode the slice that a header is of; raises as `read_frame`. Call it within `quiet()`."""
    frame = read_frame(header, other_than=other_than)
    constant = frame.is_constant
    return DecodedSlice(
        stored=frame.stored,
        encoded_header=encode_header(frame.dataset, header),
        plugin=frame.plugin,
        is_constant=constant,
        hides_more=constant and frame.hides_more,
    )
