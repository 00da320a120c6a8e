"""Findings with a place: how many are found, at how many false alarms a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.detection import (
    FrocCurve,
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

MANY_FALSE_ALARMS: Final = 4.0
"""A study: more are a warning. Systems in use are set to one to four (van Ginneken et al., Medical Image
Analysis 14, 2010), and nobody looks at each of dozens of marks."""

_ENDS: Final = (
    "Only what the engine reports is judged: candidates below its own threshold are not known, and the curve "
    "ends there."
)
_GOES_ON: Final = (
    "The free-response curve and its mean (CPM) are of all candidates down to a score of {down_to:.3g}, also "
    "of those that the engine does not report; all other figures are of what it reports."
)
_SHORT: Final = (
    "There are no candidates that would make {rate:g} false alarms a study: the curve ends at {most:.2f}, "
    "and the sensitivities at higher rates are those of its end."
)
_ALL_SICK: Final = (
    "Every study has a finding: how many false alarms there are where there is nothing to find is not known."
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
        self._down_to: list[float | None] = []  # of each case
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
        more, label = case.answer.unreported, self.wanted.label
        down_to = None if more is None else more.down_to.get(label)
        every = None
        if more is not None and down_to is not None:
            every = study_outcome([*scored, *more.of(label)], truth.lesions)
        self._down_to.append(down_to)
        self.cases.append(DetectedCase(case=case.name, outcome=outcome, candidates=every))
        spots = [
            Spot(centre_lps_mm=one.centre_lps_mm, diameter_mm=one.diameter_mm or None)
            for one in truth.lesions
        ]
        self.draw(case, tuple(spots), tuple(Spot(centre_lps_mm=centre) for centre, _ in scored))

    def result(self, resampling: Resampling) -> DetectionResult:
        """Make the result of all cases."""
        cases = self.cases
        if self.down_to is None:  # a curve of all candidates of some studies would be of none
            cases = [replace(one, candidates=None) for one in cases]
        figures = [partial(of_rows, figure, cases) for figure in FIGURES.values()]
        intervals = self.intervals(figures, resampling)
        curve = froc([one.free for one in cases])
        lead, alarms, *rest = (one.figure for one in intervals)
        return DetectionResult(
            output=self.output,
            headline=Headline(
                lead=lead,
                warnings=tuple(self._warnings(lead, alarms)),
                contradictions=(),
                then=(alarms, *rest, *curve.at_rates),
                at=alarms,
            ),
            intervals=intervals,
            unanswered=tuple(name for name, _ in self.unanswered),
            untold=self.untold,
            remarks=(*self.problems, *self._told(curve), *([_NO_SCORE] if self._without_score else [])),
            cases=tuple(cases),
            threshold=THRESHOLD,
            curve=curve,
            by_size=sensitivity_by_size([one.outcome for one in cases], THRESHOLD),
            down_to=self.down_to,
        )

    @property
    def down_to(self) -> float | None:
        """The score from which on all candidates of all cases are known; None where they are not."""
        known = [one for one in self._down_to if one is not None]
        return max(known) if known and len(known) == len(self._down_to) else None

    def _told(self, curve: FrocCurve) -> list[str]:
        """Say how far down the curve goes, and where it ends before the rates do."""
        told = [_ALL_SICK] if all(one.outcome.lesions for one in self.cases) else []
        if self.down_to is None:
            return [*told, _ENDS]
        told.append(_GOES_ON.format(down_to=self.down_to))
        most = float(curve.false_alarms[-1:].sum()) / max(curve.studies, 1)
        if most < curve.rates[-1]:
            rate = next(one for one in curve.rates if one > most)
            told.append(_SHORT.format(rate=rate, most=most))
        return told

    def _warnings(self, lead: Figure, alarms: Figure) -> list[str]:
        told = self.warned()
        if alarms.value is not None and alarms.value > MANY_FALSE_ALARMS:
            marks = sum(len(one.outcome.false_alarms) for one in self.cases)
            found = counted(lead.part or 0, "finding")
            told.insert(
                0,
                f"{alarms.value:.1f} false alarms a study, more than {MANY_FALSE_ALARMS:g}: {found} found, "
                f"and {counted(marks, 'mark')} on nothing.",
            )
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
    figure: Callable[[Sequence[DetectedCase]], Figure], cases: Sequence[DetectedCase], rows: Rows
) -> Figure:
    """A figure of the studies at some rows."""
    return figure([cases[row] for row in rows])


def sensitivity(cases: Sequence[DetectedCase]) -> Figure:
    """Share of the findings that were found and reported."""
    return sensitivity_at([one.outcome for one in cases], THRESHOLD)


def false_alarms(cases: Sequence[DetectedCase]) -> Figure:
    """What was reported on nothing, a study."""
    return false_alarms_at([one.outcome for one in cases], THRESHOLD)


def performance(cases: Sequence[DetectedCase]) -> Figure:
    """The mean sensitivity at the rates of the curve, of all candidates."""
    return competition_performance([one.free for one in cases])


FIGURES: Final = {
    "sensitivity": sensitivity,
    "false_positives_per_study": false_alarms,
    "cpm": performance,
}
