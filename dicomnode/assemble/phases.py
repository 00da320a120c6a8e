"""Which attribute tells images at one position apart: phases, echoes, b-values, kernels, image types.

A series may hold several stacks at the same places. What separates them is looked for among the attributes
that may, the most telling first; two or three together where one is not enough (b-value and direction). Times
differ from slice to slice within one phase, so of them only the order at each position counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from dicomnode.assemble.day_times import over_midnight, seconds_of_day
from dicomnode.assemble.headers import PHASE_KEYWORDS
from dicomnode.assemble.record import Header
from dicomnode.values import Fact

TIMES: Final = (
    "TriggerTime",
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
)
"""Attributes whose values may differ within one phase: the n-th of each position are taken together. Of two
that tell the same apart the first counts: a time with its date before one without."""

# Their values are a time of day, of which only the order says something.
_TIME_OF_DAY: Final = "AcquisitionTime"
_CLOCKS: Final = frozenset({_TIME_OF_DAY, "AcquisitionDateTime"})

WITHIN_ONE: Final = frozenset({*TIMES, "StackID", "DimensionIndexValues", "LossyImageCompression"})
"""Attributes that may vary within one even row of slices: it is scanned in packages, one after the other."""

MOST_TOGETHER: Final = 3
"""So many attributes together tell any stacks apart that are known: image type, b-value and direction."""

MOST_GROUPS: Final = 2
"""Times as many groups as there are images at one position: more are pieces of phases."""

LEAST_PART: Final = 0.5
"""Of the images: so many must end in a volume, or nothing is known of the series."""

_DIGITS: Final = 6  # a value is the same if so many digits are

Key = tuple[Fact, ...]
Fits = Callable[[Sequence[int]], bool]
"""Tells whether some images, by their index, are the slices of one volume."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One of several stacks of a series: by which attributes it is told apart, which of how many it is."""

    words: str
    number: int
    total: int

    @property
    def text(self) -> str:
        """How facts and repairs call it: "EchoTime 4.6, 1 of 2"."""
        return f"{self.words}, {self.number} of {self.total}".lstrip(", ")


@dataclass(frozen=True, slots=True)
class _Split:
    """A way to tell images apart: attributes (keyword, whether only their order counts), the key of each."""

    by: tuple[tuple[str, bool], ...]
    keys: tuple[Key, ...]

    def groups(self) -> dict[Key, list[int]]:
        found: dict[Key, list[int]] = {}
        for n, key in enumerate(self.keys):
            found.setdefault(key, []).append(n)
        return found


def phases_of(
    headers: Sequence[Header], places: Sequence[int], fits: Fits
) -> list[tuple[Phase, list[Header]]] | None:
    """Tell the images of several stacks apart; None where no attribute does.

    headers: sorted along the normal; places: of each, which position it lies at, counted. fits: asked of
    groups with one image at each position. Taken is what makes volumes of most images, then what needs the
    fewest groups, then attributes, then the most telling. The phases are in the order of their values.
    """
    most = max(Counter(places).values())
    best: tuple[tuple[int, int], _Split] | None = None
    size = 0
    for split in _splits(headers, places):
        if len(split.by) > size and best is not None and best[0][0] == -len(headers):
            break
        size = len(split.by)
        groups = split.groups()
        if not 2 <= len(groups) <= max(MOST_GROUPS * most, 2):
            continue
        rank = (-_fitting(groups, places, fits), len(groups))
        if best is None or rank < best[0]:
            best = rank, split
    if best is None or -best[0][0] < LEAST_PART * len(headers):
        return None
    return _told(headers, best[1])


def joined_of(headers: Sequence[Header], fits: Fits) -> list[tuple[Phase, list[Header]]]:
    """Tell stacks apart whose slices together make one even row; nothing where it is one stack.

    Two kernels that are half a distance apart, or two voltages behind each other, look like one volume. One
    attribute must tell them apart that says what the values are, and each part must be a volume. headers,
    fits: as of `phases_of`; no two at one position.
    """
    for word in PHASE_KEYWORDS:
        if word in WITHIN_ONE:
            continue
        split = _Split(((word, False),), tuple((_value(header.tags.get(word)),) for header in headers))
        groups = split.groups()
        if len(groups) > 1 and all(fits(group) for group in groups.values()):
            return _told(headers, split)
    return []


