"""Findings with a place: how many are found, at how many false alarms a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.detection import (
    StudyOutcome,
    competition_performance,
    false_alarms_at,
    froc,
    sensitivity_at,
    sensitivity_by_size,
    study_outcome,
)
from dicomnode.evaluate.figures import Figure, counted
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.leading import MISSED, Headline
from dicomnode.evaluate.outcomes import DetectedCase, DetectionResult, Task
from dicomnode.evaluate.running.answering import Case
from dicomnode.evaluate.running.collecting import Collector
from dicomnode.evaluate.running.drawn import Spot
from dicomnode.evaluate.running.outlines import segments_of
from dicomnode.evaluate.truth import Labels, TrueLesions, Wanted, true_lesions
from dicomnode.evaluate.truth.lesions import parts_of
from dicomnode.evaluate.truth.wanted import By, unnumbered
from dicomnode.values import Findings, PointLps

THRESHOLD: Final = 0.0
"""Whatever an engine reports counts: its own threshold has been passed."""

_ENDS: Final = (
    "Only what the engine reports is judged: candidates below its own threshold are not known, and the curve "
    "ends there."
)
_NO_SCORE: Final = "Candidates without a score count as 1."


def candidates_of(wanted: Wanted, findings: Findings) -> list[tuple[PointLps, float | None]]:
    """Return centre (LPS mm) and score of what was found of an output, segments first.

    Each connected part of a segment is a candidate with the score of the segment: networks that label voxels
    give all lesions as one segment. It is what true lesions are made of, too.
    """
    grid = findings.sources[0].grid
    found: list[tuple[PointLps, float | None]] = []
    for one in segments_of(wanted, findings):
        parts = [] if grid is None else parts_of(one.mask, grid)
        centres = [part.centre_lps_mm for part in parts] if len(parts) > 1 else [one.centre_lps_mm]
        found += [(centre, one.score) for centre in centres]
    for region in findings.regions:
        if unnumbered(region.label) == wanted.label:
            x, y, z = np.mean(np.array(region.points_lps_mm, dtype=np.float64), axis=0)
            found.append(((float(x), float(y), float(z)), region.score))
    return found


class PlaceCollector(Collector[TrueLesions]):
    """Collects the places of one output."""

    task = Task.DETECTION

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self.cases: list[DetectedCase] = []
        self._without_score = 0

    def truth_of(self, labels: Labels) -> tuple[TrueLesions, By, str] | None:
        """Return the true places of a case."""
        found = true_lesions(self.wanted, labels)
        return None if found is None else (found, found.by, found.source)

    def is_answered(self, findings: Findings) -> bool:
        """Whether there is a candidate, or one was looked for."""
        return bool(candidates_of(self.wanted, findings)) or super().is_answered(findings)

    def pair(self, case: Case, findings: Findings, truth: TrueLesions) -> None:
        """Match candidates and places, and keep what came out."""
        found = candidates_of(self.wanted, findings)
        self._without_score += sum(score is None for _, score in found)
        scored = [(centre, 1.0 if score is None else score) for centre, score in found]
        outcome = study_outcome(scored, truth.lesions)
        self.cases.append(DetectedCase(case=case.name, outcome=outcome))
        spots = [
            Spot(centre_lps_mm=one.centre_lps_mm, diameter_mm=one.diameter_mm or None)
            for one in truth.lesions
        ]
        self.draw(case, tuple(spots), tuple(Spot(centre_lps_mm=centre) for centre, _ in scored))

    def result(self, resampling: Resampling) -> DetectionResult:
        """Make the result of all cases."""
        outcomes = [one.outcome for one in self.cases]
        figures = [partial(of_rows, figure, outcomes) for figure in FIGURES.values()]
        intervals = self.intervals(figures, resampling)
        curve = froc(outcomes)
        lead, *rest = (one.figure for one in intervals)
        return DetectionResult(
            output=self.output,
            headline=Headline(
                lead=lead,
                warnings=tuple(self._warnings(lead)),
                contradictions=(),
                then=(*rest, *curve.at_rates),
            ),
            intervals=intervals,
            unanswered=tuple(name for name, _ in self.unanswered),
            untold=self.untold,
            remarks=(*self.problems, _ENDS, *([_NO_SCORE] if self._without_score else [])),
            cases=tuple(self.cases),
            threshold=THRESHOLD,
            curve=curve,
            by_size=sensitivity_by_size(outcomes, THRESHOLD),
        )

    def _warnings(self, lead: Figure) -> list[str]:
        told = self.warned()
        if lead.value is not None and lead.value < MISSED and lead.whole is not None:
            missed = lead.whole - (lead.part or 0)
            told.insert(0, f"Of {lead.whole} findings, {lead.part} were found, {missed} were missed.")
        unseen = sum(len(truth.lesions) for _, truth in self.unanswered)
        if unseen and lead.whole is not None:
            with_them = (lead.part or 0) / (lead.whole + unseen)
            told.append(
                f"Cases without an answer hold {counted(unseen, 'finding')}: with these as missed, the "
                f"sensitivity is {with_them:.3f}."
            )
        studies = len({one.case.study_instance_uid for one in self.cases})
        if len(self.cases) > studies:
            told.append(
                f"{len(self.cases)} series of {studies} studies: false positives “per study” are per series."
            )
        if lead.whole == 0:
            told.append("There is no finding to be found: nothing is said of what would be missed.")
        return told


def of_rows(
    figure: Callable[[Sequence[StudyOutcome]], Figure], outcomes: Sequence[StudyOutcome], rows: Rows
) -> Figure:
    """A figure of the studies at some rows."""
    return figure([outcomes[row] for row in rows])


def sensitivity(outcomes: Sequence[StudyOutcome]) -> Figure:
    """Share of the findings that were found, at any score."""
    return sensitivity_at(outcomes, THRESHOLD)


def false_alarms(outcomes: Sequence[StudyOutcome]) -> Figure:
    """Candidates on nothing a study, at any score."""
    return false_alarms_at(outcomes, THRESHOLD)


FIGURES: Final = {
    "sensitivity": sensitivity,
    "false_positives_per_study": false_alarms,
    "cpm": competition_performance,
}
