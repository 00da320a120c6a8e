"""Candidates that an engine has and does not report: for those who judge it, never for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dicomnode.values.findings import PointLps


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place with a score, 0 … 1, in LPS mm. label: of the [[output]] that it would be."""

    label: str
    centre_lps_mm: PointLps
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreported:
    """What an analysis left out of its Findings: below a threshold, or beyond the most that are reported.

    down_to: by label of the [[output]], the score from which on all candidates are known, reported or here.
    An output that is not there has candidates that nobody kept, or none.
    """

    candidates: tuple[Candidate, ...] = ()
    down_to: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "down_to", MappingProxyType(dict(self.down_to)))

    def of(self, label: str) -> list[tuple[PointLps, float]]:
        """Return centre and score of the candidates of an output."""
        return [(one.centre_lps_mm, one.score) for one in self.candidates if one.label == label]
