"""What is asked of a picture: the heads of the network, and what is true of a film that was drawn.

A question that has no answer for a picture (on which side is the heart, of a lateral view) is not asked of
it: it teaches nothing, and no figure counts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NOT_ASKED: Final = -1
CUT_FROM_MM: Final = 5.0
"""So much of a lung is outside of what was exposed when it counts as cut off; less than that is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A head. name: of it and of its output; answers: its classes, in the order of the network."""

    name: str
    answers: tuple[str, ...]


VIEW: Final = Question(name="view", answers=("frontal", "lateral", "other"))
TURNED: Final = Question(name="turned", answers=("upright", "turned-left", "upside-down", "turned-right"))
MIRRORED: Final = Question(name="mirrored", answers=("not-mirrored", "mirrored"))
INVERTED: Final = Question(name="inverted", answers=("not-inverted", "inverted"))
APICES: Final = Question(name="apices", answers=("apices-whole", "apices-cut"))
BASES: Final = Question(name="bases", answers=("bases-whole", "bases-cut"))
SIDES: Final = Question(name="sides", answers=("sides-whole", "sides-cut"))

QUESTIONS: Final = (VIEW, TURNED, MIRRORED, INVERTED, APICES, BASES, SIDES)
CUTS: Final = (APICES, BASES, SIDES)
FRONTAL, LATERAL, OTHER = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true of a picture.

    quarters: by how many quarter turns to the left it lies. cut_mm: how much of a lung is outside of what was
    exposed, by the name of each of CUTS; below 0 there is so much room. other: what it is, of no chest.
    """

    view: int
    quarters: int = 0
    mirrored: bool = False
    inverted: bool = False
    cut_mm: Mapping[str, float] = field(default_factory=dict)
    other: str = ""

    @property
    def answers(self) -> tuple[int, ...]:
        """The number of the true answer to each of QUESTIONS, or NOT_ASKED."""
        if self.view == OTHER:
            return (OTHER, *[NOT_ASKED] * (len(QUESTIONS) - 1))
        mirrored = int(self.mirrored) if self.view == FRONTAL else NOT_ASKED
        cuts = (_cut(self.cut_mm[one.name]) for one in CUTS)
        return (self.view, self.quarters, mirrored, int(self.inverted), *cuts)


def _cut(mm: float) -> int:
    if mm >= CUT_FROM_MM:
        return 1
    return 0 if mm <= 0.0 else NOT_ASKED
