"""What is said of candidates that are not reported: how many, and how near the best of them came."""

from __future__ import annotations

import numpy as np

from dicomnode.values import Remark, RemarkKind


def none_reaches(threshold: float, below: int, best: float, what: str = "candidate") -> str:
    """Say that none is reported, how many have a lower score, and how near the best of them came."""
    were = f"{what} below it was" if below == 1 else f"{what}{_many(what)} below it were"
    # Cut, not rounded: a score below the threshold must not be written as the threshold
    highest = f", the highest {np.floor(100.0 * best) / 100.0:.2f}" if below else ""
    return f"None reaches the score of {threshold:g}; {below} {were} not reported{highest}."


def more_than_reported(
    count: int, threshold: float, at_most: int, what: str = "candidate", *, scored_later: bool = False
) -> Remark:
    """Say that more reach the threshold than are reported; scored_later: than a later step selects from."""
    text = (
        f"{count} {what}{_many(what)} reach the score of {threshold:g}; the {at_most} with the highest score "
        f"{'were looked at further' if scored_later else 'are reported'}."
    )
    return Remark(kind=RemarkKind.LIMIT, text=text)


def as_points(count: int) -> Remark:
    """Say that some of those reported have no outline."""
    text = f"{count} of the candidates have no outline and are reported as points."
    if count == 1:
        text = "1 candidate has no outline and is reported as a point."
    return Remark(kind=RemarkKind.LIMIT, text=text)


def _many(what: str) -> str:
    return "es" if what.endswith("x") else "s"
