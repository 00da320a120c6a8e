"""Which bits of a stored pixel are its value: Bits Stored of them, ending with High Bit (PS3.5 8.1.1).

The others mean nothing. Where taking them away would change what they may well mean, the image is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.assemble.attributes import items_of, numbers_of, whole_of
from dicomnode.assemble.decoders.file import ImageFile, ImplausibleError, UndecodableError
from dicomnode.values import Repair

Stored = NDArray[np.integer]

TOO_FEW_BITS: Final = (
    "signed values reach beyond (0028,0101) BitsStored, and others are negative in all bits: BitsStored is "
    "too small, or the bits above it are unused, and nothing tells which"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelBits:
    """Bits Allocated, Bits Stored and Pixel Representation; shift: how many lie below the value."""

    allocated: int
    stored: int
    signed: bool
    shift: int = 0

    @classmethod
    def of(cls, image: ImageFile) -> Self:
        """Read them from an image; UndecodableError, which names High Bit where it is that which is wrong."""
        module = image.pixel_module
        names = ("BitsAllocated", "BitsStored", "PixelRepresentation")
        allocated, stored, representation = (whole_of(module, name) for name in names)
        if allocated is None or stored is None or representation is None:
            raise UndecodableError("its Image Pixel module is not whole")
        high = whole_of(module, "HighBit")
        shift = 0 if high is None else high + 1 - stored
        if shift < 0 or shift + stored > allocated:
            raise UndecodableError(
                f"(0028,0102) HighBit is {high}, with {stored} bits stored of {allocated} allocated"
            )
        return cls(allocated=allocated, stored=stored, signed=representation == 1, shift=shift)

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest value that they hold."""
        if self.signed:
            return -(2 ** (self.stored - 1)), 2 ** (self.stored - 1) - 1
        return 0, 2**self.stored - 1

    def doubt(self, low: int, high: int) -> str | None:
        """Say what is wrong with values from `low` to `high`, if these bits do not hold them."""
        least, most = self.range
        if low < least or high > most:
            return f"its values reach from {low} to {high}, {self.stored} bits hold {least} to {most}"
        return None

    def aligned(self, pixels: Stored) -> Stored:
        """Return pixels whose value ends with bit 0; UndecodableError where bits below it are set."""
        if not self.shift:
            return pixels
        if np.any(pixels & ((1 << self.shift) - 1)):
            raise UndecodableError(
                f"(0028,0102) HighBit is {self.shift + self.stored - 1}, with {self.stored} bits stored, and "
                f"the {self.shift} bits below are not 0"
            )
        shifted: Stored = pixels >> self.shift
        return shifted

    def are_mapped(self, dataset: Dataset) -> bool:
        """Tell whether a modality LUT maps just the values that these bits hold: then they are right.

        PS3.3 C.11.1.1: LUT Descriptor is the number of entries, 65536 as 0, and the first value mapped.
        """
        least, most = self.range
        found = [numbers_of(one, "LUTDescriptor", 3) for one in items_of(dataset, "ModalityLUTSequence")]
        mapped = [(int(one[0]) or 2**16, int(one[1])) for one in found if one is not None]
        return mapped == [(most - least + 1, least)]

    def cleared(self, pixels: Stored, *, are_right: bool = False) -> tuple[Stored, int]:
        """Take away bits above the value; return how many pixels that changes, too.

        ImplausibleError where they are signed and reach beyond, and others of them are negative with all bits
        above set: then these may be no unused bits, and Bits Stored too small. are_right: it surely is not.
        """
        least, _ = self.range
        if self.signed and not are_right and np.any((pixels < 0) & (pixels >= least)):
            raise ImplausibleError(TOO_FEW_BITS)
        unused = self.allocated - self.stored
        kept: Stored = (pixels << unused) >> unused
        return kept, int(np.count_nonzero(kept != pixels))


def bits_repairs(cleared: int, shifted: Collection[int]) -> tuple[Repair, ...]:
    """Say what was done to a volume: in how many pixels bits were cleared, and by how many they shifted."""
    said = []
    if cleared:
        text = f"Bits above Bits Stored (0028,0101) were set in {cleared} pixels, and were taken away."
        said.append(Repair("bits", text))
    if any(shifted):
        text = (
            f"High Bit (0028,0102) says that the values lie {max(shifted)} bits too high: they were shifted."
        )
        said.append(Repair("bits", text))
    return tuple(said)
