"""Colours as screens have them, sRGB, and as eyes do: CIELab, where equal distances look alike.

Colours that are shown together are chosen by how far they lie apart there (CIE 1976 ΔE*ab).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import dist, inf
from typing import Final

Rgb = tuple[int, int, int]
"""Red, green, blue of sRGB, each 0 to 255."""

Lab = tuple[float, float, float]
"""L*, a*, b* of CIELab."""


APART: Final = 25.0
"""ΔE*ab: nearer ones look alike where hairlines lie far apart, as seen on CT."""

# What is chosen from: seen as a hairline on black and on white, and never taken for grey
_LEVELS: Final = range(0, 256, 15)  # of red, green and blue
_LIGHTNESS: Final = (60.0, 92.0)
_LEAST_CHROMA: Final = 40.0

FIXED: Final[tuple[Rgb, ...]] = (
    (255, 165, 0),
    (255, 0, 255),
    (0, 210, 255),
    (0, 255, 0),
    (225, 120, 150),
    (105, 165, 75),
    (120, 135, 255),
    (225, 240, 0),
    (0, 255, 210),
    (255, 90, 60),
    (255, 225, 150),
    (255, 135, 255),
    (0, 240, 120),
    (165, 150, 0),
    (210, 135, 90),
    (105, 195, 0),
    (30, 165, 135),
    (225, 180, 255),
    (60, 150, 225),
    (255, 75, 165),
    (210, 240, 120),
    (165, 240, 180),
    (0, 195, 120),
    (75, 240, 240),
)
"""What a `Palette` of which nothing was taken begins with: the closest two are 27 apart."""


def to_lab(colour: Rgb) -> Lab:
    """Return CIELab L*, a*, b* of an sRGB colour, white point D65 (IEC 61966-2-1, CIE 15)."""
    red, green, blue = (_linear(part / 255) for part in colour)
    x = _bent((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047)
    y = _bent(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    z = _bent((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _linear(part: float) -> float:
    return float(((part + 0.055) / 1.055) ** 2.4) if part > 0.04045 else part / 12.92


def _bent(part: float) -> float:
    return float(part ** (1 / 3)) if part > 216 / 24389 else part * 841 / 108 + 4 / 29


def next_colour(taken: Sequence[Rgb], wanted: Rgb | None = None) -> Rgb:
    """The first of `wanted` and the fixed set that differs from all that are taken."""
    labs = [to_lab(one) for one in taken]
    for colour in (*([wanted] if wanted is not None else []), *FIXED):
        if _differs(to_lab(colour), labs):
            return colour
    begun = len(taken) % len(FIXED)
    return next(one for one in (*FIXED[begun:], *FIXED) if _differs(to_lab(one), labs[-1:]))


def _differs(lab: Lab, others: Sequence[Lab]) -> bool:
    return all(dist(lab, other) >= APART for other in others)


class Palette:
    """Colours that are taken, and how far from them each of the others lies."""

    def __init__(self) -> None:
        self._taken: list[Lab] = []
        self._nearest = [inf] * len(_bright())

    def take(self, colour: Rgb) -> Rgb:
        """Keep others away from a colour."""
        lab = to_lab(colour)
        self._taken.append(lab)
        others = zip(self._nearest, _bright(), strict=True)
        self._nearest = [min(before, dist(lab, other)) for before, (_, other) in others]
        return colour

    def next(self, usual: Rgb | None) -> Rgb:
        """Take the usual colour where it differs from all that are taken, or the one farthest from those."""
        if usual is not None and _differs(to_lab(usual), self._taken):
            return self.take(usual)
        if not self._taken:
            return self.take(FIXED[0])
        farthest = self._nearest.index(max(self._nearest))
        return self.take(_bright()[farthest][0])


@cache
def _bright() -> tuple[tuple[Rgb, Lab], ...]:
    """Return the colours that are chosen from, with where they lie in CIELab."""
    return tuple(_all_bright())


def _all_bright() -> Iterator[tuple[Rgb, Lab]]:
    for colour in ((red, green, blue) for red in _LEVELS for green in _LEVELS for blue in _LEVELS):
        lab = to_lab(colour)
        if _LIGHTNESS[0] <= lab[0] <= _LIGHTNESS[1] and dist(lab[1:], (0.0, 0.0)) >= _LEAST_CHROMA:
            yield colour, lab
