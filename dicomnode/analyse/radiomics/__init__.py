"""Hand-made features of a region: intensity, shape, texture, edges, as a row with names and units.

Definitions, names and reference values: the Image Biomarker Standardisation Initiative (IBSI), Zwanenburg and
others, Radiology 295 (2020) 328; its codes stand beside each feature. Why there is no library behind it:
docs/decisions/0046-features-and-radiomics.md.
"""

from __future__ import annotations

from dicomnode.analyse.radiomics.lesion import around_lesion, at_spacing
from dicomnode.analyse.radiomics.row import (
    BIN_WIDTH,
    NAMES,
    VERSION,
    TooLittleError,
    chosen_of,
    row_of_region,
    units_of,
)

__all__ = [
    "BIN_WIDTH",
    "NAMES",
    "VERSION",
    "TooLittleError",
    "around_lesion",
    "at_spacing",
    "chosen_of",
    "row_of_region",
    "units_of",
]
