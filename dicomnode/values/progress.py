"""How long work says how far it is: the same words in the demo, the journal and the page."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called often and cheaply: stage in a word or two ("decoding", "inference window"), done of total."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note of it. Must not raise."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
