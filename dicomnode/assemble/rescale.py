"""From stored values to values in a unit: rescale, and what padding becomes. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.assemble.bits import Stored
from dicomnode.values import Repair

Voxels = NDArray[np.int16] | NDArray[np.float32]

# Whole numbers are compared with int16 as they are, others by converting each voxel
CT_LOWEST_HU: Final = -1024
"""What padding becomes in CT: the lowest value of a 12-bit CT image, a little below air."""

CT_IMPOSSIBLE_BELOW_HU: Final = -1500
"""Nothing in a patient, nor the noise of air, reaches below: it is padding, declared or not."""

CT_TISSUE_HU: Final = (-1000, 3071)
"""Declared padding within this range is not believed: it would punch holes into air, water or bone."""

MR_LOWEST: Final = 0
"""What padding becomes in MR: no signal."""

_INT16: Final = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True)
class Padded:
    """How many voxels of a slice were padding, and from where to where their values reached."""

    count: int
    lowest: float
    highest: float


def rescaled(
    stored: Stored,
    slope: float,
    intercept: float,
    extent: tuple[int, int] | None = None,
    out: NDArray[np.int16] | None = None,
) -> Voxels:
    """Apply slope and intercept: int16 if nothing is lost by it, else float32. Shape as `stored`.

    extent: the lowest and the highest stored value, where they are known. out: where int16 is to go to.
    """
    if slope == 1.0 and intercept.is_integer():
        low, high = extent or (int(stored.min()), int(stored.max()))
        if low + int(intercept) >= _INT16.min and high + int(intercept) <= _INT16.max:
            # The result fits, so 16 bits may overflow on the way: both steps are modulo 2^16
            wrapped = np.array(int(intercept) % 2**16, dtype=np.uint16).astype(np.int16)
            low_bits = (
                stored.view(np.int16) if stored.itemsize == _INT16.bits // 8 else stored.astype(np.int16)
            )
            return np.add(low_bits, wrapped, out=out)
    values = stored.astype(np.float64) * slope + intercept
    return values.astype(np.float32)


def declared_padding(
    stored: Stored, padding: tuple[int, int] | None, extent: tuple[int, int] | None = None
) -> NDArray[np.bool_] | None:
    """Return which pixels are Pixel Padding Value, or within its range (PS3.3 C.7.5.1.1.2).

    The attribute is compared modulo the width of a pixel: 63536 stands for −2000 in signed 16 bits.
    """
    if padding is None:
        return None
    low, high = sorted(_as_pixel(value, stored.dtype) for value in padding)
    if extent is not None and (high < extent[0] or low > extent[1]):
        return None
    hit = np.asarray(stored == low if low == high else (stored >= low) & (stored <= high), dtype=np.bool_)
    return hit if hit.any() else None


def _as_pixel(value: int, dtype: np.dtype[np.integer]) -> int:
    width = 1 << (8 * dtype.itemsize)
    wrapped = value % width
    return wrapped - width if dtype.kind == "i" and wrapped >= width // 2 else wrapped


def mend_ct(values: Voxels, declared: NDArray[np.bool_] | None) -> Padded | None:
    """Set padding of a CT slice to `CT_LOWEST_HU`, in place; return what was found.

    Padding is what lies below `CT_IMPOSSIBLE_BELOW_HU`, and what is declared and not within
    `CT_TISSUE_HU`.
    """
    if declared is None and values.min() >= CT_IMPOSSIBLE_BELOW_HU:
        return None
    hit = values < CT_IMPOSSIBLE_BELOW_HU
    if declared is not None and (declared & ~hit).any():
        hit |= declared & ((values < CT_TISSUE_HU[0]) | (values > CT_TISSUE_HU[1]))
    return _mend(values, hit, CT_LOWEST_HU)


def mend_mr(values: Voxels, declared: NDArray[np.bool_] | None) -> Padded | None:
    """Set declared padding of an MR slice to `MR_LOWEST`, in place; return what was found."""
    if declared is None:
        return None
    return _mend(values, declared & (values != MR_LOWEST), MR_LOWEST)


def _mend(values: Voxels, hit: NDArray[np.bool_], lowest: float) -> Padded | None:
    found = values[hit]
    if not found.size:
        return None
    padded = Padded(int(found.size), float(found.min()), float(found.max()))
    values[hit] = lowest
    return padded


def padding_repair(slices: list[Padded], voxels: int, lowest: float, unit: str) -> tuple[Repair, ...]:
    """Say in one repair what was padding in a whole volume of so many voxels."""
    if not slices:
        return ()
    count = sum(padded.count for padded in slices)
    low = min(padded.lowest for padded in slices)
    high = max(padded.highest for padded in slices)
    values = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    text = (
        f"{count} voxels ({count / voxels:.1%}) were padding or below any real value ({values}{unit}) and "
        f"became {lowest:g}{unit}."
    )
    return (Repair("padding", text),)
