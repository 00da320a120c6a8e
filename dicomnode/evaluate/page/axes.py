"""Axes of plots: where a value lies between the ends, and which values are written beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TICKS: Final = 5
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_AIR: Final = 0.04  # of the range beyond the outermost values
_NO_RANGE: Final = 1e-9  # of the values themselves: ticks so near to one another are not told apart
_NOTHING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis from `low` to `high`; title with its unit. ticks: values that are written beside it.

    logarithmic: equal distances are equal ratios. names: what is written in place of the numbers.
    Raises ValueError where the ends are not finite or do not ascend, and on logarithms from 0 or less.
    """

    title: str
    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"an axis goes from a lower to a higher end, got {self.low!r}, {self.high!r}")
        if self.logarithmic and self.low <= 0.0:
            raise ValueError(f"a logarithmic axis begins above 0, got {self.low!r}")
        if self.names and len(self.names) != len(self.ticks):
            raise ValueError(f"{len(self.names)} names for {len(self.ticks)} ticks")

    def part(self, value: float) -> float:
        """Where a value lies, 0 (low) to 1 (high); what lies beyond is drawn at the end."""
        if self.logarithmic:
            value = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            value = (value - self.low) / (self.high - self.low)
        return min(max(value, 0.0), 1.0)

    def marked(self) -> tuple[tuple[float, str], ...]:
        """Ticks, each with what is written beside it."""
        texts = self.names or tuple(_written(tick, self._step) for tick in self.ticks)
        return tuple(zip(self.ticks, texts, strict=True))

    @property
    def _step(self) -> float:
        apart = [b - a for a, b in zip(self.ticks, self.ticks[1:], strict=False)]
        return min(apart, default=1.0)


def share_axis(title: str) -> Axis:
    """An axis from 0 to 1."""
    return Axis(title=title, low=0.0, high=1.0, ticks=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0))


def axis_around(title: str, values: Sequence[float], *, holds: Sequence[float] = ()) -> Axis:
    """An axis that holds all values, and those of `holds`, with round numbers beside it."""
    low, high = _ends([*values, *holds])
    air = _AIR * (high - low)
    step = _round_step((high - low) / _TICKS)
    first, last = math.ceil((low - air) / step), math.floor((high + air) / step)
    ticks = tuple(n * step for n in range(first, last + 1))
    return Axis(title=title, low=low - air, high=high + air, ticks=ticks)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    size = max(abs(low), abs(high))
    if high - low > max(_NO_RANGE * size, _NOTHING):
        return low, high
    # A single value is drawn in the middle
    half = 0.1 * size if size > _NOTHING else 0.5
    return low - half, high + half


def _round_step(at_least: float) -> float:
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(step * power for step in _STEPS if step * power >= at_least * (1.0 - 1e-9))


def _written(tick: float, step: float) -> str:
    """A number as short as the step between ticks allows."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if not math.isclose(step * 10.0**decimals, round(step * 10.0**decimals), rel_tol=1e-6):
        decimals += 1  # steps of 0.25
    return f"{tick:.{decimals}f}".replace("-", "−")
