"""Stills as of an ultrasound: a sector of speckle, a lobe in it, and in that a dark nodule, or none."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UltrasoundImageStorage
from scipy import ndimage

from dicomnode.learn.generate.cine import tissue_region
from dicomnode.learn.generate.drawn import NODULE, Drawing, DrawnPicture, TrueClass, TrueSegment
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.values import Code, FindingKind

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

LOBE: Final = Code("69748006", "SCT", "Thyroid")

_EXTENT_MM: Final = 60.0
_SIDE: Final[dict[Size, int]] = {"small": 64, "full": 256}
_PROBE_MM: Final = 14.0  # from the middle of the circles to the skin
_HALF_ANGLE: Final = 0.72
_NOISE: Final = 13.0
_TISSUE, _LOBE = 62.0, 118.0
_SPECKLE: Final = 0.28


def draw_sector(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a still; the lobe is the patient's, the nodule lies in it and no deeper than it reaches."""
    side = _SIDE[plan.size]
    mm = _EXTENT_MM / side
    down, across = ((np.indices((side, side)) + 0.5) * mm).astype(np.float64)
    across -= _EXTENT_MM / 2
    seen = _seen(down, across)
    figure = plan.stream("figure", case.patient)
    wide, high = float(figure.uniform(15.0, 18.0)), float(figure.uniform(10.5, 13.0))
    rng = plan.stream("visit", case.patient, case.visit)
    y0, x0 = 25.0 + float(rng.uniform(-3.0, 3.0)), float(rng.uniform(-4.0, 4.0))
    lobe = np.hypot((across - x0) / wide, (down - y0) / high) <= 1.0
    values = np.where(lobe, _LOBE, _TISSUE) * (1.0 - 0.3 * down / _EXTENT_MM)
    values += 60.0 * np.exp(-(((down - y0 - high) / 1.2) ** 2)) * (np.abs(across - x0) < wide)
    nodule, radius = np.zeros(lobe.shape, dtype=bool), 0.0
    if case.sick:
        nodule, radius = _nodule(plan, lobe, mm, rng)
        values[nodule] -= plan.contrast * _NOISE
    values = ndimage.gaussian_filter(values, 0.4)
    values *= 1.0 + _SPECKLE * _grain(values.shape, rng)
    values = np.where(seen, np.clip(values, 4.0, 255.0), 0.0)
    return Drawing(
        picture=_still(np.rint(values).astype(np.uint8)[np.newaxis, :, :, np.newaxis], mm),
        segments=(
            _segment("lobe", FindingKind.ANATOMY, LOBE, lobe & seen),
            _segment("nodule-1" if case.sick else "nodule", FindingKind.LESION, NODULE, nodule & seen),
        ),
        classes=(TrueClass(label="nodule", type=NODULE, present=case.sick),),
        row={"nodule": str(int(case.sick)), "diameter_mm": f"{2 * radius:.2f}" if case.sick else ""},
    )


def _seen(down: Float64, across: Float64) -> Bool:
    far = np.hypot(down + _PROBE_MM, across)
    angle = np.abs(np.arctan2(across, down + _PROBE_MM))
    return np.asarray(
        (angle <= _HALF_ANGLE) & (far >= _PROBE_MM + 1.0) & (far <= _PROBE_MM + 0.96 * _EXTENT_MM)
    )


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> Float64:
    """Speckle: wider than it is deep, mean 0 and spread 1, about."""
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), (0.5, 1.0))
    return np.asarray(grain / grain.std())


def _nodule(plan: SynthPlan, lobe: Bool, mm: float, rng: np.random.Generator) -> tuple[Bool, float]:
    """Choose a place that holds it, as far as the lobe can; return its pixels and its radius in mm."""
    radius = float(rng.uniform(*plan.lesions_mm)) / 2.0
    depth = ndimage.distance_transform_edt(lobe) * mm
    places = np.argwhere(depth > min(radius, 0.9 * float(depth.max())))
    row, column = places[int(rng.integers(len(places)))]
    j, i = np.indices(lobe.shape)
    flat = float(rng.uniform(0.75, 1.0))
    return lobe & (np.hypot((j - row) / flat, i - column) * mm <= radius), radius


def _segment(label: str, kind: FindingKind, code: Code, mask: Bool) -> TrueSegment:
    lesion = kind is FindingKind.LESION
    return TrueSegment(
        label=label,
        kind=kind,
        type=code,
        mask=mask[None],
        colour_rgb=(255, 160, 0) if lesion else (120, 160, 255),
        site=LOBE if lesion else None,
    )


def _still(pixels: NDArray[np.uint8], mm: float) -> DrawnPicture:
    """Ultrasound Image (PS3.3 A.6)."""
    _, rows, columns, _ = pixels.shape
    return DrawnPicture(
        pixels=pixels,
        sop_class_uid=UltrasoundImageStorage,
        modality="US",
        description="Sector with a lobe, phantom",
        attributes={
            "BodyPartExamined": "NECK",
            "PatientOrientation": None,
            "LossyImageCompression": "00",
            "SequenceOfUltrasoundRegions": [tissue_region(rows, columns, mm)],
        },
    )
