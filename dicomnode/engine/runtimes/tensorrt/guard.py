"""Calls from C++ into Python: an exception waits on this side until C++ has returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Guard:
    """Keeps the first exception of the calls made through it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def call(self, function: Callable[[], T]) -> T | None:
        """Call it; None when it raised."""
        try:
            return function()
        except BaseException as error:  # noqa: BLE001  C++ above us cannot carry it: `raise_kept` does, later
            self.error = self.error or error
            return None

    def raise_kept(self) -> None:
        """Raise what was kept, when C++ has returned."""
        if self.error is not None:
            raise self.error
