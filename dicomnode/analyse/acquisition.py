"""How the images were made, as far as a measurement depends on it: kernel and slice thickness."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from dicomnode.values import SourceHeaders

# Kernels that are known to be soft or standard, by what the makers call them: GE Standard, Soft; Siemens
# B20 … B39, Br3x, Br4x, Qr3x, Qr4x; Canon and Toshiba FC01 … FC19; Philips A, B, C.
_SOFT: Final = re.compile(r"(?i:soft|stand)|^B[23]\d|^[BQ]r[34]\d|^FC[01]\d|^[ABC]$")
_THICKEST_MM: Final = 3.0


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
    from pydicom.multival import MultiValue  # noqa: PLC0415

    if not headers.encoded:
        return Acquisition()
    wanted = ["ConvolutionKernel", "SliceThickness"]
    header = dcmread(BytesIO(headers.encoded[0]), specific_tags=list(wanted))
    kernel = header.get("ConvolutionKernel")
    if isinstance(kernel, MultiValue):
        kernel = kernel[0] if kernel else None
    thickness = header.get("SliceThickness")
    return Acquisition(
        kernel=str(kernel) if kernel else None,
        slice_thickness_mm=float(thickness) if thickness else None,
    )


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
