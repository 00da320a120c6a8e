"""What was read back beside what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.judges.cases import Case


def differ(what: str, one: object, other: object) -> list[str]:
    return [] if np.array_equal(one, other) else [f"{what} differ"]


def as_found(case: Case, read: Sequence[np.ndarray], what: str = "voxels") -> list[str]:
    """Compare masks (k, j, i) with those that were found."""
    held = []
    for segment, mask in zip(case.findings.segments, read, strict=False):
        held += differ(f"{what} of {segment.label}", mask, segment.mask.to_array())
    return held if len(read) >= len(case.findings.segments) else [*held, f"only {len(read)} segments"]
