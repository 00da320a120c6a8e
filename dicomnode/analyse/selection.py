"""Which lesions are reported: those to which a later step, which looked at each of them, gives a score.

A step may give many lesions; [output.score] names the step whose class is their score. From then on they are
as those of a network that scores its own: the surest first, those below a threshold counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dicomnode.analyse.each import Lesion, lesions_of, with_lesions
from dicomnode.analyse.interpret import Below, FoundBox, Point
from dicomnode.analyse.interpret.counted import as_points, more_than_reported, none_reaches
from dicomnode.analyse.steps import Result
from dicomnode.engine import Manifest, OutputSpec
from dicomnode.engine.manifest.outputs import Score
from dicomnode.faults import NETWORK_FAILED, NodeError
from dicomnode.values import Grid, PointLps, Remark, RemarkKind, reaches

_ALL: Final = 0.0  # from this score on all candidates are known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sorted:
    """Lesions of one output, the surest first: those reported, and the others with a score.

    above: how many reach the threshold. unanswered: how many nothing has scored.
    """

    reported: Sequence[Lesion]
    others: Sequence[Lesion]
    above: int
    unanswered: int

    @property
    def undecided(self) -> str | None:
        """Why nobody may read that there is none: no candidate has a score; None where one has."""
        if self.reported or self.others or not self.unanswered:
            return None
        several = f"none of the {self.unanswered} candidates has a score"
        return several if self.unanswered > 1 else "the only candidate has no score"


def selected(
    manifest: Manifest, results: Mapping[str, Result], grid: Grid, *, unreported: bool
) -> dict[str, Result]:
    """Return the results with the lesions that are reported, by the score that each output names.

    grid: of the masks. unreported: whether the others are kept for who judges the engine. Raises
    NodeError(NETWORK_FAILED) where a network has no class of the number that an output names.
    """
    chosen = dict(results)
    for output in manifest.output:
        if output.score is None:
            continue
        step = chosen[output.step]
        found = step.of_head(output.head)
        if found.unseen is not None:
            continue
        channel = manifest.channel_of(output) if output.what == "region" else None
        own = [one for one in lesions_of(found) if _is_of(one, channel)]
        sorted_ = _sorted(own, output.score, manifest)
        kept = [*(one for one in lesions_of(found) if not _is_of(one, channel)), *sorted_.reported]
        given = with_lesions(found, kept)
        best = max((one.score or 0.0 for one in sorted_.others), default=0.0)
        none = none_reaches(output.score.threshold, len(sorted_.others), best)
        given = replace(given, none_found=none, undecided=sorted_.undecided)
        if unreported:
            every = all(one.score is not None for one in manifest.of_head(output.step, output.head))
            before = given.reading.below
            below = _below(sorted_.others, channel or 0, grid, before)
            if before is not None and not every:  # of classes that no step scores the network knows no more
                below = replace(below, down_to=before.down_to)
            given = replace(given, reading=replace(given.reading, below=below))
        whole = replace(step, heads={**step.heads, output.head: given}) if output.head else given
        chosen[output.step] = replace(whole, remarks=(*step.remarks, *_remarks(output, sorted_)))
    return chosen


def _is_of(lesion: Lesion, channel: int | None) -> bool:
    """Tell whether a lesion is of the class of an output: boxes of a network have several."""
    return channel is None or not isinstance(lesion, FoundBox) or lesion.channel == channel


def _sorted(lesions: Sequence[Lesion], how: Score, manifest: Manifest) -> _Sorted:
    scored: list[Lesion] = []
    for lesion in lesions:
        reading = lesion.answers.get(how.of)
        if reading is None or reading.probabilities is None:
            continue
        if how.channel >= len(reading.probabilities):
            error = f"the score is that of class {how.channel}, the network has {len(reading.probabilities)}"
            raise NodeError(NETWORK_FAILED, engine=f"{manifest.name} ({how.of})", error=error)
        score = float(reading.probabilities[how.channel])
        here = replace(lesion, scored=True) if isinstance(lesion, Point) else lesion
        scored.append(replace(here, score=score))
    scored.sort(key=lambda one: -(one.score or 0.0))
    above = sum(reaches(one.score or 0.0, how.threshold) for one in scored)
    count = min(above, how.at_most)
    return _Sorted(
        reported=scored[:count],
        others=scored[count:],
        above=above,
        unanswered=len(lesions) - len(scored),
    )


def _below(others: Sequence[Lesion], channel: int, grid: Grid, before: Below | None) -> Below:
    """Return places and scores of what is not reported; of other classes of a network what it kept itself."""
    places = [] if before is None else [one for one in before.places if one[0] != channel]
    places += [(channel, _middle(one, grid), one.score or 0.0) for one in others]
    return Below(places=tuple(places), down_to=_ALL)


def _middle(lesion: Lesion, grid: Grid) -> PointLps:
    if isinstance(lesion, Point):
        return lesion.centre_lps_mm
    if isinstance(lesion, FoundBox):
        middle = (np.array(lesion.low_lps_mm) + np.array(lesion.high_lps_mm)) / 2.0
    else:
        start = [low for low, _ in lesion.mask.box_kji]
        middle = grid.to_lps_mm((np.argwhere(lesion.mask.crop()) + start).mean(axis=0))
    x, y, z = (float(one) for one in middle)
    return x, y, z


def _remarks(output: OutputSpec, found: _Sorted) -> list[Remark]:
    how = output.score
    remarks = []
    if how is not None and found.above > how.at_most:
        remarks.append(more_than_reported(found.above, how.threshold, how.at_most))
    points = sum(isinstance(one, Point) for one in found.reported)
    if points:
        remarks.append(as_points(points))
    if found.unanswered and found.undecided is None:
        words = (
            "candidate has no score, and is" if found.unanswered == 1 else "candidates have no score, and are"
        )
        text = f"{output.concept.meaning}: {found.unanswered} {words} not reported."
        remarks.append(Remark(kind=RemarkKind.LIMIT, text=text))
    return remarks
