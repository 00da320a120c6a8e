"""What we said of a study: the Findings of an engine, and the objects that were made of them."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.values import Annotation, Findings, Region, Segment


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnObject:
    """An object of ours that others may have seen.

    said: what it says, read as objects of others are; None of a kind that is not read, and where the file
    is not there any more.
    """

    sop_instance_uid: str
    said: Annotation | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnResult:
    """What one engine found in one version of a study. engine: its name, without the number of the analysis.

    version, digest: of its package.
    """

    engine: str
    version: str
    digest: str
    study_instance_uid: str
    study_version: int
    findings: Findings
    objects: tuple[OwnObject, ...] = ()

    @property
    def placed(self) -> list[Segment | Region]:
        """Findings that lie somewhere: segments, then regions."""
        return [*self.findings.segments, *self.findings.regions]

    @property
    def object_uids(self) -> frozenset[str]:
        """SOP Instance UIDs of the objects."""
        return frozenset(one.sop_instance_uid for one in self.objects)

    @property
    def tracking_uids(self) -> frozenset[str]:
        """Tracking UIDs of segments and regions, and of what reports say without a place (a class)."""
        found = {one.tracking_uid for one in self.placed}
        for one in self.objects:
            if one.said is not None:
                found |= {region.tracking_uid for region in one.said.regions if region.tracking_uid}
        return frozenset(found)

    @property
    def tracking_ids(self) -> frozenset[str]:
        """Tracking identifiers, which tools keep that make UIDs anew."""
        return frozenset(one.tracking_id for one in self.placed)

    @property
    def series_instance_uids(self) -> frozenset[str]:
        """The image series that were looked at."""
        return frozenset(source.series_instance_uid for source in self.findings.sources)

    def numbered(self) -> dict[tuple[str, int], str]:
        """Tracking UID of each segment of our segmentations, by object and number."""
        return {
            (one.sop_instance_uid, segment.number): segment.tracking_uid
            for one in self.objects
            if one.said is not None
            for segment in one.said.segments
            if segment.tracking_uid is not None
        }
