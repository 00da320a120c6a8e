"""Names of findings on a panel: each beside what it names, within the panel, on no other text.

A name that stands a little away is joined to what it names by a thin line. One that would have to stand
further away is left out: a heap of names tells nobody anything, and the table of findings has them all.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from dicomnode.report.drawing.free_places import Box, FreePlaces, nearest
from dicomnode.report.drawing.legend import shortened
from dicomnode.report.drawing.panels import Panel
from dicomnode.values.colours import Rgb

_SIZE: Final = 12  # of the letters, as panels count it
_FARTHEST: Final = 3.0  # letters' heights from a finding to its name
_JOINED_FROM: Final = 1.2  # … and from where on a line leads from one to the other
_MOST_LINES: Final = 2.0  # … of them, the length of others' edges that it may stand on
_MORE: Final = "+ {} more"


class Names:
    """The names on one panel, beside all that is written on it already."""

    def __init__(self, panel: Panel, size: int = _SIZE) -> None:
        self._panel, self._size = panel, size
        _, top, _, bottom = panel.box_of((0, 0), "Ag", "ls", size)
        self._high = bottom - top
        self._places = FreePlaces(_floats(panel.extract.size), (0.5 * self._high, self._high))
        for box in panel.written():
            self._places.take(box)

    def keep_for_more(self, at: tuple[float, float]) -> None:
        """Keep room at x, y for how many names are left out."""
        self._places.take(self._panel.box_of(at, _MORE.format(88), "la"))

    def write_more(self, at: tuple[float, float], count: int) -> None:
        """Say how many names are left out."""
        if count:
            self._panel.write(at, _MORE.format(count), "la")

    def avoid(self, box: Box) -> None:
        """Leave a finding free where that costs little: its edges, and what lies within."""
        left, top, right, bottom = box
        for line in (_outline(box), np.array([[left, top], [right, bottom]])):
            self._places.avoid(line)

    def write(self, name: str, colour: Rgb, box: Box) -> bool:
        """Write a name beside the box of what it names; False where there is no room near it."""
        wide = self._panel.extract.size[0] - 2 * self._high
        name = shortened(name, wide, self._panel.lettering.of(self._size))
        left, top, right, bottom = self._panel.box_of((0, 0), name, "ls", self._size)
        size, within = (right - left, bottom - top), self._within(box)
        place = self._places.place(*size, within, farthest=_FARTHEST, most_lines=_MOST_LINES)
        if place is None:
            return False
        self._panel.write((place[0] - left, place[1] - top), name, "ls", colour, self._size)
        start = nearest(_outline(within, 9), place)
        stop = nearest(_outline(place, 9), (*start, *start))
        if np.hypot(stop[0] - start[0], stop[1] - start[1]) > _JOINED_FROM * self._high:
            self._panel.draw_leader(start, stop, colour)
        return True

    def _within(self, box: Box) -> Box:
        """What the panel shows of a box."""
        width, height = _floats(self._panel.extract.size)
        x0, x1 = (float(one) for one in np.clip([box[0], box[2]], 0.0, width))
        y0, y1 = (float(one) for one in np.clip([box[1], box[3]], 0.0, height))
        return x0, y0, x1, y1


def _floats(size: tuple[int, int]) -> tuple[float, float]:
    return float(size[0]), float(size[1])


def _outline(box: Box, points: int = 2) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The edges of a box by some points on each, (n, 2) x, y."""
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    along = np.linspace(0.0, 1.0, points)[:, None]
    return np.concatenate([a + along * (b - a) for a, b in pairwise(corners)])
