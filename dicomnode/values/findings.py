"""What an engine found, in the source grid and in patient space (mm).

`report` turns Findings into DICOM objects; nothing here knows of DICOM objects. They are stored as a
versioned file, so that no later step needs a second inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dicomnode.values.codes import Code
from dicomnode.values.geometry import Grid
from dicomnode.values.mask import Mask
from dicomnode.values.numbers import ClassProbability, DerivedImage, FeatureVector, FrameScore, ScalarMap
from dicomnode.values.picture import PicturePlane
from dicomnode.values.reaching import reaches
from dicomnode.values.volume import Repair, SourceFrame, SourceHeaders

PointLps = tuple[float, float, float]  # x, y, z in LPS mm

DEMONSTRATION: Final = "demonstration"
"""Key of `Provenance.details` under which an engine that only demonstrates says why it does."""


class FindingKind(StrEnum):
    """What a segment or region stands for."""

    ANATOMY = "anatomy"  # an organ: it is there in everybody
    LESION = "lesion"  # something that may be disease
    TISSUE = "tissue"


class Outcome(StrEnum):
    """How the analysis ended; each has its own document (conformance: never silence)."""

    FINDINGS = "findings"  # found something
    NO_FINDINGS = "no-findings"  # looked, and found nothing
    NOT_ANALYSED = "not-analysed"  # did not look, because … (a remark says why)
    FAILED = "failed"  # looked, and broke


class RemarkKind(StrEnum):
    """What a remark speaks of."""

    NO_FINDING = "no-finding"
    NOT_ANALYSED = "not-analysed"
    QUALITY = "quality"  # lung cut at the top, extra air …
    LIMIT = "limit"  # ten of fourteen candidates reported …


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number with its concept and UCUM unit.

    name: the word in engine.toml and JSON ("volume_ml"). derivation: mean, standard deviation … (CID 7464).
    interval: its lower and upper end, which hold `interval_percent` of the cases.
    """

    name: str
    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    interval: tuple[float, float] | None = None
    interval_percent: float | None = None

    def __post_init__(self) -> None:
        if not abs(self.value) < float("inf"):  # NaN fails too
            raise ValueError(f"Measurement.{self.name} must be finite, got {self.value!r}")
        if self.interval is not None:
            low, high = self.interval
            if not (abs(low) < float("inf") and abs(high) < float("inf") and low <= high):
                raise ValueError(f"Measurement.{self.name} has no interval from {low!r} to {high!r}")
        if (self.interval is None) != (self.interval_percent is None):
            raise ValueError(f"Measurement.{self.name}: an interval says what part of the cases it holds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """A class with its probability (0 … 1) and the threshold that made it "present" or "absent".

    probabilities: of all classes that it was chosen from, itself included, in the order of the network.
    algorithm: the step that made it ("" in files of schema 1). calibrated: of a hundred cases with 70 %, it
    is so in about 70, as the engine declares; else the number is no more than a score. attribute: of what the
    class is a value ("Composition" of "solid"); see `told_attributes`.
    """

    label: str
    type: Code
    probability: float
    threshold: float
    probabilities: tuple[ClassProbability, ...] = ()
    algorithm: str = ""
    calibrated: bool = False
    attribute: Code | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"Classification.probability must be 0 to 1, got {self.probability!r}")

    @property
    def present(self) -> bool:
        """Whether the probability reaches the threshold."""
        return reaches(self.probability, self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment:
    """A set of voxels of the source grid with a meaning.

    label: unique within the Findings, for people and JSON ("lung-left", "nodule-1").
    centre_lps_mm: centroid. long_axis_lps_mm, short_axis_lps_mm: end points, on one source slice.
    site: where it lies (an organ), laterality of it. score: 0 … 1, None for anatomy.
    colour_rgb: 0 … 255, for display. algorithm: the step that made it ("lungs 1"). calibrated: the score is a
    probability, as the engine declares. classes, features: what later steps found of this lesion alone.
    """

    label: str
    kind: FindingKind
    category: Code
    type: Code
    mask: Mask
    centre_lps_mm: PointLps
    tracking_uid: str
    tracking_id: str
    algorithm: str
    laterality: Code | None = None
    site: Code | None = None
    score: float | None = None
    long_axis_lps_mm: tuple[PointLps, PointLps] | None = None
    short_axis_lps_mm: tuple[PointLps, PointLps] | None = None
    colour_rgb: tuple[int, int, int] = (255, 160, 0)
    measurements: tuple[Measurement, ...] = ()
    calibrated: bool = False
    classes: tuple[Classification, ...] = ()
    features: tuple[FeatureVector, ...] = ()

    def __post_init__(self) -> None:
        if self.mask.is_empty:
            raise ValueError(f"Segment {self.label!r} is empty: say so in a Remark instead")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"Segment.score must be 0 to 1, got {self.score!r}")
        _check_labels([one.label for one in self.classes])


class RegionKind(StrEnum):
    """Shape of a region in patient space."""

    POINT = "point"  # one point
    BOX = "box"  # two corners, smallest and largest x, y, z: parallel to the axes of the patient
    ELLIPSE = "ellipse"  # end points of long and short axis: four points (PS3.3 C.18.9.1.2)
    POLYLINE = "polyline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A shape in patient space, without voxels; points in LPS mm.

    calibrated, classes, features: as of `Segment`.
    """

    label: str
    kind: RegionKind
    points_lps_mm: tuple[PointLps, ...]
    type: Code
    tracking_uid: str
    tracking_id: str
    algorithm: str
    site: Code | None = None
    laterality: Code | None = None
    score: float | None = None
    measurements: tuple[Measurement, ...] = ()
    calibrated: bool = False
    classes: tuple[Classification, ...] = ()
    features: tuple[FeatureVector, ...] = ()

    def __post_init__(self) -> None:
        _check_labels([one.label for one in self.classes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence that belongs to the result. code: a row of the table of faults where one applies.

    type: what was looked for and is not there ("Nodule"), of a NO_FINDING; site: where (an organ).
    """

    kind: RemarkKind
    text: str
    code: str | None = None
    type: Code | None = None
    site: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made the Findings: goes into every object and into the journal.

    engine_digest: SHA-256 of the engine package, 64 hex digits. runtime: "onnxruntime 1.31.1 CPU".
    details: what else a reader of the result may ask for, by short names: "plan", "tf32", "why not openvino",
    `DEMONSTRATION`.
    """

    engine: str
    version: str
    title: str
    use: str
    engine_digest: str
    runtime: str
    precision: str
    device: str
    node_version: str
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """One input series of the analysis: its grid, the frames that results go back on, and its headers.

    grid is None when no volume could be made of the series: then the Findings say "not analysed".
    plane: of a picture or cine, whose grid is that of its pixels and not of patient space: x and y are mm (or
    pixels where `plane` has no spacing) along a row and down a column from the centre of the first pixel, and
    z counts frames; None of a volume.
    """

    name: str  # of the [[input]] in engine.toml
    study_instance_uid: str
    series_instance_uid: str
    grid: Grid | None
    frames: tuple[SourceFrame, ...]
    headers: SourceHeaders
    repairs: tuple[Repair, ...] = ()
    plane: PicturePlane | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedInstance:
    """An instance that a result names (PS3.3 10.8)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierSeries:
    """The images of an earlier study that an analysis compared with: no result is put on them.

    name: of the [[input]] in engine.toml. instances: in the order of the slices, each once.
    """

    name: str
    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[ReferencedInstance, ...]


class ChangeKind(StrEnum):
    """What became of a lesion between an earlier study and this one."""

    MEASURED = "measured"  # found in both, with a volume in both
    FOUND_IN_BOTH = "found-in-both"  # without an outline in one of them
    NEW = "new"  # not found then, though its place was imaged
    NOT_IMAGED_THEN = "not-imaged-then"
    NOT_FOUND_NOW = "not-found-now"  # found then, and its place is imaged now
    NOT_IMAGED_NOW = "not-imaged-now"


LEAST_CHANGE_PERCENT: Final = 25.0
"""A volume that changed by less may be the same, measured again.

Two scans of a nodule within minutes give volumes that differ by up to 25 %; the British Thoracic Society
calls more than that growth (Callister and others, Thorax 70 Suppl 2 (2015) ii1), and so did the NELSON
trial. Of 233 stable nodules in screening, 95 % were within 27 % (Marchianò and others, Radiology 2009).
"""

_ONLY_THEN: Final = (ChangeKind.NOT_FOUND_NOW, ChangeKind.NOT_IMAGED_NOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a lesion changed since the earlier study that the same engine was run on, too.

    label: of the segment or region found now; None of what was found only then. centre_lps_mm: in the space
    of this study, of what was found only then where it would lie now. earlier_volume_mm3: None where it had
    no outline or was not found. percent: of volume, 100 × (now / then - 1). days: between the studies, None
    where not known. doubling_days: None of what did not grow by more than repeated measurement differs.
    """

    kind: ChangeKind
    type: Code
    centre_lps_mm: PointLps
    label: str | None = None
    site: Code | None = None
    laterality: Code | None = None
    earlier_volume_mm3: float | None = None
    percent: float | None = None
    days: int | None = None
    doubling_days: float | None = None

    def __post_init__(self) -> None:
        if (self.label is None) != (self.kind in _ONLY_THEN):
            raise ValueError(f"Change.label is that of what was found now, got {self.label!r} of {self.kind}")
        if (self.percent is None) == (self.kind is ChangeKind.MEASURED):
            raise ValueError(f"Change.percent belongs to what was measured twice, got {self.percent!r}")

    @property
    def is_sure(self) -> bool:
        """Whether a volume changed by more than the same one does when it is measured again."""
        return self.percent is not None and abs(self.percent) >= LEAST_CHANGE_PERCENT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """All that one engine says of one study version.

    sources[0] is the series whose grid the masks are in; further ones were looked at with it. earlier: the
    priors that it was compared with. changes: of lesions, since one of them. made_at: time-zone aware; from
    the journal's clock, so that doing the work again gives the same dates.
    """

    outcome: Outcome
    sources: tuple[Source, ...]
    provenance: Provenance
    made_at: datetime
    study_version: int
    segments: tuple[Segment, ...] = ()
    regions: tuple[Region, ...] = ()
    classifications: tuple[Classification, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    remarks: tuple[Remark, ...] = ()
    maps: tuple[ScalarMap, ...] = ()
    images: tuple[DerivedImage, ...] = ()
    features: tuple[FeatureVector, ...] = ()
    frame_scores: tuple[FrameScore, ...] = ()
    earlier: tuple[EarlierSeries, ...] = ()
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if self.made_at.tzinfo is None:
            raise ValueError("Findings.made_at must carry a time zone")
        if not self.sources:
            raise ValueError("Findings must name the series that was looked at")
        for several in (self.segments, self.classifications, self.maps, self.images, self.features):
            _check_labels([one.label for one in several])
        grid = self.sources[0].grid
        for segment in self.segments:
            if grid is None or segment.mask.shape_kji != grid.shape_kji:
                raise ValueError(
                    f"segment {segment.label!r} lies on {segment.mask.shape_kji}, "
                    f"the source grid is {grid and grid.shape_kji}"
                )
        fields = [(one.label, one.grid) for one in self.maps]
        fields += [(one.label, one.grid) for one in self.images]
        for label, other in fields:
            if grid is None or other.frame_of_reference_uid != grid.frame_of_reference_uid:
                raise ValueError(f"{label!r} lies in another Frame of Reference than the source grid")


def _check_labels(labels: list[str]) -> None:
    if len(set(labels)) != len(labels):
        raise ValueError(f"Findings has two segments or results of one label: {sorted(labels)}")
