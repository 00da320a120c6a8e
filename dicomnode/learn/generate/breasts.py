"""Mammograms: a breast of one side in one view, as wide as its tissue is patchy; a mass, or none."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation
from scipy import ndimage

from dicomnode.learn.generate.drawn import Drawing, DrawnPicture, TrueClass, TrueSegment
from dicomnode.learn.generate.items import code_item
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.values import Code, FindingKind

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

BREAST: Final = Code("76752008", "SCT", "Breast")
MASS: Final = Code("129788004", "SCT", "Mammographic breast mass")
_VIEWS: Final = {
    "CC": Code("399162004", "SCT", "cranio-caudal"),
    "MLO": Code("399368009", "SCT", "medio-lateral oblique"),
}
_MM: Final[dict[Size, float]] = {"small": 2.5, "full": 0.625}
_HIGH_MM, _WIDE_MM = 240.0, 160.0
_NOISE: Final = 45.0
_AIR, _FAT, _MUSCLE = 60.0, 1100.0, 700.0
_PATCHES: Final = 150.0  # spread of the tissue
_BORDER_MM: Final = 14.0  # over which the breast becomes thin


def draw_breast(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a mammogram: the chest wall of a left breast is on the left of the image."""
    mm = _MM[plan.size]
    shape = (round(_HIGH_MM / mm), round(_WIDE_MM / mm))
    rng = plan.stream("visit", case.patient, case.visit)
    left, view = bool(rng.integers(2)), ("CC", "MLO")[int(rng.integers(2))]
    down, deep = ((np.indices(shape) + 0.5) * mm).astype(np.float64)  # mm from the top and the chest wall
    depth = _depth(plan.stream("figure", case.patient), down, deep, oblique=view == "MLO")
    breast = depth > 0.0
    muscle = (view == "MLO") & breast & (deep < 62.0 - 0.55 * down)
    values = np.where(breast, _FAT * np.sqrt(np.clip(depth / _BORDER_MM, 0.0, 1.0)), _AIR)
    patches = ndimage.gaussian_filter(rng.standard_normal(shape), 7.0 / mm)
    patches *= _PATCHES / max(float(patches[breast].std()), 1e-9)
    values += breast * patches * np.clip(depth / 40.0, 0.0, 1.0)
    values[muscle] += _MUSCLE
    mass = np.zeros(shape, dtype=bool)
    radius = 0.0
    if case.sick:
        covered, radius = _mass(plan, depth * ~muscle, mm, rng)
        values += plan.contrast * _NOISE * covered
        mass = covered >= 0.5
    values += _NOISE * rng.standard_normal(shape)
    if not left:
        values, breast, mass = (one[:, ::-1] for one in (values, breast, mass))
    pixels = np.rint(np.clip(values, 0.0, 4095.0)).astype(np.uint16)[np.newaxis, :, :, np.newaxis]
    return Drawing(
        picture=_mammogram(pixels, mm, view=view, side="L" if left else "R"),
        segments=(
            _segment("breast", FindingKind.ANATOMY, BREAST, breast),
            _segment("mass-1" if case.sick else "mass", FindingKind.LESION, MASS, mass),
        ),
        classes=(TrueClass(label="mass", type=MASS, present=case.sick),),
        row={
            "mass": str(int(case.sick)),
            "view": view,
            "breast": "L" if left else "R",
            "diameter_mm": f"{2 * radius:.2f}" if case.sick else "",
        },
    )


def _depth(figure: np.random.Generator, down: Float64, deep: Float64, *, oblique: bool) -> Float64:
    """How far each pixel lies within the breast, mm, about; below 0: beside it."""
    long, high = float(figure.uniform(95.0, 125.0)), float(figure.uniform(80.0, 100.0))
    middle = _HIGH_MM * (0.58 if oblique else 0.5)
    away = (down - middle) / high
    if oblique:  # the breast goes on into the arm
        away = np.where(away < 0.0, away * 0.55, away)
    return np.asarray((1.0 - np.hypot(deep / long, away)) * min(long, high))


def _mass(plan: SynthPlan, depth: Float64, mm: float, rng: np.random.Generator) -> tuple[Float64, float]:
    """How much of each pixel is mass, and its radius in mm; its border has spikes, short ones."""
    radius = float(rng.uniform(*plan.lesions_mm)) / 2.0
    places = np.argwhere(depth > min(radius + 8.0, 0.9 * float(depth.max())))
    row, column = places[int(rng.integers(len(places)))]
    j, i = np.indices(depth.shape)
    far, angle = np.hypot(j - row, i - column) * mm, np.arctan2(j - row, i - column)
    phases = rng.uniform(0.0, 2 * np.pi, size=2)
    spikes = 0.10 * np.sin(7 * angle + phases[0]) + 0.08 * np.sin(11 * angle + phases[1])
    covered = np.clip((radius * (1.0 + spikes) - far) / mm + 0.5, 0.0, 1.0)
    return covered * (depth > 0.0), radius


def _segment(label: str, kind: FindingKind, code: Code, mask: Bool) -> TrueSegment:
    """Its side stands in the image: of one kind of mass two structures would be learned."""
    lesion = kind is FindingKind.LESION
    return TrueSegment(
        label=label,
        kind=kind,
        type=code,
        mask=np.ascontiguousarray(mask)[None],
        colour_rgb=(255, 160, 0) if lesion else (120, 160, 255),
        site=BREAST if lesion else None,
    )


def _mammogram(pixels: NDArray[np.uint16], mm: float, *, view: str, side: str) -> DrawnPicture:
    """Digital Mammography X-Ray Image, for presentation (PS3.3 A.27)."""
    coded = code_item(_VIEWS[view])
    coded.ViewModifierCodeSequence = []
    foot = "F" if view == "MLO" else {"L": "R", "R": "L"}[side]
    return DrawnPicture(
        pixels=pixels,
        sop_class_uid=DigitalMammographyXRayImageStorageForPresentation,
        modality="MG",
        description=f"Breast {side} {view}, phantom",
        attributes={
            **_OF_A_MAMMOGRAM,
            "PatientOrientation": ["A" if side == "L" else "P", foot],
            "ImageLaterality": side,
            "ViewCodeSequence": [coded],
            "AnatomicRegionSequence": [code_item(BREAST)],
            "ImagerPixelSpacing": [f"{mm:g}", f"{mm:g}"],
        },
    )


_OF_A_MAMMOGRAM: Final[dict[str, object]] = {
    "BodyPartExamined": "BREAST",
    "OrganExposed": "BREAST",
    "PresentationIntentType": "FOR PRESENTATION",
    "PositionerType": "MAMMOGRAPHIC",
    "EstimatedRadiographicMagnificationFactor": "1",
    "PixelIntensityRelationship": "LOG",
    "PixelIntensityRelationshipSign": -1,
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "RescaleType": "US",
    "PresentationLUTShape": "IDENTITY",
    "LossyImageCompression": "00",
    "DetectorType": None,
    "BreastImplantPresent": "NO",
    "WindowCenter": "1200",
    "WindowWidth": "2400",
    "AcquisitionContextSequence": [],
}
