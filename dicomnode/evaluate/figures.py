"""A number of an evaluation, or the reason why there is none: nothing divided by nothing is not zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its name, or no number with the reason.

    name: the word of reports and JSON ("recall"). label: the class that it speaks of, None for all together.
    value: finite, or None where it is not defined; then `reason` says why. part, whole: the counts behind a
    share ("25 of 435"), where it is one.
    Raises ValueError on NaN or infinity, on a value with a reason, and on neither.
    """

    name: str
    value: float | None
    label: str | None = None
    reason: str = ""
    part: int | None = None
    whole: int | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"Figure {self.name!r} must be finite or None with a reason, got {self.value!r}")
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"Figure {self.name!r} has either a value or a reason why it has none")
        if (self.part is None) != (self.whole is None):
            raise ValueError(f"Figure {self.name!r}: a part is one of a whole")

    @property
    def title(self) -> str:
        """Name and class as a person reads them: "recall of sick"."""
        spoken = self.name.replace("_", " ")
        return spoken if self.label is None else f"{spoken} of {self.label}"

    @property
    def text(self) -> str:
        """The number with three decimals and its counts, or why there is none."""
        if self.value is None:
            return f"undefined: {self.reason}"
        counts = "" if self.whole is None else f" ({self.part} of {self.whole})"
        return f"{self.value:.3f}{counts}"


def share(name: str, part: int, whole: int, reason: str, label: str | None = None) -> Figure:
    """`part` / `whole`, 0 to 1; None for the given reason where `whole` is 0."""
    if whole == 0:
        return Figure(name=name, label=label, value=None, reason=reason, part=part, whole=whole)
    return Figure(name=name, label=label, value=part / whole, part=part, whole=whole)


def mean(name: str, figures: Sequence[Figure]) -> Figure:
    """The plain mean; None where one of them is: the mean of the others answers another question."""
    missing = [figure for figure in figures if figure.value is None]
    if missing:
        return Figure(name=name, value=None, reason=f"the {missing[0].title} is: {missing[0].reason}")
    values = [figure.value for figure in figures if figure.value is not None]
    if not values:
        return Figure(name=name, value=None, reason="there is nothing to take the mean of")
    return Figure(name=name, value=math.fsum(values) / len(values))


def counted(count: int, word: str, plural: str = "") -> str:
    """A count with its word: "1 case", "3 cases", "2 studies"."""
    return f"{count} {word if count == 1 else plural or word + 's'}"
