"""Maps and images that no object holds: what is not sent is told of, with the reason."""

from __future__ import annotations

from typing import Final

from dicomnode.report.fields.derived_images import against
from dicomnode.report.fields.limits import against_map
from dicomnode.values import Findings

MOST_IMAGES: Final = 70
"""Derived images that become series: each has a Series Number of its own."""


def left_out(findings: Findings) -> list[str]:
    """Say of each map and derived image that has no object why it has none; mostly nothing."""
    reasons = [(f"Map {one.label}", against_map(findings, one.grid)) for one in findings.maps]
    reasons += [
        (f"Derived image {one.label}", against(findings, one)) for one in findings.images[:MOST_IMAGES]
    ]
    reasons += [
        (f"Derived image {one.label}", f"there are more than {MOST_IMAGES}")
        for one in findings.images[MOST_IMAGES:]
    ]
    return [
        f"{what}: no DICOM object holds it, as {reason}. It is kept in the findings."
        for what, reason in reasons
        if reason is not None
    ]
