"""Lesions of two studies, paired: which of those found now is which of those found then.

One to one. A pair is of one type, on one side and in one organ where both say so, and its centres lie nearer
to each other than the larger of 10 mm and the mean of the two diameters. 10 mm are what a deep breath, and a
chest that lies otherwise, leave between the same place of two studies that are laid over each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.measure import sphere_diameter_mm
from dicomnode.values import Code, PointLps

_NEAR_MM: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """A lesion as far as it can be known again.

    label: of the segment or region that it is. centre_lps_mm: to be paired, all in one space. volume_mm3:
    None of one without an outline.
    """

    label: str
    type: Code
    centre_lps_mm: PointLps
    site: Code | None = None
    laterality: Code | None = None
    volume_mm3: float | None = None

    @property
    def diameter_mm(self) -> float:
        """Diameter of the ball of the same volume; 0 without an outline."""
        return 0.0 if self.volume_mm3 is None else sphere_diameter_mm(self.volume_mm3)


def pair(now: Sequence[Lesion], then: Sequence[Lesion]) -> dict[int, int]:
    """Return, for the number of each lesion of `now` that has a partner, the number of that in `then`.

    The pairs are those that lie best in all, and none is made to give another lesion a partner: a pair counts
    by how much nearer its centres are than they may be. The order of the lesions changes nothing.
    """
    # In an order of their own, so that of pairs that are equally good the same are taken
    first, second = _by_place(now), _by_place(then)
    gains = np.array([[_gain_mm(now[n], then[m]) for m in second] for n in first], dtype=np.float64)
    if not gains.size:
        return {}
    # Slow to load, and only who compares with a prior needs it
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    rows, columns = linear_sum_assignment(np.maximum(gains, 0.0), maximize=True)
    return {
        first[row]: second[column]
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if gains[row, column] >= 0.0
    }


def _by_place(lesions: Sequence[Lesion]) -> list[int]:
    return sorted(range(len(lesions)), key=lambda n: (lesions[n].centre_lps_mm, lesions[n].diameter_mm))


def _gain_mm(now: Lesion, then: Lesion) -> float:
    """Return by how much nearer two lesions lie than a pair may; below 0 they are none."""
    if now.type != then.type or _differ(now.site, then.site) or _differ(now.laterality, then.laterality):
        return -1.0
    farthest = max(_NEAR_MM, (now.diameter_mm + then.diameter_mm) / 2.0)
    return farthest - float(np.linalg.norm(np.subtract(now.centre_lps_mm, then.centre_lps_mm)))


def _differ(one: Code | None, other: Code | None) -> bool:
    return one is not None and other is not None and one != other
