"""The grey window that a picture is shown in: what radiologists set for the organ that it is about.

Findings carry no window, so the choice follows from the unit of the voxels and the codes of what was found:

- Hounsfield units: the lesion that is shown decides by its type and site; else all that was found or looked
  for must speak for one organ. Lung 1500/-600, brain 80/40, bone 1800/400; everything else, and several
  organs together, is shown in the soft tissue window 400/40 (width/level, HU).
- Any other unit (MR): from the 1st to the 99.5th percentile of the voxels above the lowest value, which is
  that of padding and of what was masked. It has no scale of its own. Activity (PET) begins at nothing.

Words of the codes' meanings are compared, not their values: engines bring codes of their own schemes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.report.words.wording import plain_number
from dicomnode.values import Code, FindingKind, Findings, Region, Segment, Volume
from dicomnode.values.codes import BECQUEREL_PER_ML, COUNTS, HOUNSFIELD, SUV_BODY_WEIGHT, unit_word

_ACTIVITY: Final = frozenset({SUV_BODY_WEIGHT, BECQUEREL_PER_ML, COUNTS})
_PERCENTILES: Final = (1.0, 99.5)
_PLANES: Final = 32  # so many are enough for percentiles
_LINES: Final = 128  # … and so many rows and columns of each


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayWindow:
    """Values from `low` (black) to `high` (white), and what the window is called.

    unit: the word of a unit in which people speak of ends; "" where they speak of width and level.
    """

    name: str
    low: float
    high: float
    unit: str = ""

    @classmethod
    def centred(cls, name: str, width: float, level: float) -> DisplayWindow:
        """A window by its width and level."""
        return cls(name=name, low=level - width / 2, high=level + width / 2)

    def __str__(self) -> str:
        if self.unit:
            return f"{self.name}, {plain_number(self.low)} to {plain_number(self.high)} {self.unit}"
        width, level = self.high - self.low, (self.high + self.low) / 2
        return f"{self.name}, width {plain_number(width)}, level {plain_number(level)}"


SOFT_TISSUE: Final = DisplayWindow.centred("soft tissue window", 400.0, 40.0)
LUNG: Final = DisplayWindow.centred("lung window", 1500.0, -600.0)
BRAIN: Final = DisplayWindow.centred("brain window", 80.0, 40.0)
BONE: Final = DisplayWindow.centred("bone window", 1800.0, 400.0)

# What words of a meaning begin with, and the window that they speak for; the first that fits. Vessels are
# seen in the window of their contrast, also those of lung and brain; a skull is bone, not brain.
_BY_WORDS: Final = (
    (SOFT_TISSUE, ("arter", "vein", "venous", "embol", "aneurysm")),
    (
        BONE,
        ("bone", "vertebra", "rib", "skull", "sacrum", "sternum", "clavicle", "scapula", "femur", "humerus"),
    ),
    (LUNG, ("lung", "pulmon", "bronch", "trachea", "airway", "pneumo", "emphysema")),
    (BRAIN, ("brain", "cereb", "intracranial", "subdural", "subarachnoid", "thalamus", "hippocamp")),
)


def window_for(volume: Volume, findings: Findings, target: Segment | Region | None) -> DisplayWindow:
    """Choose the window that `target` (None: the whole) is shown in."""
    if volume.unit == HOUNSFIELD:
        return window_in_hounsfield(findings, target)
    window = window_between(volume.voxels)
    if volume.unit in _ACTIVITY and window.high > 0.0:
        return replace(window, low=0.0, unit=unit_word(volume.unit))
    return window


def window_about(volume: Volume, *codes: Code | None) -> DisplayWindow:
    """Choose the window in which an organ is shown, by the codes that speak of it."""
    if volume.unit == HOUNSFIELD:
        return _spoken(_codes(*codes)) or SOFT_TISSUE
    return window_between(volume.voxels)


def window_in_hounsfield(findings: Findings, target: Segment | Region | None) -> DisplayWindow:
    """Choose the window that `target` (None: the whole) is shown in, of images in Hounsfield units."""
    if target is not None and (own := _of(target)) is not None:
        return own
    # A lesion that names no organ lies in one of those that are named
    asked = {_of(one) for one in findings.segments if one.site or one.kind is not FindingKind.LESION}
    asked |= {_of(one) for one in findings.regions if one.site}
    if not asked:
        asked = {_spoken(_codes(one.type)) for one in findings.classifications}
        asked |= {_spoken(_codes(one.type, one.site)) for one in findings.remarks if one.type or one.site}
    return (asked.pop() if len(asked) == 1 else None) or SOFT_TISSUE


def _of(found: Segment | Region) -> DisplayWindow | None:
    return _spoken(_codes(found.type, found.site))


def _codes(*codes: Code | None) -> list[Code]:
    return [code for code in codes if code is not None]


def _spoken(codes: Iterable[Code]) -> DisplayWindow | None:
    """The window that the words of some codes speak for, None if they name no such organ."""
    words = " ".join(code.meaning.lower() for code in codes).replace("-", " ").split()
    return next(
        (window for window, stems in _BY_WORDS if any(word.startswith(stems) for word in words)), None
    )


def window_between(planes: NDArray[Any]) -> DisplayWindow:
    """Return the window by percentiles of numbers that have no scale of their own, shape (k, j, i)."""
    k, j, i = (max(1, n // most) for n, most in zip(planes.shape, (_PLANES, _LINES, _LINES), strict=True))
    some = planes[::k, ::j, ::i]
    above = some[some > some.min()]
    low, high = (float(one) for one in np.percentile(above if above.size else some, _PERCENTILES))
    return DisplayWindow(name="window by percentiles", low=low, high=max(high, low + 1e-6))
