"""What TensorRT says while it works: kept for messages, handed to whoever follows, and put into the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from threading import RLock
from typing import Any, Final

import structlog

from dicomnode.engine.runtimes.tensorrt import api
from dicomnode.engine.runtimes.tensorrt.flavours import Trt
from dicomnode.engine.runtimes.tensorrt.guard import Guard

KEPT: Final = 200  # lines; a failure is told in the last few, and a parser repeats itself
_TOLD: Final = {"INTERNAL_ERROR": "warning", "ERROR": "warning", "WARNING": "info", "INFO": "debug"}

log = structlog.get_logger("dicomnode.engine")

Follow = Callable[[str, str], None]


class TensorRtLog:
    """The last lines of TensorRT's log, as "ERROR: text". Threads of TensorRT write, any thread reads."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self._follow: Follow | None = None

    def add(self, severity: str, text: str) -> None:
        """Take a line; VERBOSE ones, thousands in a build, are dropped."""
        if severity == "VERBOSE":
            return
        line = " ".join(text.split())
        with self._lock:
            self._lines.append(f"{severity}: {line}")
            self._count += 1
            follow = self._follow
        getattr(log, _TOLD.get(severity, "debug"))("tensorrt.log", severity=severity, text=line)
        if follow is not None:
            follow(severity, line)

    @property
    def count(self) -> int:
        """How many lines there have been: a mark for `tail`."""
        with self._lock:
            return self._count

    def tail(self, since: int = 0) -> tuple[str, ...]:
        """Return the lines after a mark, of those that are kept."""
        with self._lock:
            new = min(self._count - since, len(self._lines))
            return tuple(islice(self._lines, len(self._lines) - new, None))

    def errors(self, since: int = 0) -> str:
        """Return the errors after a mark in one sentence; the last line where there are none."""
        lines = self.tail(since)
        bad = [line.partition(": ")[2] for line in lines if line.startswith(("ERROR", "INTERNAL_ERROR"))]
        return "; ".join(dict.fromkeys(bad)) or (lines[-1] if lines else "it gave no reason")

    @contextmanager
    def followed(self, follow: Follow) -> Iterator[None]:
        """Hand each line to `follow` (severity, text), from whichever thread TensorRT writes it."""
        with self._lock:
            before, self._follow = self._follow, follow
        try:
            yield
        finally:
            with self._lock:
                self._follow = before


@cache
def logger_of(trt: Trt) -> tuple[api.ILogger, TensorRtLog]:
    """Return the logger of this process for a module of TensorRT, and the lines that it keeps.

    There is one: TensorRT keeps the first that it is given for the whole process, and the object must
    outlive all that was made with it.
    """
    kept = TensorRtLog()
    base: Any = trt.ILogger

    class Forward(base):  # type: ignore[misc]  # the module is known at run time alone
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: api.Severity, msg: str) -> None:
            # An exception must not travel through TensorRT's own frames; there is nobody to tell
            Guard().call(lambda: kept.add(severity.name, msg))

    return Forward(), kept