def _fitting(groups: dict[Key, list[int]], places: Sequence[int], fits: Fits) -> int:
    """Return how many images are in groups that make a volume."""
    return sum(
        len(group)
        for group in groups.values()
        if len({places[n] for n in group}) == len(group) and fits(group)
    )


def _splits(headers: Sequence[Header], places: Sequence[int]) -> Iterator[_Split]:
    """Yield ways to tell images apart: one attribute, then two, then three, each the most telling first."""
    values = {word: tuple(_value(header.tags.get(word)) for header in headers) for word in PHASE_KEYWORDS}
    vary = [word for word, given in values.items() if len(set(given)) > 1]
    classes = [word for word in vary if word not in _CLOCKS]
    times = {
        word: moments
        for word in TIMES
        if word in vary and (moments := _moments(word, values[word])) is not None
    }
    for size in range(1, MOST_TOGETHER + 1):
        for words in combinations(classes, size):
            yield _Split(
                tuple((word, False) for word in words),
                tuple(zip(*(values[word] for word in words), strict=True)),
            )
        for words in combinations(classes, size - 1):
            keys = [tuple(values[word][n] for word in words) for n in range(len(headers))]
            for time, moments in times.items():
                order = None if time in words else _in_order(moments, keys, places)
                if order is not None:
                    by = (*((word, False) for word in words), (time, True))
                    yield _Split(by, tuple((*key, n) for key, n in zip(keys, order, strict=True)))


def _moments(word: str, values: Sequence[Fact]) -> Sequence[Fact] | None:
    """Return the values of a time so that they can be put in order; None where that is not known."""
    if None in values:
        return None
    if word != _TIME_OF_DAY:
        return values
    seconds = [seconds_of_day(value) for value in values]
    known = [one for one in seconds if one is not None]
    return over_midnight(known) if len(known) == len(seconds) else None


def _in_order(times: Sequence[Fact], keys: Sequence[Key], places: Sequence[int]) -> list[int] | None:
    """Number the images of one position and key in the order of a time; None where that is not complete.

    Each position has as many as all others with the same key, and no two at one time.
    """
    together: dict[tuple[Key, int], list[int]] = {}
    for n, (key, place) in enumerate(zip(keys, places, strict=True)):
        together.setdefault((key, place), []).append(n)
    counts: dict[Key, int] = {}
    order = [0] * len(times)
    for (key, _), some in together.items():
        if counts.setdefault(key, len(some)) != len(some) or len({times[n] for n in some}) < len(some):
            return None
        for number, n in enumerate(sorted(some, key=lambda one: _sortable(times[one])), start=1):
            order[n] = number
    return order


def _value(value: Fact) -> Fact:
    """Return a value of which equal ones are one phase, however many digits were written."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, tuple):
        return tuple(float(f"{x:.{_DIGITS}g}") if isinstance(x, float) else x for x in value)  # type: ignore[return-value]
    return value


def _sortable(value: Fact) -> tuple[int, float, str]:
    """Return a key that sorts missing values, then numbers, then texts."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    return (2, 0.0, _shown(value))


def _told(headers: Sequence[Header], split: _Split) -> list[tuple[Phase, list[Header]]]:
    groups = split.groups()
    ordered = sorted(groups, key=lambda key: tuple(_sortable(value) for value in key))
    told = []
    for number, key in enumerate(ordered, start=1):
        words = [
            f"{word} {_shown(value)}" if value is not None else f"no {word}"
            for (word, by_order), value in zip(split.by, key, strict=True)
            if not by_order
        ]
        words += [f"by {word}" for word, by_order in split.by if by_order]
        phase = Phase(" and ".join(words), number, len(ordered))
        told.append((phase, [headers[n] for n in groups[key]]))
    return told


def _shown(value: Fact) -> str:
    if isinstance(value, tuple):
        return "\\".join(_shown(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
