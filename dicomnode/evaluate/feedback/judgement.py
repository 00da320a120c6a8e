"""A judgement: what somebody says of one thing that we found, or did not find."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ALIKE_DICE: Final = 0.99
"""Masks that overlap by this are one: tools that write a segmentation anew may round its edge."""


class JudgementKind(StrEnum):
    """What became of a finding in somebody's hands."""

    ACCEPTED = "accepted"  # left as it was, or said to be right
    CHANGED = "changed"  # another outline, number, place or code
    REJECTED = "rejected"  # taken away, or said to be wrong
    MISSED = "missed"  # theirs has what ours has not


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What somebody says of one finding.

    finding: names it for good: our tracking UID; of what we missed their tracking UID, or its number in their
    object. label: ours, theirs of what we missed. object_uid: of ours that said it, None of what was missed.
    dice: of the outlines, None where there are none to compare. difference_ml: their volume less ours.
    changed: which codes or numbers are others, in words.
    """

    kind: JudgementKind
    finding: str
    label: str
    object_uid: str | None = None
    tracking_uid: str | None = None
    dice: float | None = None
    difference_ml: float | None = None
    changed: tuple[str, ...] = ()
