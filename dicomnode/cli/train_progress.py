"""How long a training will take, said after its first epoch, and where it is, minute by minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from dicomnode.cli.output import console
from dicomnode.values import Progress

EPOCHS: Final = "training epoch"
"""The stage of the loop, as `dicomnode.learn` calls it."""

_EVERY_S: Final = 60.0  # between two lines, where there are no bars


class EpochsTold:
    """A `Progress` that passes all on, and tells of epochs how long those that are left take at most.

    clock: seconds, from any moment. as_lines: whether there are no bars, so that lines tell where it is.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float], *, as_lines: bool) -> None:
        self._progress, self._clock, self._as_lines = progress, clock, as_lines
        self._begun: tuple[int, float] | None = None
        self._told = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far the stage is."""
        self._progress(stage, done, total)
        if stage != EPOCHS:
            return
        now = self._clock()
        if self._begun is None or done <= self._begun[0]:  # it begins, or another fold does
            self._begun, self._told = (done, now), now
            return
        first, since = self._begun
        left = duration((now - since) / (done - first) * (total - done))
        if done == first + 1 < total:
            each = duration(now - since)
            text = (
                f"An epoch takes {each}: {total - done} more take {left} at most. It ends earlier when the "
            )
            console.print(f"{text}validation gets no better (patience).", markup=False)
            self._told = now
        elif self._as_lines and now - self._told >= _EVERY_S and done < total:
            console.print(f"{EPOCHS}: {done} of {total}, {left} more at most", markup=False)
            self._told = now


def told_of(progress: Progress, *, quiet: bool) -> Progress:
    """Return a progress that tells of epochs, too; the same if `quiet`."""
    if quiet:
        return progress
    return EpochsTold(progress, time.monotonic, as_lines=not console.is_terminal)


def duration(seconds: float) -> str:
    """Return a duration as people say it, rounded up."""
    if seconds < 10.0:
        return f"{math.ceil(seconds * 10.0) / 10.0:g} s"
    if seconds < 120.0:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60.0)
    return f"{minutes} min" if minutes < 120 else f"{math.ceil(minutes / 60)} h"
