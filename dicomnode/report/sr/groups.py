"""The measurement groups of a TID 1500 report: one for each thing found, or for what was not.

A segment that is in a Segmentation object is a volumetric group that refers to it (TID 1411); one that is in
none, what lies on a picture, and a point or shape of a volume are planar groups with coordinates (TID 1410);
everything else is a group without region (TID 1501). The algorithm is named in each number (TID 4019 below
TID 300), where template checkers accept it; only groups without numbers name it themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import Dataset

from dicomnode.faults import UNDECIDED
from dicomnode.report import concepts as c
from dicomnode.report.frame_references import references_to
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.objects import ReportProfile
from dicomnode.report.sr.cornerstone import AnnotationWriter
from dicomnode.report.sr.key_frames import KeyFrames, key_frames
from dicomnode.report.sr.measured import measured_of
from dicomnode.report.sr.numbers import NumberWriter, percent
from dicomnode.report.sr.picture_regions import pictures_looked_at, region_of_segment
from dicomnode.report.sr.regions import evaluations_of, finding_sites, image_region_of
from dicomnode.report.sr.segment_regions import outline_of_segment
from dicomnode.report.uids import ResultUids
from dicomnode.values import (
    Classification,
    Code,
    FindingKind,
    Measurement,
    Outcome,
    Region,
    Remark,
    RemarkKind,
    Segment,
)

if TYPE_CHECKING:
    from highdicom import sr

    Group = (
        sr.MeasurementsAndQualitativeEvaluations
        | sr.VolumetricROIMeasurementsAndQualitativeEvaluations
        | sr.PlanarROIMeasurementsAndQualitativeEvaluations
    )


@dataclass(frozen=True, slots=True, eq=False)
class GroupWriter:
    """Writes the groups of one report.

    segments: for the number of each segment that is in a segmentation, its object and its number there.
    """

    imprint: Imprint
    uids: ResultUids
    segments: Mapping[int, tuple[Dataset, int]]
    profile: ReportProfile

    def all(self) -> list[Group]:
        """Every group of the report, at least one: a report is never silent."""
        findings = self.imprint.findings
        groups = [self._segment(number, one) for number, one in enumerate(findings.segments, start=1)]
        groups += [self._region(one) for one in findings.regions]
        if self.profile.viewer == "cornerstone" and findings.sources[0].plane is None:
            annotations = AnnotationWriter(self.imprint, self._numbers)
            groups += [*annotations.lines(findings.segments), *annotations.shapes(findings.regions)]
        groups += [self._classification(one) for one in findings.classifications]
        groups += [self._frames(one) for one in key_frames(findings)]
        groups += self._of_study(findings.measurements)
        absent = [one for one in findings.remarks if one.kind is RemarkKind.NO_FINDING]
        # A class below its threshold already says "absent", and of what
        told = [one for one in absent if one.type or not findings.classifications]
        groups += [self._absent(one) for one in _once(told)]
        unseen = [one for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED and one.type]
        groups += [self._status(_status_of(one), one) for one in _once(unseen)]
        if unseen and findings.outcome is Outcome.NOT_ANALYSED:
            return groups
        return groups + self._ending(groups, said=bool(absent or findings.classifications))

    def _ending(self, groups: Sequence[Group], *, said: bool) -> list[Group]:
        """How it ended, where no group says so yet; not done is never the same as nothing found."""
        outcome = self.imprint.findings.outcome
        if outcome is Outcome.NO_FINDINGS and not said:
            return [self._absent(Remark(kind=RemarkKind.NO_FINDING, text=""))]
        if outcome is Outcome.FAILED:
            return [self._status(c.FAILED)]
        if outcome is Outcome.NOT_ANALYSED:
            return [self._status(c.NOT_ATTEMPTED)]
        return [] if groups else [self._status(c.SUCCEEDED)]

    def _segment(self, number: int, segment: Segment) -> Group:
        from highdicom import sr  # noqa: PLC0415  heavy

        made_of = measured_of(segment, self.imprint.findings)
        measurements = self._numbers.of_finding(segment, made_of)
        # Of an organ, the organ itself is the site: that is where its side stands
        site = segment.site or (segment.type if segment.kind is FindingKind.ANATOMY else None)
        tracking = sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id)
        sites, said = finding_sites(site, segment.laterality), evaluations_of(segment, site)
        region = self._region_of(number, segment)
        if region is not None:
            return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking,
                referenced_region=region,
                finding_type=c.coded(segment.type),
                finding_sites=sites,
                algorithm_id=None if measurements else self._numbers.algorithm(segment.algorithm),
                measurements=measurements or None,
                qualitative_evaluations=said,
            )
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking,
            referenced_segment=self._reference(*self.segments[number]),
            finding_type=c.coded(segment.type),
            finding_sites=sites,
            measurements=measurements,
            qualitative_evaluations=said,
        )

    def _region_of(self, number: int, segment: Segment) -> sr.ImageRegion | sr.ImageRegion3D | None:
        """Where a segment lies that is in no segmentation beside the report."""
        if number in self.segments:
            return None
        flat = self.imprint.findings.sources[0].plane is not None
        return (
            region_of_segment(self.imprint, segment)
            if flat
            else outline_of_segment(self.imprint, segment, self.profile.spatial)
        )

    def _reference(self, segmentation: Dataset, number: int) -> sr.ReferencedSegment:
        from highdicom import sr  # noqa: PLC0415  heavy

        series = sr.SourceSeriesForSegmentation(self.imprint.findings.sources[0].series_instance_uid)
        # highdicom 0.28 writes this meaning in capitals; PS3.16 and its checkers do not
        series.ConceptNameCodeSequence[0].CodeMeaning = c.SOURCE_SERIES.meaning
        return sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=series,
        )

    def _region(self, region: Region) -> Group:
        from highdicom import sr  # noqa: PLC0415  heavy

        measurements = self._numbers.of_finding(region, region.measurements)
        tracking = sr.TrackingIdentifier(uid=region.tracking_uid, identifier=region.tracking_id)
        algorithm = None if measurements else self._numbers.algorithm(region.algorithm)
        said = evaluations_of(region, region.site)
        where = image_region_of(self.imprint, region, self.profile.spatial)
        if where is not None:
            return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking,
                referenced_region=where,
                finding_type=c.coded(region.type),
                finding_sites=finding_sites(region.site, region.laterality),
                algorithm_id=algorithm,
                measurements=measurements or None,
                qualitative_evaluations=said,
            )
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking,
            finding_type=c.coded(region.type),
            finding_sites=finding_sites(region.site, region.laterality),
            algorithm_id=algorithm,
            measurements=measurements or None,
            qualitative_evaluations=said,
        )

    def _classification(self, one: Classification) -> Group:
        """A class of the whole study: its probability, where "present" begins, and what follows."""
        numbers = (percent(c.PROBABILITY, one.probability), percent(c.DECISION_THRESHOLD, one.threshold))
        algorithm = one.algorithm or self.imprint.findings.provenance.engine
        return self._group(
            one.label,
            finding=one.type,
            measurements=self._numbers.numbers(numbers, algorithm),
            answer=(one.type, c.PRESENT if one.present else c.ABSENT),
        )

    def _frames(self, of: KeyFrames) -> Group:
        """The slices that speak most for a class, and the highest of their scores."""
        highest = percent(c.PROBABILITY, of.best.score, c.MAXIMUM)
        return self._group(
            f"{of.best.label}, slices",
            finding=of.best.type,
            measurements=self._numbers.numbers((highest,), self.imprint.findings.provenance.engine),
            answer=(of.best.type, c.PRESENT) if of.reached else None,
            frames=[one.k for one in of.shown],
        )

    def _of_study(self, measurements: Sequence[Measurement]) -> list[Group]:
        """Numbers of the whole study together; one with an interval apart, so that its ends stay with it."""
        engine = self.imprint.findings.provenance.engine
        plain = [one for one in measurements if one.interval is None]
        numbers = {"study": self._numbers.numbers(plain, engine)} if plain else {}
        numbers |= {
            f"study, {one.name}": self._numbers.with_interval(one, engine)
            for one in measurements
            if one.interval is not None
        }
        return [self._group(tracked, measurements=written) for tracked, written in numbers.items()]

    def _absent(self, remark: Remark) -> Group:
        wanted = remark.type or c.LESION
        return self._group(
            f"no {wanted.meaning.lower()}{_at(remark.site)}",
            finding=wanted,
            site=remark.site,
            answer=(wanted, c.ABSENT),
        )

    def _status(self, status: Code, of: Remark | None = None) -> Group:
        """How the analysis ended, of all or of what a remark speaks of."""
        if of is None or of.type is None:
            return self._group(status.meaning.lower(), answer=(c.DETECTIONS, status))
        tracked = f"{of.type.meaning.lower()}{_at(of.site)} {status.meaning.lower()}"
        return self._group(tracked, finding=of.type, site=of.site, answer=(c.DETECTIONS, status))

    def _group(
        self,
        tracked: str,
        *,
        finding: Code | None = None,
        site: Code | None = None,
        measurements: Sequence[sr.Measurement] = (),
        answer: tuple[Code, Code] | None = None,
        frames: Sequence[int] = (),
    ) -> Group:
        """A TID 1501 group about the whole study, or about some slices or frames of its first source."""
        from highdicom import sr  # noqa: PLC0415  heavy

        made_by = self.imprint.findings.provenance
        return sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(uid=self.uids.inside(f"tracking {tracked}"), identifier=tracked),
            finding_type=c.coded(finding) if finding else None,
            finding_sites=finding_sites(site, None),
            algorithm_id=None if measurements else self._numbers.algorithm(made_by.engine),
            measurements=measurements or None,
            qualitative_evaluations=(
                [sr.QualitativeEvaluation(c.coded(answer[0]), c.coded(answer[1]))] if answer else None
            ),
            source_images=self._images(frames) or pictures_looked_at(self.imprint),
        )

    def _images(self, frames: Sequence[int]) -> list[sr.SourceImageForMeasurementGroup]:
        from highdicom import sr  # noqa: PLC0415  heavy

        return [sr.SourceImageForMeasurementGroup(*one) for one in references_to(self.imprint, frames)]

    @property
    def _numbers(self) -> NumberWriter:
        return NumberWriter(self.imprint.findings.provenance)


def _once(remarks: Sequence[Remark]) -> list[Remark]:
    """Leave out what says the same of the same place: groups of one tracking UID are one finding."""
    first: dict[tuple[Code | None, Code | None], Remark] = {}
    for one in remarks:
        first.setdefault((one.type, one.site), one)
    return list(first.values())


def _status_of(unseen: Remark) -> Code:
    """Return how far it came with what is not known (CID 6042): looked for in vain, or not at all."""
    return c.PARTIALLY_SUCCEEDED if unseen.code == UNDECIDED.code else c.NOT_ATTEMPTED


def _at(site: Code | None) -> str:
    return f", {site.meaning.lower()}" if site else ""
