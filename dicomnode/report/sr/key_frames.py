"""Which slices or frames a report points to, of those that an engine gave a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.values import Findings, FrameScore, reaches

MOST_KEY_FRAMES: Final = 20
"""A reader looks at so many; the others are counted in words."""


@dataclass(frozen=True, slots=True)
class KeyFrames:
    """Of one class: all of its scores, the threshold (None: nobody gave one), and those that reach it.

    shown: the highest of these, at most `MOST_KEY_FRAMES`, in the order of the slices; where none reaches the
    threshold, the highest of all alone.
    """

    scores: tuple[FrameScore, ...]
    threshold: float | None
    reached: tuple[FrameScore, ...]
    shown: tuple[FrameScore, ...]

    @property
    def best(self) -> FrameScore:
        """The highest score; of equal ones, the first."""
        return max(self.scores, key=lambda one: one.score)


def key_frames(findings: Findings) -> tuple[KeyFrames, ...]:
    """Return the key frames of each class that slices have scores of."""
    thresholds = {one.label: one.threshold for one in findings.classifications}
    return tuple(
        _of_class([one for one in findings.frame_scores if one.label == label], thresholds.get(label))
        for label in dict.fromkeys(one.label for one in findings.frame_scores)
    )


def _of_class(scores: Sequence[FrameScore], threshold: float | None) -> KeyFrames:
    highest = sorted(scores, key=lambda one: (-one.score, one.k))
    reached = [one for one in highest if threshold is not None and reaches(one.score, threshold)]
    shown = reached[:MOST_KEY_FRAMES] or highest[:1]
    return KeyFrames(tuple(scores), threshold, tuple(reached), tuple(sorted(shown, key=lambda one: one.k)))
