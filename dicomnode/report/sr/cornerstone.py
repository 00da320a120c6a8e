"""Groups that viewers built on cornerstone (OHIF) turn into annotations, beside those of the standard.

They read a group only where its Tracking Identifier names one of their tools and the coordinates hang below a
number (TID 1501); a group that refers to a segment or has a region of its own stays unseen. The identifier is
a word of theirs and no name of a finding: the Tracking Unique Identifier is that of the finding, which says
that both groups speak of one thing, and a comment names it. So these groups stand only in reports for
destinations that ask for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dicomnode.report import concepts as c
from dicomnode.report.frame_references import measured_on
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.sr.measured import length_mm
from dicomnode.report.sr.numbers import NumberWriter, score_of
from dicomnode.report.sr.regions import finding_sites
from dicomnode.report.volume_regions import OnSlice, line_on_slice, on_slice
from dicomnode.values import Measurement, Region, RegionKind, Segment
from dicomnode.values.codes import MILLIMETRE

if TYPE_CHECKING:
    from highdicom import sr

    Group = sr.MeasurementsAndQualitativeEvaluations

_TOOL: Final = "Cornerstone3DTools@^0.1.0"
_UPRIGHT_PIXELS: Final = 1e-3  # sides that differ by less run along a row or column


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationWriter:
    """Writes the annotations of one report on a volume."""

    imprint: Imprint
    numbers: NumberWriter

    def lines(self, segments: Sequence[Segment]) -> list[Group]:
        """The long axis of each segment that has its ends, as a length."""
        grid = self.imprint.findings.sources[0].grid
        groups = []
        for one in segments:
            ends = one.long_axis_lps_mm
            line = None if ends is None or grid is None else line_on_slice(ends, grid)
            if ends is not None and line is not None:
                length = Measurement(
                    name="length_mm", concept=c.LENGTH, value=length_mm(ends), unit=MILLIMETRE
                )
                groups.append(self._group("Length", one, self._number(length, one, line)))
        return groups

    def shapes(self, regions: Sequence[Region]) -> list[Group]:
        """Each box and point with a score, as a rectangle and a probe."""
        grid = self.imprint.findings.sources[0].grid
        groups = []
        for one in regions:
            score = score_of(one)
            found = None if grid is None or score is None else on_slice(one, grid)
            tool = None if found is None else _tool_of(one, found)
            if score is not None and found is not None and tool is not None:
                groups.append(self._group(tool, one, self._number(score, one, found)))
        return groups

    def _number(self, number: Measurement, of: Segment | Region, along: OnSlice) -> sr.Measurement:
        where = measured_on(self.imprint, along.graphic, along.corners, along.k)
        return self.numbers.number(number, of.algorithm, where)

    def _group(self, tool: str, of: Segment | Region, number: sr.Measurement) -> Group:
        from highdicom import sr  # noqa: PLC0415  heavy

        group = sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(uid=of.tracking_uid, identifier=f"{_TOOL}:{tool}"),
            finding_type=c.coded(of.type),
            finding_sites=finding_sites(of.site, of.laterality),
            measurements=[number],
        )
        label = sr.TextContentItem(c.coded(c.COMMENT), of.tracking_id, sr.RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(label)
        return group


def _tool_of(region: Region, found: OnSlice) -> str | None:
    if region.kind is RegionKind.POINT:
        return "Probe"
    return "RectangleROI" if region.kind is RegionKind.BOX and _is_upright(found) else None


def _is_upright(found: OnSlice) -> bool:
    """Tell whether a closed line is a rectangle along rows and columns, which is all that the tool knows."""
    sides = np.abs(np.diff(found.corners, axis=0))
    return len(sides) == 4 and bool((sides.min(axis=1) <= _UPRIGHT_PIXELS).all())
