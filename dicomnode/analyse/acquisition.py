"""How the images were made, as far as a measurement depends on it: kernel and slice thickness."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from dicomnode.values import SourceHeaders

if TYPE_CHECKING:
    from pydicom import Dataset

# Kernels that are known to be soft or standard, by what the makers call them: GE Standard, Soft; Siemens
# B20 … B39, Br3x, Br4x, Qr3x, Qr4x; Canon and Toshiba FC01 … FC19; Philips A, B, C.
_SOFT: Final = re.compile(r"(?i:soft|stand)|^B[23]\d|^[BQ]r[34]\d|^FC[01]\d|^[ABC]$")
_THICKEST_MM: Final = 3.0
_LONGEST: Final = 64  # characters of a kernel's name; it is an SH of 16


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Convolution Kernel (0018,1210) and Slice Thickness (0018,0050) of the first source instance.

    None where the header does not say, or where it is not an image of classic CT.
    """

    kernel: str | None = None
    slice_thickness_mm: float | None = None


def acquisition_of(headers: SourceHeaders) -> Acquisition:
    """Read what the headers say of the acquisition."""
    # Only an engine that measures density needs it
    from pydicom import dcmread  # noqa: PLC0415

    from dicomnode.store.foreign import UNREADABLE_ITEMS, quiet  # noqa: PLC0415  it loads pydicom

    if not headers.encoded:
        return Acquisition()
    wanted = ["ConvolutionKernel", "SliceThickness"]
    with quiet():
        try:
            header = dcmread(BytesIO(headers.encoded[0]), specific_tags=list(wanted))
        except UNREADABLE_ITEMS:  # of its character set: all else is read where it is asked for
            return Acquisition()
        kernel, thickness = (_first_text(header, keyword) for keyword in wanted)
    return Acquisition(kernel=kernel or None, slice_thickness_mm=_length_mm(thickness))


def _first_text(header: Dataset, keyword: str) -> str:
    """Return the first value of an attribute as text that a sentence can hold; empty if it is not valid."""
    from dicomnode.store.foreign import UNREADABLE_ITEMS  # noqa: PLC0415  it loads pydicom

    try:
        value = header.get(keyword)
    except UNREADABLE_ITEMS:
        return ""
    if value is None or isinstance(value, bytes):
        return ""
    single = value if isinstance(value, str | float | int) else next(iter(value), "")
    text = str(single) if isinstance(single, str | float | int) else ""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:_LONGEST]


def _length_mm(text: str) -> float | None:
    try:
        length = float(text)
    except ValueError:
        return None
    return length if 0.0 < length < float("inf") else None


def low_attenuation_refused(made: Acquisition, spacing_k_mm: float) -> str | None:
    """Say why LAA-950 is not given for images made so, or None.

    Between kernels the same lung differs by 7.7 ± 2.7 percentage points (Gallardo-Estrella 2016, Eur Radiol
    26:478): the noise of a sharp kernel alone puts lung below -950 HU.
    """
    if made.kernel is None:
        return "the convolution kernel is not known"
    if not _SOFT.search(made.kernel):
        return f"the convolution kernel {made.kernel} is not known as a soft one"
    thickness = max(made.slice_thickness_mm or 0.0, spacing_k_mm)
    if thickness > _THICKEST_MM:
        return f"the slices are {thickness:.1f} mm thick, more than {_THICKEST_MM:g} mm"
    return None
