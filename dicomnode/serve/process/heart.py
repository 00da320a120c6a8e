"""The heart: beats from a thread of its own, so that the supervisor does not take long work for a hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Self

from dicomnode.serve.process.line import Beat, ChildLine

_BEAT_S: Final = 1.0


class Heart:
    """Beats each second while the block runs.

    say: what to tell; None where something hangs. Then nothing is said, and the supervisor acts.
    """

    def __init__(self, line: ChildLine, say: Callable[[], Beat | None], every_s: float = _BEAT_S) -> None:
        self._line, self._say, self._every_s = line, say, every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            beat = self._say()
            if beat is not None:
                self._line.beat(beat)
            if self._end.wait(self._every_s):
                return
