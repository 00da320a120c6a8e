"""What a picture of a case is drawn from: where its images lie, what is true and what was found."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.assemble import Stack
from dicomnode.evaluate.outcomes import CaseName, Task
from dicomnode.values import Code, Mask, PointLps


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place without an outline: centre in LPS mm, and its diameter in mm where that is known."""

    centre_lps_mm: PointLps
    diameter_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """One case of one output; masks are in the grid of the stack's volume or picture."""

    task: Task
    output: str
    case: CaseName
    stack: Stack
    about: Code | None
    truth: tuple[Mask | Spot, ...] = ()
    found: tuple[Mask | Spot, ...] = ()
