"""The numbers of a finding that its report gives: those that it came with, and those that follow from it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dicomnode.report import concepts as c
from dicomnode.report.words.wording import volume_mm3
from dicomnode.values import Code, Findings, Measurement, PointLps, Segment
from dicomnode.values.codes import CUBIC_MILLIMETRE, MILLIMETRE

# Decimals by unit: what a measurement can carry
_DECIMALS: Final = {"mm3": 1, "ml": 3, "cm3": 3, "mm": 1, "mm2": 1, "[hnsf'U]": 1, "%": 1, "d": 0}
_OTHER_DECIMALS: Final = 4
_LEAST_DIGITS: Final = 2  # of a small number: 0.0432 mm is not 0.0 mm
_MOST_DIGITS: Final = 9  # with sign, point and exponent within the 16 characters of a DS (PS3.5 6.2)


def rounded(value: float, unit: Code) -> float:
    """Round to the decimals of a unit, but keep two digits of a small number."""
    if value == 0.0:
        return 0.0
    before_point = math.floor(math.log10(abs(value)))
    decimals = max(_DECIMALS.get(unit.value, _OTHER_DECIMALS), _LEAST_DIGITS - 1 - before_point)
    return float(f"{round(value, decimals):.{_MOST_DIGITS}g}")


def measured_of(segment: Segment, findings: Findings) -> tuple[Measurement, ...]:
    """Return the measurements of a segment; of a volume its volume and the axes that it has ends of, too.

    A volumetric group has a number at least (TID 1411). The voxels of a picture have no volume.
    """
    given = segment.measurements
    known = {one.concept for one in given}
    derived = []
    if c.VOLUME not in known and findings.sources[0].plane is None:
        derived.append(_number("volume_mm3", c.VOLUME, volume_mm3(segment, findings), CUBIC_MILLIMETRE))
    for name, concept, ends in (
        ("long_axis_mm", c.LONG_AXIS, segment.long_axis_lps_mm),
        ("short_axis_mm", c.SHORT_AXIS, segment.short_axis_lps_mm),
    ):
        if ends is not None and concept not in known:
            derived.append(_number(name, concept, length_mm(ends), MILLIMETRE))
    return (*given, *derived)


def length_mm(ends_lps_mm: tuple[PointLps, PointLps]) -> float:
    """Return the length of a measured line."""
    return float(np.linalg.norm(np.subtract(*ends_lps_mm)))


def _number(name: str, concept: Code, value: float, unit: Code) -> Measurement:
    return Measurement(name=name, concept=concept, value=value, unit=unit)
