"""Some slices of a stack, decoded: enough to see what it shows, long before all of it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.assemble.rescale import rescaled
from dicomnode.assemble.slices import DecodedSlice, DecodeSlices, decode_here
from dicomnode.assemble.studies import Stack
from dicomnode.assemble.units import scaling_of
from dicomnode.faults import NodeError

FEWEST: Final = 12
MOST: Final = 24
APART_MM: Final = 40.0
"""Of a long stack so many slices that they are no farther apart, up to `MOST`: no organ is missed."""

_OF_THE_IMAGES: Final = "DN-3"


@dataclass(frozen=True, slots=True, eq=False)
class SampledSlice:
    """One slice: values (j, i) float32 in the unit of the stack, its pixel spacing, and how high it lies."""

    values: NDArray[np.float32]
    spacing_ji_mm: tuple[float, float]
    z_lps_mm: float


def sample_slices(stack: Stack, decode: DecodeSlices = decode_here) -> list[SampledSlice]:
    """Decode some slices of a stack, evenly spread, k ascending; one that cannot be decoded is left out.

    An image that ends its decoder ends the look: what was decoded until then is given. Raises NodeError about
    the disk; ValueError for a stack that was refused.
    """
    if stack.placement is None:
        raise ValueError("a refused stack has no slices to look at")
    total = len(stack.headers)
    extent_mm = total * float(np.linalg.norm(stack.placement.affine_lps[:3, 2]))
    count = min(total, max(FEWEST, min(MOST, round(extent_mm / APART_MM))))
    wanted = [round((n + 0.5) * total / count - 0.5) for n in range(count)]
    scales = scaling_of(stack.headers, of_several="phase" in stack.facts.facts).scales
    found: list[SampledSlice] = []
    try:
        for k, one in zip(wanted, decode([stack.headers[k] for k in wanted]), strict=True):
            header = stack.headers[k]
            if isinstance(one, DecodedSlice) and header.spacing_ji_mm and header.position_lps_mm:
                values = rescaled(one.stored, *scales[k], (one.low, one.high)).astype(np.float32)
                found.append(SampledSlice(values, header.spacing_ji_mm, header.position_lps_mm[2]))
    except NodeError as error:
        if not error.fault.code.startswith(_OF_THE_IMAGES):
            raise
    return found
