"""The measurement groups of a TID 1500 report: one for each thing found, or for what was not.

A segment that is in a Segmentation object is a volumetric group that refers to it (TID 1411); what lies on a
picture is a planar group with coordinates of its pixels (TID 1410); everything else is a group without region
(TID 1501). The algorithm is named in each number (TID 4019 below TID 300), where
template checkers accept it; only groups without numbers name it themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom import Dataset

from dicomnode.report import concepts as c
from dicomnode.report.identity import Imprint
from dicomnode.report.picture_regions import pictures_looked_at, region_of_segment, region_on_picture
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
from dicomnode.values.codes import CUBIC_MILLIMETRE, PERCENT

if TYPE_CHECKING:
    from highdicom import sr

    Group = (
        sr.MeasurementsAndQualitativeEvaluations
        | sr.VolumetricROIMeasurementsAndQualitativeEvaluations
        | sr.PlanarROIMeasurementsAndQualitativeEvaluations
    )

# Decimals that a number is rounded to, by its unit: what a measurement can carry, and within a DS
_DECIMALS: Final = {"mm3": 1, "ml": 3, "cm3": 3, "mm": 1, "mm2": 1, "[hnsf'U]": 1, "%": 1}
_OTHER_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class GroupWriter:
    """Writes the groups of one report. segmentation: the object that holds the segments, None without one."""

    imprint: Imprint
    uids: ResultUids
    segmentation: Dataset | None

    def all(self) -> list[Group]:
        """Every group of the report, at least one: a report is never silent."""
        findings = self.imprint.findings
        groups = [self._segment(number, one) for number, one in enumerate(findings.segments, start=1)]
        groups += [self._region(one) for one in findings.regions]
        groups += [self._classification(one) for one in findings.classifications]
        if findings.measurements:
            numbers = [self._number(one, findings.provenance.engine) for one in findings.measurements]
            groups.append(self._group("study", measurements=numbers))
        absent = [one for one in findings.remarks if one.kind is RemarkKind.NO_FINDING]
        # A class below its threshold already says "absent", and of what
        groups += [self._absent(one) for one in absent if one.type or not findings.classifications]
        unseen = [one for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED and one.type]
        groups += [self._status(c.NOT_ATTEMPTED, one) for one in unseen]
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

        made_of = segment.measurements
        if not made_of and self.imprint.findings.sources[0].plane is None:
            made_of = (_volume(segment, self._voxel_mm3),)
        measurements = [self._number(one, segment.algorithm) for one in made_of]
        if segment.score is not None:
            measurements.append(self._percent(c.CERTAINTY, segment.score, segment.algorithm))
        # Of an organ, the organ itself is the site: that is where its side stands
        site = segment.site or (segment.type if segment.kind is FindingKind.ANATOMY else None)
        tracking = sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id)
        sites = _sites(site, segment.laterality)
        region = region_of_segment(self.imprint, segment)
        if region is not None:
            return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking,
                referenced_region=region,
                finding_type=c.coded(segment.type),
                finding_sites=sites,
                algorithm_id=None if measurements else self._algorithm(segment.algorithm),
                measurements=measurements or None,
            )
        if self.segmentation is None:
            return sr.MeasurementsAndQualitativeEvaluations(
                tracking, finding_type=c.coded(segment.type), finding_sites=sites, measurements=measurements
            )
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking,
            referenced_segment=self._reference(number, self.segmentation),
            finding_type=c.coded(segment.type),
            finding_sites=sites,
            measurements=measurements,
        )

    def _reference(self, number: int, segmentation: Dataset) -> sr.ReferencedSegment:
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

        measurements = [self._number(one, region.algorithm) for one in region.measurements]
        if region.score is not None:
            measurements.append(self._percent(c.CERTAINTY, region.score, region.algorithm))
        on_image = region_on_picture(self.imprint, region)
        if on_image is not None:
            return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                sr.TrackingIdentifier(uid=region.tracking_uid, identifier=region.tracking_id),
                referenced_region=on_image,
                finding_type=c.coded(region.type),
                finding_sites=_sites(region.site, region.laterality),
                algorithm_id=None if measurements else self._algorithm(region.algorithm),
                measurements=measurements or None,
            )
        return sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(uid=region.tracking_uid, identifier=region.tracking_id),
            finding_type=c.coded(region.type),
            finding_sites=_sites(region.site, region.laterality),
            algorithm_id=None if measurements else self._algorithm(region.algorithm),
            measurements=measurements or None,
        )

    def _classification(self, one: Classification) -> Group:
        answer = c.PRESENT if one.probability >= one.threshold else c.ABSENT
        engine = self.imprint.findings.provenance.engine
        return self._group(
            one.label,
            finding=one.type,
            measurements=[self._percent(c.PROBABILITY, one.probability, engine)],
            answer=(one.type, answer),
        )

    def _absent(self, remark: Remark) -> Group:
        wanted = remark.type or c.LESION
        return self._group(
            f"no {wanted.meaning.lower()}", finding=wanted, site=remark.site, answer=(wanted, c.ABSENT)
        )

    def _status(self, status: Code, of: Remark | None = None) -> Group:
        """How the analysis ended, of all or of what a remark speaks of."""
        if of is None or of.type is None:
            return self._group(status.meaning.lower(), answer=(c.DETECTIONS, status))
        tracked = f"{of.type.meaning.lower()} {status.meaning.lower()}"
        return self._group(tracked, finding=of.type, site=of.site, answer=(c.DETECTIONS, status))

    def _group(
        self,
        tracked: str,
        *,
        finding: Code | None = None,
        site: Code | None = None,
        measurements: Sequence[sr.Measurement] = (),
        answer: tuple[Code, Code] | None = None,
    ) -> Group:
        """A TID 1501 group about the whole study."""
        from highdicom import sr  # noqa: PLC0415  heavy

        made_by = self.imprint.findings.provenance
        return sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(uid=self.uids.inside(f"tracking {tracked}"), identifier=tracked),
            finding_type=c.coded(finding) if finding else None,
            finding_sites=_sites(site, None),
            algorithm_id=None if measurements else self._algorithm(made_by.engine),
            measurements=measurements or None,
            qualitative_evaluations=(
                [sr.QualitativeEvaluation(c.coded(answer[0]), c.coded(answer[1]))] if answer else None
            ),
            source_images=pictures_looked_at(self.imprint),
        )

    def _number(self, measurement: Measurement, algorithm: str) -> sr.Measurement:
        from highdicom import sr  # noqa: PLC0415  heavy

        decimals = _DECIMALS.get(measurement.unit.value, _OTHER_DECIMALS)
        return sr.Measurement(
            name=c.coded(measurement.concept),
            value=round(float(measurement.value), decimals),
            unit=c.coded(measurement.unit),
            derivation=c.coded(measurement.derivation) if measurement.derivation else None,
            algorithm_id=self._algorithm(algorithm),
        )

    def _percent(self, concept: Code, part: float, algorithm: str) -> sr.Measurement:
        percent = Measurement(name="score", concept=concept, value=100 * part, unit=PERCENT)
        return self._number(percent, algorithm)

    def _algorithm(self, name: str) -> sr.AlgorithmIdentification:
        from highdicom import sr  # noqa: PLC0415  heavy

        made_by = self.imprint.findings.provenance
        full = name if name == made_by.engine else f"{made_by.engine}: {name}"
        return sr.AlgorithmIdentification(name=full, version=made_by.version)

    @property
    def _voxel_mm3(self) -> float:
        grid = self.imprint.findings.sources[0].grid
        return grid.voxel_mm3 if grid else 0.0


def _volume(segment: Segment, voxel_mm3: float) -> Measurement:
    """The volume of a segment that came without numbers: a volumetric group has at least one (TID 1411)."""
    return Measurement(
        name="volume_mm3", concept=c.VOLUME, value=segment.mask.count * voxel_mm3, unit=CUBIC_MILLIMETRE
    )


def _sites(site: Code | None, laterality: Code | None) -> list[sr.FindingSite] | None:
    from highdicom import sr  # noqa: PLC0415  heavy

    if site is None:
        return None
    return [sr.FindingSite(c.coded(site), laterality=c.coded(laterality) if laterality else None)]
