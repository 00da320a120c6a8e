"""A result of ours on a small grid, and what others make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dicomnode.evaluate.feedback import OwnObject, OwnResult
from dicomnode.values import (
    AnnotatedRegion,
    AnnotatedSegment,
    Annotation,
    AnnotationKind,
    Classification,
    Code,
    FindingKind,
    Findings,
    Grid,
    MadeBy,
    Mask,
    Measurement,
    Outcome,
    Region,
    RegionKind,
    Segment,
    Source,
)
from dicomnode.values.codes import MILLILITRE
from tests.unit.store.findings import full_findings as kept

STUDY, SERIES, SPACE = "1.2.3", "1.2.3.1", "1.2.3.9"
SEG_CLASS, SR_CLASS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
OUR_SEG, OUR_SR = "2.25.100", "2.25.101"
THEIRS = "1.9.1"
GRID = Grid((10, 20, 20), np.diag([1.0, 1.0, 2.0, 1.0]), SPACE)
NODULE = Code("27925004", "SCT", "Nodule")
LUNG = Code("39607008", "SCT", "Lung")
MASS = Code("4147007", "SCT", "Mass")
ABNORMAL = Code("49755003", "SCT", "Morphologically abnormal structure")
VOLUME = Code("118565006", "SCT", "Volume")
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("2667000", "SCT", "Absent")
CANCER = Code("363358000", "SCT", "Malignant tumor of lung")
ASSESSMENT = Code("X1", "99SITE", "Assessment of AI result")


def block(*box: tuple[int, int]) -> Mask:
    """A box of voxels: (start, stop) for k, j, i."""
    array = np.zeros(GRID.shape_kji, dtype=bool)
    array[tuple(slice(*one) for one in box)] = True
    return Mask.from_array(array)


FIRST = block((2, 6), (2, 8), (2, 8))
SECOND = block((2, 6), (12, 18), (12, 18))
ELSEWHERE = block((7, 9), (2, 6), (12, 16))
A_LITTLE = block((2, 6), (2, 8), (2, 9))  # 168 voxels for 144: Dice 288 / 312


def ours(label: str, mask: Mask, **changes: object) -> Segment:
    segment = Segment(
        label=label,
        kind=FindingKind.LESION,
        category=ABNORMAL,
        type=NODULE,
        mask=mask,
        centre_lps_mm=(0.0, 0.0, 0.0),
        tracking_uid=f"2.25.{7 if label == 'nodule-1' else 8}",
        tracking_id=f"lung-ct {label}",
        algorithm="net 1",
    )
    return replace(segment, **changes)  # type: ignore[arg-type]


def theirs(number: int, mask: Mask, **changes: object) -> AnnotatedSegment:
    segment = AnnotatedSegment(
        number=number,
        label=f"nodule-{number}",
        mask=mask,
        category=ABNORMAL,
        type=NODULE,
        tracking_uid=f"2.25.{6 + number}",
        tracking_id=f"lung-ct nodule-{number}",
        made_by=MadeBy.SEMI,
    )
    return replace(segment, **changes)  # type: ignore[arg-type]


def volume(ml: float) -> Measurement:
    return Measurement(name="volume_ml", concept=VOLUME, value=ml, unit=MILLILITRE)


def group(number: int, **changes: object) -> AnnotatedRegion:
    """A group of our report, on a segment of our segmentation."""
    region = AnnotatedRegion(
        label=f"lung-ct nodule-{number}",
        kind=None,
        type=NODULE,
        tracking_uid=f"2.25.{6 + number}",
        tracking_id=f"lung-ct nodule-{number}",
        measurements=(volume(0.288),),
        segment=(OUR_SEG, number),
    )
    return replace(region, **changes)  # type: ignore[arg-type]


CLASS_GROUP = AnnotatedRegion(
    label="cancer", kind=None, type=CANCER, tracking_uid="2.25.9", tracking_id="cancer",
    answers=((CANCER, PRESENT),),
)  # fmt: skip


def annotation(kind: AnnotationKind, uid: str = THEIRS, **changes: object) -> Annotation:
    made = Annotation(
        kind=kind,
        sop_class_uid=SEG_CLASS if kind is AnnotationKind.SEG else SR_CLASS,
        sop_instance_uid=uid,
        series_instance_uid=f"{uid}.0",
        study_instance_uid=STUDY,
        of_series=SERIES,
        frame_of_reference_uid=SPACE,
        grid=GRID if kind is AnnotationKind.SEG else None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def seg(*segments: AnnotatedSegment, **changes: object) -> Annotation:
    return annotation(AnnotationKind.SEG, segments=segments, **changes)


def sr(*regions: AnnotatedRegion, **changes: object) -> Annotation:
    return annotation(AnnotationKind.SR, regions=regions, **changes)


WRITTEN = seg(
    theirs(1, FIRST, made_by=MadeBy.MACHINE), theirs(2, SECOND, made_by=MadeBy.MACHINE),
    sop_instance_uid=OUR_SEG, made_by=MadeBy.MACHINE,
)  # fmt: skip
REPORTED = sr(group(1), group(2), CLASS_GROUP, sop_instance_uid=OUR_SR, made_by=MadeBy.MACHINE)


def found(**changes: object) -> Findings:
    """Two nodules, and a class of the study."""
    given = kept()
    source = Source(
        name="ct", study_instance_uid=STUDY, series_instance_uid=SERIES, grid=GRID,
        frames=given.sources[0].frames, headers=given.sources[0].headers,
    )  # fmt: skip
    cancer = Classification(label="cancer", type=CANCER, probability=0.9, threshold=0.5)
    values: dict[str, object] = {
        "outcome": Outcome.FINDINGS,
        "sources": (source,),
        "provenance": given.provenance,
        "made_at": given.made_at,
        "study_version": 1,
        "segments": (ours("nodule-1", FIRST), ours("nodule-2", SECOND)),
        "classifications": (cancer,),
    }
    return Findings(**(values | changes))  # type: ignore[arg-type]


def region(label: str, point: tuple[float, float, float]) -> Region:
    return Region(
        label=label, kind=RegionKind.POINT, points_lps_mm=(point,), type=NODULE, tracking_uid="2.25.20",
        tracking_id=f"lung-ct {label}", algorithm="net 1",
    )  # fmt: skip


def result(engine: str = "lung-ct", version: int = 1, **changes: object) -> OwnResult:
    made = OwnResult(
        engine=engine,
        version="1.0.0",
        digest="ab" * 32,
        study_instance_uid=STUDY,
        study_version=version,
        findings=found(),
        objects=(
            OwnObject(sop_instance_uid=OUR_SEG, said=WRITTEN),
            OwnObject(sop_instance_uid=OUR_SR, said=REPORTED),
        ),
    )
    return replace(made, **changes)  # type: ignore[arg-type]
