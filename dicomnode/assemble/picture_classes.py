"""SOP Classes of pictures: projections, ultrasound, visible light, and captures of a screen (PS3.4 B.5)."""

from __future__ import annotations

from typing import Final

_IMAGES: Final = "1.2.840.10008.5.1.4.1.1."

CAPTURES: Final = frozenset(_IMAGES + tail for tail in ("7", "7.2", "7.3", "7.4"))
"""Secondary Capture, single and multi-frame; images of single bits are none."""

PICTURE_CLASSES: Final = CAPTURES | {
    _IMAGES + tail
    for tail in (
        "1",  # Computed Radiography
        "1.1",  # Digital X-Ray, also panoramic; for presentation, for processing
        "1.1.1",
        "1.2",  # Digital Mammography
        "1.2.1",
        "1.3",  # Digital Intra-Oral
        "1.3.1",
        "6.1",  # Ultrasound, still and multi-frame; also intravascular; then as it was before 1996
        "3.1",
        "6",
        "3",
        "12.1",  # X-Ray Angiography, Radiofluoroscopy
        "12.2",
        "14.1",  # Intravascular Optical Coherence Tomography
        "14.2",
        "77.1.1",  # Endoscopic, and its video
        "77.1.1.1",
        "77.1.2",  # Microscopic, its video, slide coordinates; whole slides are tiled and are none
        "77.1.2.1",
        "77.1.3",
        "77.1.4",  # Photographic, and its video
        "77.1.4.1",
        "77.1.5.1",  # Ophthalmic Photography of 8 and 16 bits
        "77.1.5.2",
        "77.1.7",  # Dermoscopic
    )
}
