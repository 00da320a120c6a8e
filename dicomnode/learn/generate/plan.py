"""Who is drawn: patients of one to three studies, half of the studies with something to find.

A patient keeps his anatomy from study to study: who learns from one study of his has seen the others, so
that a split that parts them would be found out. More cases of a seed begin with the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from dicomnode.faults import SYNTH_WRONG, NodeError
from dicomnode.values import derive_uid

SYNTH_VERSION: Final = "2"  # goes up when a pixel or a header changes: UIDs depend on it
SALT: Final = b"dicomnode synth"
MOST_CASES: Final = 10_000
MOST_VISITS: Final = 3
_MOST_CONTRAST: Final = 1000.0

Kind = Literal[
    "thorax", "volumes", "contrasts", "discs", "mammograms", "photos", "fundus", "ultrasound", "cine"
]
Size = Literal["small", "full"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

USUAL_CONTRAST: Final[dict[Kind, float]] = {
    "thorax": 52.0,
    "volumes": 5.0,
    "contrasts": 5.0,
    "discs": 5.0,
    "mammograms": 5.0,
    "photos": 5.0,
    "fundus": 5.0,
    "ultrasound": 5.0,
    "cine": 5.0,
}
"""Contrast-to-noise of what is to be found, where none is asked for."""

LESIONS_MM: Final[dict[Kind, tuple[float, float]]] = {
    "thorax": (9.0, 21.0),
    "volumes": (14.0, 44.0),
    "contrasts": (10.0, 30.0),
    "discs": (16.0, 60.0),
    "mammograms": (10.0, 34.0),
    "photos": (3.0, 10.0),
    "fundus": (0.3, 1.2),
    "ultrasound": (6.0, 16.0),
    "cine": (0.0, 0.0),  # a motion, not a place
}
"""Diameters of lesions, mm: least and most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthPlan:
    """What is generated: everything that decides a byte of it.

    contrast_to_noise: how much a lesion differs from what is around it, in SDs of the noise; None: the usual
    one of its kind. without_below_mm: lesions smaller than this are left out, as where nobody collected them.
    Raises NodeError(SYNTH_WRONG) for what cannot be.
    """

    kind: Kind
    cases: int
    seed: int
    size: Size = "small"
    contrast_to_noise: float | None = None
    without_below_mm: float = 0.0

    def __post_init__(self) -> None:
        for holds, problem in self._wanted():
            if not holds:
                raise NodeError(SYNTH_WRONG, problem=problem)

    def _wanted(self) -> Iterator[tuple[bool, str]]:
        """Give what must hold, and what is said where it does not; a later one relies on those before it."""
        contrast, below = self.contrast_to_noise, self.without_below_mm
        yield self.kind in KINDS, f"the kind is one of {', '.join(KINDS)}, not {self.kind!r}"
        yield self.size in get_args(Size), f"the size is small or full, not {self.size!r}"
        yield 1 <= self.cases <= MOST_CASES, f"there are 1 to {MOST_CASES} cases, not {self.cases}"
        yield 0 <= self.seed < 2**63, f"the seed is a whole number from 0 to 2^63 - 1, not {self.seed}"
        yield (
            contrast is None or 0.0 < contrast <= _MOST_CONTRAST,
            f"the contrast-to-noise is above 0 and at most {_MOST_CONTRAST:g}, not {contrast}",
        )
        low, high = LESIONS_MM[self.kind]
        span = f"lesions of {self.kind} have {low:g} to {high:g} mm" if high else "there is no lesion in it"
        yield (
            below == 0.0 or 0.0 < below < high,
            f"lesions below {below:g} mm cannot be left out: {span}",
        )

    @property
    def contrast(self) -> float:
        """Contrast-to-noise that holds."""
        return USUAL_CONTRAST[self.kind] if self.contrast_to_noise is None else self.contrast_to_noise

    @property
    def lesions_mm(self) -> tuple[float, float]:
        """Least and most diameter of a lesion, mm."""
        low, high = LESIONS_MM[self.kind]
        return max(low, self.without_below_mm), high

    def uid(self, *parts: str) -> str:
        """Derive a UID of something of this plan; the number of cases changes none."""
        made = (self.kind, str(self.seed), self.size, f"{self.contrast:g}", f"{self.without_below_mm:g}")
        return derive_uid(SALT, SYNTH_VERSION, *made, *parts)

    def stream(self, *purpose: object) -> np.random.Generator:
        """Return random numbers of their own for each purpose: one more draw in one leaves the others."""
        return np.random.default_rng((self.seed, *"/".join(map(str, purpose)).encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One study. number, patient, visit: from 1. sick: whether there is something to find."""

    number: int
    patient: int
    visit: int
    sick: bool

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"case-{self.number:04}"


def planned_cases(plan: SynthPlan) -> tuple[Case, ...]:
    """Say who is drawn; of two cases that follow each other one is sick."""
    people, luck = plan.stream("people"), plan.stream("sick")
    visits: list[tuple[int, int]] = []
    patient = 0
    while len(visits) < plan.cases:
        patient += 1
        count = int(people.integers(1, MOST_VISITS + 1))
        visits += [(patient, visit) for visit in range(1, count + 1)]
    cases = []
    first_is_sick = False
    for number in range(1, plan.cases + 1):
        if number % 2 == 1:
            first_is_sick = bool(luck.integers(2))
        patient, visit = visits[number - 1]
        sick = first_is_sick == (number % 2 == 1)
        cases.append(Case(number=number, patient=patient, visit=visit, sick=sick))
    return tuple(cases)
