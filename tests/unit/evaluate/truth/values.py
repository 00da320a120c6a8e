"""Annotations and outputs for the tests of this room, as short as they can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicomnode.engine import CodeSpec, OutputSpec
from dicomnode.evaluate.truth import Labels, Wanted
from dicomnode.values import AnnotatedSegment, Annotation, AnnotationKind, Code, Grid, Mask

SERIES = "1.2.3"
LUNG = Code("39607008", "SCT", "Lung")
NODULE = Code("27925004", "SCT", "Nodule")
SHAPE = (6, 8, 10)


def spec(code: Code) -> CodeSpec:
    return CodeSpec(scheme=code.scheme, code=code.value, meaning=code.meaning)


def organ(said: tuple[str, ...] = (), **more: object) -> Wanted:
    keys = {"segment": "lung", "step": "s", "kind": "anatomy", "type": spec(LUNG), **more}
    return Wanted(spec=OutputSpec(**keys), said=said)


def lesion(said: tuple[str, ...] = ()) -> Wanted:
    return Wanted(spec=OutputSpec(segment="nodule", step="s", kind="lesion", type=spec(NODULE)), said=said)


def question(label: str = "malignant", said: tuple[str, ...] = ()) -> Wanted:
    type_ = spec(Code("MAL", "99TEST", "Malignant tumour"))
    return Wanted(spec=OutputSpec(classification=label, step="s", type=type_), said=said)


def grid(spacing: float = 2.0, shape: tuple[int, int, int] = SHAPE, space: str = "1.9") -> Grid:
    return Grid(shape, np.diag([spacing, spacing, spacing, 1.0]), space)


def box(*spans: tuple[int, int], shape: tuple[int, int, int] = SHAPE) -> NDArray[np.bool_]:
    voxels = np.zeros(shape, dtype=bool)
    voxels[tuple(slice(a, b) for a, b in spans)] = True
    return voxels


def segment(label: str, voxels: NDArray[np.bool_], **more: object) -> AnnotatedSegment:
    return AnnotatedSegment(number=1, label=label, mask=Mask.from_array(voxels), **more)


def seg(
    *segments: AnnotatedSegment, uid: str = "1.5.1", on: Grid | None = None, **more: object
) -> Annotation:
    keys = {"of_series": SERIES, "of_stack": 0, "grid": on or grid(), "segments": segments, **more}
    return Annotation(
        kind=AnnotationKind.SEG,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        sop_instance_uid=uid,
        series_instance_uid="1.5",
        study_instance_uid="1.1",
        **keys,
    )


def sr(uid: str = "1.6.1", **more: object) -> Annotation:
    keys = {"of_series": SERIES, **more}
    return Annotation(
        kind=AnnotationKind.SR,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        sop_instance_uid=uid,
        series_instance_uid="1.6",
        study_instance_uid="1.1",
        **keys,
    )


def labels(*annotations: Annotation, on: Grid | None = None, row: dict[str, str] | None = None) -> Labels:
    return Labels(
        annotations=annotations, series_instance_uid=SERIES, stack=0, grid=on or grid(), row=row or {}
    )
