"""Times of day (VR TM) as seconds: of images that were taken within half a day, over midnight, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

DAY_S: Final = 86_400.0

_HALF_A_DAY_S: Final = DAY_S / 2
_TIME: Final = re.compile(r"(\d{2}):?(\d{2}):?(\d{2}(?:\.\d+)?)")  # with the colons of ACR-NEMA


def seconds_of_day(value: object) -> float | None:
    """Return a time of day to the second in s since midnight; None of anything else."""
    found = _TIME.fullmatch(str(value or "").strip())
    if found is None:
        return None
    hours, minutes, seconds = (float(part) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def over_midnight(times_s: Sequence[float]) -> list[float] | None:
    """Return times of day in s so that they ascend as images were taken: a day is added to the early ones.

    All were taken within half a day: what lies further apart is on two days. None where no half of a day is
    free of them: then it is not known which comes first.
    """
    moments = sorted(set(times_s))
    if not moments or moments[-1] - moments[0] <= _HALF_A_DAY_S:
        return list(times_s)
    free_s, first = max((later - earlier, later) for earlier, later in pairwise(moments))
    if free_s < _HALF_A_DAY_S:
        return None
    return [one if one >= first else one + DAY_S for one in times_s]
