"""The values that travel between rooms: frozen, checked when made, with their units in their names.

Names are loaded when first used: those with arrays need numpy, and the receiver and `dicomnode --help`
must not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.values.annotation import (
        PHANTOM_MAKER,
        AnnotatedRegion,
        AnnotatedSegment,
        Annotation,
        AnnotationKind,
        MadeBy,
    )
    from dicomnode.values.attributes import plain_classes, told_attributes
    from dicomnode.values.boxes import outer_box_lps_mm
    from dicomnode.values.candidates import Candidate, Unreported
    from dicomnode.values.codes import Code
    from dicomnode.values.findings import (
        DEMONSTRATION,
        LEAST_CHANGE_PERCENT,
        Change,
        ChangeKind,
        Classification,
        EarlierSeries,
        FindingKind,
        Findings,
        Measurement,
        Outcome,
        PointLps,
        Provenance,
        ReferencedInstance,
        Region,
        RegionKind,
        Remark,
        RemarkKind,
        Segment,
        Source,
    )
    from dicomnode.values.geometry import Float64, Grid
    from dicomnode.values.instance import Instance, Sender
    from dicomnode.values.mask import Mask
    from dicomnode.values.numbers import (
        ClassProbability,
        DerivedImage,
        FeatureVector,
        FrameScore,
        ScalarMap,
    )
    from dicomnode.values.picture import Picture, PicturePlane, Pixels
    from dicomnode.values.progress import Progress, no_progress
    from dicomnode.values.reaching import just_above, least_reaching, reaches
    from dicomnode.values.study import FACT_TAGS, Fact, Refusal, SeriesFacts, SetAside, Verdict
    from dicomnode.values.texts import is_text
    from dicomnode.values.uids import derive_uid, is_valid_uid
    from dicomnode.values.volume import Repair, SourceFrame, SourceHeaders, Volume

_HOMES = {
    "annotation": (
        "AnnotatedRegion",
        "AnnotatedSegment",
        "Annotation",
        "AnnotationKind",
        "MadeBy",
        "PHANTOM_MAKER",
    ),
    "attributes": ("plain_classes", "told_attributes"),
    "boxes": ("outer_box_lps_mm",),
    "candidates": ("Candidate", "Unreported"),
    "codes": ("Code",),
    "findings": (
        "DEMONSTRATION",
        "LEAST_CHANGE_PERCENT",
        "Change",
        "ChangeKind",
        "Classification",
        "EarlierSeries",
        "FindingKind",
        "Findings",
        "Measurement",
        "Outcome",
        "PointLps",
        "Provenance",
        "ReferencedInstance",
        "Region",
        "RegionKind",
        "Remark",
        "RemarkKind",
        "Segment",
        "Source",
    ),
    "geometry": (
        "Float64",
        "Grid",
    ),
    "instance": (
        "Instance",
        "Sender",
    ),
    "mask": ("Mask",),
    "numbers": ("ClassProbability", "DerivedImage", "FeatureVector", "FrameScore", "ScalarMap"),
    "picture": ("Picture", "PicturePlane", "Pixels"),
    "progress": ("Progress", "no_progress"),
    "reaching": ("just_above", "least_reaching", "reaches"),
    "study": (
        "FACT_TAGS",
        "Fact",
        "Refusal",
        "SeriesFacts",
        "SetAside",
        "Verdict",
    ),
    "texts": ("is_text",),
    "uids": (
        "derive_uid",
        "is_valid_uid",
    ),
    "volume": (
        "Repair",
        "SourceFrame",
        "SourceHeaders",
        "Volume",
    ),
}

__all__ = [
    "DEMONSTRATION",
    "FACT_TAGS",
    "LEAST_CHANGE_PERCENT",
    "PHANTOM_MAKER",
    "AnnotatedRegion",
    "AnnotatedSegment",
    "Annotation",
    "AnnotationKind",
    "Candidate",
    "Change",
    "ChangeKind",
    "ClassProbability",
    "Classification",
    "Code",
    "DerivedImage",
    "EarlierSeries",
    "Fact",
    "FeatureVector",
    "FindingKind",
    "Findings",
    "Float64",
    "FrameScore",
    "Grid",
    "Instance",
    "MadeBy",
    "Mask",
    "Measurement",
    "Outcome",
    "Picture",
    "PicturePlane",
    "Pixels",
    "PointLps",
    "Progress",
    "Provenance",
    "ReferencedInstance",
    "Refusal",
    "Region",
    "RegionKind",
    "Remark",
    "RemarkKind",
    "Repair",
    "ScalarMap",
    "Segment",
    "Sender",
    "SeriesFacts",
    "SetAside",
    "Source",
    "SourceFrame",
    "SourceHeaders",
    "Unreported",
    "Verdict",
    "Volume",
    "derive_uid",
    "is_text",
    "is_valid_uid",
    "just_above",
    "least_reaching",
    "no_progress",
    "outer_box_lps_mm",
    "plain_classes",
    "reaches",
    "told_attributes",
]

__getattr__ = lazy_face(__name__, _HOMES)
