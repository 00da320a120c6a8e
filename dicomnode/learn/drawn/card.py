"""card.md of an engine that was trained on drawn patients: its form, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicomnode.evaluate import Interval
from dicomnode.learn.drawn.order import DrawnOrder

USE: Final = "Research and engineering. Not for clinical use."

_ALONE: Final = ", cpu, 1 thread(s)"  # how a place ends whose weights repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card in its parts. sections: headings and what is below them; notes stand before the limits."""

    title: str
    lead: str
    sections: Sequence[tuple[str, Sequence[str]]]
    limits: Sequence[str]
    made: Sequence[str]

    def text(self, notes: str = "") -> str:
        """Return card.md. notes: what people wrote of the engine, with headings of its own."""
        lines = [f"# {self.title}", "", f"{self.lead} {USE}", ""]
        for heading, below in self.sections:
            lines += [f"## {heading}", "", *below, ""]
        if notes.strip():
            lines += [notes.strip(), ""]
        lines += ["## Limits", "", *(f"- {one}" for one in self.limits), ""]
        lines += ["## How it was made", "", *(f"- {one}" for one in self.made)]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a training took.

    seconds: of a processor, without the drawing of patients; None: not kept. places: as of `Learned`. real:
    UID and digest of each real scan; left_out: how many more were given.
    """

    order: DrawnOrder
    seconds: float | None
    places: Sequence[str]
    versions: Mapping[str, Any]
    real: Sequence[tuple[str, str]] = ()
    left_out: int = 0


def how_made(made: Made, network: bytes, what: str = "network") -> list[str]:
    """Say by which command an engine was made, where, in which time, and whether that repeats it."""
    order = made.order
    drawing = f"; {order.workers} process(es) beside it drew" if order.workers else ""
    seconds = "its time was not kept" if made.seconds is None else _time(made.seconds)
    places = ", then ".join(made.places) or "a machine that was not kept"
    return [
        f"`{command_of(order)}`",
        f"on {places}: {seconds}, without the drawing of patients{drawing}",
        f"begun at {order.made_at:%Y-%m-%d %H:%M} UTC; "
        + ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        f"the {what} has {len(network) / 1e6:.2f} MB; its digest stands in engine.toml",
        _repeats(made, what),
    ]


def _repeats(made: Made, what: str) -> str:
    if made.seconds is None or not made.places:  # of a state that was kept before both were told
        return (
            f"which machines took part was not kept: whether the same command gives the same {what} is open"
        )
    if all(one.endswith(_ALONE) for one in made.places):
        return (
            f"with these versions and one thread of such a processor the same command gives the same {what}"
        )
    return f"a GPU or several threads add in other orders: the same command gives nearly the same {what}"


def _time(seconds: float) -> str:
    spent = f"{seconds / 60.0:.0f} minutes" if seconds >= 90.0 else f"{seconds:.0f} seconds"
    return f"{spent} of a processor"


def command_of(order: DrawnOrder) -> str:
    """Return the command that repeats a training; folders of data are not named."""
    words = [f"dicomnode train {order.task} --out {order.out.name}"]
    for name in ("title", "version", *order.asked, "seed"):
        value = getattr(order, name)
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, Path):
            words.append(f"--{name} {'FILE' if value.suffix else 'DIR'}")
        elif value not in {None, ""}:
            words.append(f"--{name} {shlex.quote(str(value))}")
    return " ".join(words)


def real_lines(made: Made, how: str) -> list[str]:
    """Say which real scans were learned from. how: what they were taken for."""
    real, left_out = made.real, made.left_out
    if not real:
        return ["No real scan."]
    lines = [f"{len(real)} real scan(s) {how}. Never judge it on these:"]
    lines += [f"series {uid}, digest {digest}" for uid, digest in real]
    if left_out:
        lines.append(f"{left_out} further real scan(s) were refused, as their lungs were not sure.")
    return lines


def bullets(lines: Sequence[str]) -> list[str]:
    """Return lines as a list."""
    return [f"- {one}" for one in lines]


def number(value: float | None) -> str:
    """Return a figure as it stands in tables."""
    return "–" if value is None else f"{value:.3f}"


def with_ends(interval: Interval, digits: int = 3) -> str:
    """Return a figure and its interval: "0.930 (0.850–0.990)"; without it where no resample differs."""
    value, low, high = interval.figure.value, interval.low, interval.high
    if value is None:
        return "–"
    if low is None or high is None or low == high:  # that says nothing
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def cells(interval: Interval) -> str:
    """Return a figure and its interval as cells."""
    return " | ".join(number(one) for one in (interval.figure.value, interval.low, interval.high))
