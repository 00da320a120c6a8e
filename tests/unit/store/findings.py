"""Findings that hold every kind of value, and how to compare what came back."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np

from dicomnode.values import (
    Change,
    ChangeKind,
    Classification,
    ClassProbability,
    Code,
    DerivedImage,
    EarlierSeries,
    FeatureVector,
    FindingKind,
    Findings,
    FrameScore,
    Grid,
    Mask,
    Measurement,
    Outcome,
    Provenance,
    ReferencedInstance,
    Region,
    RegionKind,
    Remark,
    RemarkKind,
    Repair,
    ScalarMap,
    Segment,
    Source,
    SourceFrame,
    SourceHeaders,
)
from dicomnode.values.codes import HOUNSFIELD, LEFT, MILLILITRE

CT = "1.2.840.10008.5.1.4.1.1.2"
LUNG = Code("39607008", "SCT", "Lung")
NODULE = Code("27925004", "SCT", "Nodule")
ANATOMY = Code("123037004", "SCT", "Anatomical structure")
MEAN = Code("373098007", "SCT", "Mean")
SHAPE = (3, 5, 7)
# Not to be written exactly in decimals, and not orthogonal
AFFINE = [
    [-0.7, 0.0, 1 / 3, -120.1],
    [0.0, 0.1 + 0.2, 0.0, -90.7],
    [0.01, 0.0, 2.5, 1e-17],
    [0.0, 0.0, 0.0, 1.0],
]


def source(name: str = "ct", grid: bool = True) -> Source:
    return Source(
        name=name,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        grid=Grid(SHAPE, np.array(AFFINE), "1.2.3.9") if grid else None,
        frames=(SourceFrame("1.2.3.4.1"), SourceFrame("1.2.3.4.2", 7)),
        headers=SourceHeaders((b"header one \x00\xff", b"", b"header two")),
        repairs=(Repair("rescale", "Rescale Slope was missing, 1 was taken"),),
    )


def provenance(engine: str = "lung-ct", version: str = "1.0.0") -> Provenance:
    return Provenance(
        engine=engine,
        version=version,
        title="Lungs — and nodules",
        use="Research and engineering.",
        engine_digest="a" * 64,
        runtime="onnxruntime 1.22 CPU",
        precision="fp32",
        device="cpu",
        node_version="0.1.0",
        details={"tf32": "no", "why not openvino": "not installed"},
    )


SOLID = Classification(
    label="solid",
    type=NODULE,
    probability=0.75,
    threshold=0.5,
    probabilities=(
        ClassProbability(label="solid", probability=0.75),
        ClassProbability(label="ground glass", probability=0.25),
    ),
    algorithm="type 1",
    calibrated=True,
    attribute=Code("RDE1301", "RADELEMENT", "Composition"),
)
"""What a step found of one lesion."""


def row(label: str = "texture") -> FeatureVector:
    values = np.array([1 / 3, -2.0], np.float32)
    return FeatureVector(label=label, names=("mean", "skewness"), values=values, algorithm="radiomics 1")


def segment(label: str = "nodule-1") -> Segment:
    array = np.zeros(SHAPE, dtype=bool)
    array[1, 2:4, 3:6] = True
    return Segment(
        label=label,
        kind=FindingKind.LESION,
        category=ANATOMY,
        type=NODULE,
        mask=Mask.from_array(array),
        centre_lps_mm=(-0.1, 1e-300, 12345.678901234567),
        tracking_uid="2.25.1",
        tracking_id="nodule 1",
        algorithm="centre_heat 1",
        laterality=LEFT,
        site=LUNG,
        score=0.1 + 0.2,
        long_axis_lps_mm=((0.0, 1.0, 2.0), (3.0, 4.0, 5.0)),
        short_axis_lps_mm=None,
        colour_rgb=(1, 2, 255),
        measurements=(
            Measurement(name="mean_hu", concept=LUNG, value=-812.5, unit=HOUNSFIELD, derivation=MEAN),
            Measurement(name="volume_ml", concept=LUNG, value=1 / 3, unit=MILLILITRE),
        ),
        classes=(SOLID,),
        features=(row(),),
    )


def full_findings(**changes: Any) -> Findings:
    """Every kind of value, each at least once, optional ones both with and without."""
    values: dict[str, Any] = {
        "outcome": Outcome.FINDINGS,
        "sources": (source(), source("prior", grid=False)),
        "changes": (
            Change(
                kind=ChangeKind.MEASURED,
                type=NODULE,
                centre_lps_mm=(-41.5, 1 / 3, 88.25),
                label="nodule-1",
                site=LUNG,
                laterality=LEFT,
                earlier_volume_mm3=3900.25,
                percent=27.5,
                days=310,
                doubling_days=884.4,
            ),
        ),
        "earlier": (
            EarlierSeries(
                name="before",
                study_instance_uid="1.2.4",
                series_instance_uid="1.2.4.1",
                instances=(ReferencedInstance(sop_class_uid=CT, sop_instance_uid="1.2.4.1.1"),),
            ),
        ),
        "provenance": provenance(),
        "made_at": datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=UTC),
        "study_version": 2,
        "segments": (segment("nodule-1"), dataclasses.replace(segment("lung-left"), score=None, site=None)),
        "regions": (
            Region(
                label="box-1",
                kind=RegionKind.BOX,
                points_lps_mm=((1.0, 2.0, 3.0), (4.0, 5.0, 6.5)),
                type=NODULE,
                tracking_uid="2.25.2",
                tracking_id="box 1",
                algorithm="boxes 1",
                laterality=LEFT,
                score=1.0,
                classes=(SOLID,),
                features=(row(),),
            ),
        ),
        "classifications": (
            Classification(
                label="covid",
                type=NODULE,
                probability=0.25,
                threshold=0.5,
                probabilities=(
                    ClassProbability(label="covid", probability=0.25),
                    ClassProbability(label="other", probability=0.75),
                ),
                algorithm="net 1",
            ),
        ),
        "measurements": (
            Measurement(
                name="age",
                concept=LUNG,
                value=0.0,
                unit=MILLILITRE,
                derivation=MEAN,
                interval=(-1.5, 1 / 3),
                interval_percent=95.0,
            ),
        ),
        "maps": (
            ScalarMap(
                label="error",
                type=LUNG,
                unit=MILLILITRE,
                values=np.linspace(0, 1, 105, dtype=np.float32).reshape(SHAPE),
                grid=Grid(SHAPE, np.array(AFFINE), "1.2.3.9"),
                algorithm="net 1",
            ),
        ),
        "images": (
            DerivedImage(
                label="denoised",
                description="Denoised",
                unit=HOUNSFIELD,
                values=np.full((2, 2, 2), -1000.25, np.float32),
                grid=Grid((2, 2, 2), np.eye(4), "1.2.3.9"),
                algorithm="net 1",
                type=MEAN,
            ),
        ),
        "features": (
            FeatureVector(
                label="deep",
                names=("f0", "f1"),
                values=np.array([1 / 3, -2.0], np.float32),
                algorithm="net 1",
            ),
        ),
        "frame_scores": (
            FrameScore(label="covid", type=NODULE, frame=SourceFrame("1.2.3.4.2", 7), k=1, score=0.5),
        ),
        "remarks": (
            Remark(kind=RemarkKind.QUALITY, text="Lunge oben abgeschnitten (žluť)", code="DN-4008"),
            Remark(kind=RemarkKind.LIMIT, text="ten of fourteen", type=NODULE, site=LUNG),
        ),
    }
    return Findings(**{**values, **changes})


def not_analysed() -> Findings:
    """No grid, no masks: a study that could not be analysed."""
    return full_findings(
        outcome=Outcome.NOT_ANALYSED,
        sources=(source(grid=False),),
        segments=(),
        maps=(),
        images=(),
        made_at=datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        remarks=(Remark(kind=RemarkKind.NOT_ANALYSED, text="slices are missing", code="DN-3005"),),
    )


def differences(one: Any, other: Any, where: str = "findings") -> list[str]:
    """Where two values differ, in type or content, down to each number."""
    if type(one) is not type(other):
        return [f"{where}: {type(one).__name__} became {type(other).__name__}"]
    if dataclasses.is_dataclass(one):
        return [
            text
            for field in dataclasses.fields(one)
            for text in differences(
                getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}"
            )
        ]
    if isinstance(one, tuple):
        if len(one) != len(other):
            return [f"{where}: {len(one)} became {len(other)} elements"]
        return [
            text
            for index, (a, b) in enumerate(zip(one, other, strict=True))
            for text in differences(a, b, f"{where}[{index}]")
        ]
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
        return [] if same else [f"{where}: the array differs"]
    return [] if one == other else [f"{where}: {one!r} became {other!r}"]
