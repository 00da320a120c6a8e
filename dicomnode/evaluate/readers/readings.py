"""What several readers say of the same cases: labels, numbers, outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dicomnode.evaluate.outcomes import CaseName
from dicomnode.values import Code
from dicomnode.values.geometry import Float64, read_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What all kinds share.

    title: of what was read. readers: "reader 1" …, of whom not each has read every case. by: how readers were
    told apart, a sentence. cases: those with a reading. remarks: sentences.
    """

    title: str
    readers: tuple[str, ...]
    by: str
    cases: tuple[CaseName, ...]
    remarks: tuple[str, ...] = ()

    @property
    def patients(self) -> list[str]:
        """Of each case, whose it is."""
        return [case.patient for case in self.cases]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadClasses(Readings):
    """Labels. given: of each case what each reader called it, None where he did not read it.

    labels: all of them; ordered: whether their order is one of degrees. Raises ValueError where that does not
    fit.
    """

    given: tuple[tuple[str | None, ...], ...]
    labels: tuple[str, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        if len(self.given) != len(self.cases) or any(len(row) != len(self.readers) for row in self.given):
            raise ValueError("a label, or None, of each reader of each case")
        unknown = {one for row in self.given for one in row} - {None, *self.labels}
        if unknown:
            raise ValueError(f"labels {sorted(map(str, unknown))} are none of {self.labels}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadNumbers(Readings):
    """Numbers. given: float64 (cases, readers), NaN where one did not read it. unit: None where not known."""

    given: Float64
    unit: Code | None = None

    def __post_init__(self) -> None:
        given = np.array(self.given, dtype=np.float64)
        if given.shape != (len(self.cases), len(self.readers)):
            raise ValueError(f"{len(self.cases)} cases of {len(self.readers)} readers, got {given.shape}")
        object.__setattr__(self, "given", read_only(given))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedPair:
    """The outlines of two readers (indices, first < second) of one case (index).

    hd95_mm: None where one of both outlines is empty. first_ml, second_ml: their volumes.
    """

    case: int
    first: int
    second: int
    dice: float
    hd95_mm: float | None
    first_ml: float
    second_ml: float

    @property
    def both_empty(self) -> bool:
        """Whether both say that there is nothing to outline."""
        return self.first_ml == 0.0 and self.second_ml == 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOutlines(Readings):
    """Outlines of one structure. pairs: of each case each two readers who outlined it.

    alone: cases that one reader alone outlined: they are compared with nothing.
    """

    pairs: tuple[OutlinedPair, ...]
    alone: int = 0


AnyReadings = ReadClasses | ReadNumbers | ReadOutlines
