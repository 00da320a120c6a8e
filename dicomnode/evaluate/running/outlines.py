"""Outlines: overlap, distance and volume of what was found and what is true."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from statistics import fmean, median
from typing import Final

import numpy as np

from dicomnode.evaluate.agreement import readers_dice
from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.figures import Figure, share
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.metrics import dice, hausdorff95_mm
from dicomnode.evaluate.outcomes import SegmentationResult, SegmentedCase, Task
from dicomnode.evaluate.running.answering import Case
from dicomnode.evaluate.running.collecting import Collector, mean_of
from dicomnode.evaluate.truth import Labels, TrueOutline, Wanted, true_outline
from dicomnode.evaluate.truth.wanted import By, unnumbered
from dicomnode.values import Findings, Mask, Segment

POOR: Final = 0.5
"""A Dice below this is told: the outlines share less than they differ."""

_AREAS: Final = (
    "Of pictures, volumes stand for areas: 1 ml is 1000 mm², or pixels where their size is not known."
)
_NOTHING: Final = "no case has anything to outline"


def segments_of(wanted: Wanted, findings: Findings) -> tuple[Segment, ...]:
    """Return the segments of Findings that are of an output."""
    if wanted.is_lesion:
        return tuple(one for one in findings.segments if unnumbered(one.label) == wanted.label)
    return tuple(one for one in findings.segments if one.label == wanted.label)


class OutlineCollector(Collector[TrueOutline]):
    """Collects outlines of one output; of lesions all of them together."""

    task = Task.SEGMENTATION

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.cases: list[SegmentedCase] = []
        self._readers: list[float] = []
        self._flat = False

    def truth_of(self, labels: Labels) -> tuple[TrueOutline, By, str] | None:
        """Return the true outline on the grid of a case."""
        found = true_outline(self.wanted, labels)
        return None if found is None else (found, found.by, found.source)

    def is_answered(self, findings: Findings) -> bool:
        """Whether it was outlined, or looked for."""
        return bool(segments_of(self.wanted, findings)) or super().is_answered(findings)

    def pair(self, case: Case, findings: Findings, truth: TrueOutline) -> None:
        """Compare the outlines, and keep what came out."""
        grid = case.labels.grid
        assert grid is not None
        self._flat = self._flat or findings.sources[0].plane is not None
        found = _together(segments_of(self.wanted, findings), truth.mask)
        away = hausdorff95_mm(found, truth.mask, grid.spacing_kji_mm)
        both = not found.is_empty and not truth.mask.is_empty
        self.cases.append(
            SegmentedCase(
                case=case.name,
                dice=dice(found, truth.mask),
                hd95_mm=away if both and math.isfinite(away) else None,
                found_ml=found.count * grid.voxel_mm3 / 1000.0,
                true_ml=truth.mask.count * grid.voxel_mm3 / 1000.0,
            )
        )
        if len(truth.readers) > 1:
            agreed = readers_dice(truth.readers).mean.value
            self._readers += [] if agreed is None else [agreed]
        self.draw(case, (truth.mask,), (found,))

    def result(self, resampling: Resampling) -> SegmentationResult:
        """Make the result of all cases."""
        figures = [partial(of_rows, figure, self.cases) for figure in FIGURES.values()]
        intervals = self.intervals(figures, resampling)
        lead, *rest = (one.figure for one in intervals)
        return SegmentationResult(
            output=self.output,
            headline=Headline(
                lead=lead, warnings=tuple(self._warnings()), contradictions=(), then=tuple(rest)
            ),
            intervals=intervals,
            unanswered=tuple(name for name, _ in self.unanswered),
            untold=self.untold,
            remarks=tuple(self._remarks()),
            cases=tuple(self.cases),
        )

    def _warnings(self) -> list[str]:
        told = self.warned()
        there = [one for one in self.cases if one.true_ml > 0]
        bare = sum(one.found_ml == 0 for one in there)
        if bare:
            told.append(
                f"In {bare} of {len(there)} cases nothing was outlined of what is there: no distance."
            )
        poor = sum(one.dice < POOR for one in there)
        if poor:
            told.append(f"In {poor} of {len(there)} cases the Dice is below {POOR}.")
        missed = sum(not truth.mask.is_empty for _, truth in self.unanswered)
        if missed and there:
            mean = sum(one.dice for one in there) / (len(there) + missed)
            told.append(f"With 0 for cases without an answer, the mean Dice is {mean:.3f}.")
        wrong = sum(one.true_ml == 0 and one.found_ml > 0 for one in self.cases)
        if wrong:
            empty = len(self.cases) - len(there)
            told.append(f"In {wrong} of {empty} cases with nothing to outline, something was outlined.")
        return told

    def _remarks(self) -> list[str]:
        told = list(self.problems)
        if self._flat:
            told.append(_AREAS)
        if self._readers:
            told.append(
                f"In {len(self._readers)} cases several objects outline it, and what half of them outline is "
                f"the truth; among themselves they have a mean Dice of {fmean(self._readers):.3f}."
            )
        return told


def _together(segments: Sequence[Segment], like: Mask) -> Mask:
    empty = Mask.from_crop(np.zeros((0, 0, 0), dtype=bool), like.shape_kji, (0, 0, 0))
    return reduce(Mask.union, (one.mask for one in segments), empty)


def of_rows(
    figure: Callable[[Sequence[SegmentedCase]], Figure], cases: Sequence[SegmentedCase], rows: Rows
) -> Figure:
    """A figure of the cases at some rows."""
    return figure([cases[row] for row in rows])


# ── figures of cases; all but the last of those with something to outline ──


def mean_dice(cases: Sequence[SegmentedCase]) -> Figure:
    """Mean Dice, 0 to 1."""
    return mean_of("mean_dice", [one.dice for one in cases if one.true_ml > 0], _NOTHING)


def median_dice(cases: Sequence[SegmentedCase]) -> Figure:
    """Median Dice, 0 to 1."""
    values = [one.dice for one in cases if one.true_ml > 0]
    if not values:
        return Figure(name="median_dice", value=None, reason=_NOTHING)
    return Figure(name="median_dice", value=median(values))


def mean_hd95_mm(cases: Sequence[SegmentedCase]) -> Figure:
    """Mean of the 95th percentile of surface distances in mm, where both outlined something."""
    values = [one.hd95_mm for one in cases if one.hd95_mm is not None]
    return mean_of("mean_hd95_mm", values, "no case has both outlines")


def mean_volume_error_ml(cases: Sequence[SegmentedCase]) -> Figure:
    """Mean of found minus true volume in ml."""
    return mean_of(
        "mean_volume_error_ml", [one.volume_error_ml for one in cases if one.true_ml > 0], _NOTHING
    )


def mean_absolute_volume_error_percent(cases: Sequence[SegmentedCase]) -> Figure:
    """Mean of |found minus true| in percent of the true volume."""
    percents = [one.volume_error_percent for one in cases]
    values = [abs(one) for one in percents if one is not None]
    return mean_of("mean_absolute_volume_error_percent", values, _NOTHING)


def clean_share(cases: Sequence[SegmentedCase]) -> Figure:
    """Of the cases with nothing to outline, those in which nothing was outlined."""
    empty = [one for one in cases if one.true_ml == 0]
    clean = sum(one.found_ml == 0 for one in empty)
    return share("clean_share", clean, len(empty), "each case has something to outline")


FIGURES: Final = {
    "mean_dice": mean_dice,
    "median_dice": median_dice,
    "mean_hd95_mm": mean_hd95_mm,
    "mean_volume_error_ml": mean_volume_error_ml,
    "mean_absolute_volume_error_percent": mean_absolute_volume_error_percent,
    "clean_share": clean_share,
}
