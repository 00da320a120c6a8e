"""The rule of every step that scales values: (value − shift) · factor + offset, then limits.

A rule is a few numbers, found once from the declaration and from what is measured on the volume. The CPU
and a device carry out the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from dicomnode.analyse.preparations.measured import Measured
from dicomnode.engine.manifest.preparation_values import (
    Invert,
    Percentile,
    Rescale,
    ScaleMinmax,
    ScaleRange,
    WindowLevel,
    ZScore,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """(value − shift) · factor + offset, limited to low … high where they are set."""

    shift: float = 0.0
    factor: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None


def between(a: tuple[float, float], b: tuple[float, float], *, clip: bool) -> Line:
    """Return the line that takes a[0] to b[0] and a[1] to b[1]; all to b[0] where a is one value."""
    factor = (b[1] - b[0]) / (a[1] - a[0]) if a[1] > a[0] else 0.0
    low, high = b if clip else (None, None)
    return Line(shift=a[0], factor=factor, offset=b[0], low=low, high=high)


def _window(how: WindowLevel, _measured: Measured) -> Line:
    half = how.width / 2.0
    return between((how.centre - half, how.centre + half), (how.low, how.high), clip=True)


def _scale_range(how: ScaleRange, _measured: Measured) -> Line:
    return between((how.a_min, how.a_max), (how.b_min, how.b_max), clip=how.clip)


def _scale_minmax(how: ScaleMinmax, measured: Measured) -> Line:
    return between(measured.extremes(), (how.b_min, how.b_max), clip=False)


def _percentile(how: Percentile, measured: Measured) -> Line:
    lower, upper = measured.percentiles((how.lower, how.upper))
    return between((lower, upper), (how.b_min, how.b_max), clip=how.clip)


def _z_score(how: ZScore, measured: Measured) -> Line:
    given = how.mean is not None and how.std is not None
    mean, std = (how.mean, how.std) if given else measured.moments()
    return Line(shift=float(mean or 0.0), factor=1.0 / std if std else 1.0)


def _rescale(how: Rescale, _measured: Measured) -> Line:
    return Line(factor=how.slope, offset=how.intercept)


def _invert(how: Invert, measured: Measured) -> Line:
    low, high = measured.extremes() if how.low is None or how.high is None else (how.low, how.high)
    return Line(factor=-1.0, offset=low + high)


LINES: Final[Mapping[str, Callable[[Any, Measured], Line]]] = MappingProxyType(
    {
        "window": _window,
        "scale_range": _scale_range,
        "scale_minmax": _scale_minmax,
        "percentile": _percentile,
        "z_score": _z_score,
        "rescale": _rescale,
        "invert": _invert,
    }
)
"""How each step that scales values finds its line, by its name in engine.toml."""
