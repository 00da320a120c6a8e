"""Which candidates hit which known findings.

A candidate hits a finding when its centre lies within the radius of the finding, but at least 3 mm, of
the finding's centroid. Several candidates on one finding are one hit and no false positives. Candidates
on findings that are to be ignored (too small, not agreed on) count nowhere, and neither do those findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import PointLps
from dicomnode.values.geometry import Float64

NEAREST_MM: Final = 3.0  # small findings are hit within this distance


class KnownFinding(Protocol):
    """What is true: a place (LPS mm), a size (mm), and whether it counts."""

    @property
    def centre_lps_mm(self) -> PointLps:
        """Centroid."""

    @property
    def diameter_mm(self) -> float:
        """Diameter of the ball of equal volume."""

    @property
    def ignore(self) -> bool:
        """Tell whether the finding counts neither as hit nor as miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A finding that was found: indices into both lists; `found` is its candidate of the highest score."""

    found: int
    truth: int
    distance_mm: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """The outcome, as indices into the two lists.

    hits: one a finding that was found, in the order of the findings. misses: findings without a candidate.
    false_positives: candidates on nothing. repeats: further candidates on a finding that has its hit.
    ignored: candidates on nothing but findings to be ignored.
    """

    hits: tuple[Hit, ...]
    misses: tuple[int, ...]
    false_positives: tuple[int, ...]
    repeats: tuple[int, ...]
    ignored: tuple[int, ...]

    @property
    def sensitivity(self) -> float | None:
        """Found findings of all that count; None where there is none."""
        count = len(self.hits) + len(self.misses)
        return len(self.hits) / count if count else None


def match_candidates(found: Sequence[tuple[PointLps, float]], truth: Sequence[KnownFinding]) -> Matching:
    """Match candidates (centre in LPS mm, score) with what is true.

    A candidate that lies within two findings hits both. Of equal scores the nearer candidate is the hit,
    then the earlier one.
    """
    apart = _distances_mm(found, truth)
    reach = np.array([max(known.diameter_mm / 2.0, NEAREST_MM) for known in truth])
    near = apart <= reach
    hits, misses = [], []
    for index, known in enumerate(truth):
        if known.ignore:
            continue
        on_it = [int(n) for n in np.flatnonzero(near[:, index])]
        if not on_it:
            misses.append(index)
            continue
        best = min(on_it, key=lambda n: (-found[n][1], apart[n, index], n))
        hits.append(
            Hit(found=best, truth=index, distance_mm=float(apart[best, index]), score=float(found[best][1]))
        )
    counts = np.array([not known.ignore for known in truth], dtype=bool)
    on_known: NDArray[np.bool_] = np.any(near[:, counts], axis=1)
    on_ignored: NDArray[np.bool_] = np.any(near[:, ~counts], axis=1)
    taken = {hit.found for hit in hits}
    return Matching(
        hits=tuple(hits),
        misses=tuple(misses),
        false_positives=_indices(~on_known & ~on_ignored),
        repeats=tuple(n for n in _indices(on_known) if n not in taken),
        ignored=_indices(on_ignored & ~on_known),
    )


def _distances_mm(found: Sequence[tuple[PointLps, float]], truth: Sequence[KnownFinding]) -> Float64:
    """Distances (candidates, findings)."""
    centres = np.array([centre for centre, _ in found], dtype=np.float64).reshape(-1, 1, 3)
    known = np.array([one.centre_lps_mm for one in truth], dtype=np.float64).reshape(1, -1, 3)
    apart: Float64 = np.linalg.norm(centres - known, axis=-1)
    return apart


def _indices(which: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(n) for n in np.flatnonzero(which))
