"""Pictures: radiographs with an opacity in a lung ("discs"), colour photographs of moles ("photos")."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ComputedRadiographyImageStorage, VLPhotographicImageStorage
from scipy import ndimage

from dicomnode.learn.generate.drawn import LESION, Drawing, DrawnPicture, TrueBox, TrueClass, TrueSegment
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.values import Code, FindingKind

Float64 = NDArray[np.float64]

OPACITY: Final = Code("125143005", "SCT", "Opacity")
SKIN: Final = Code("39937001", "SCT", "Skin")
IRREGULAR: Final = Code("IRREGULAR", "99DICOMNODE", "Irregular border")

_FILM_MM: Final = 320.0
_FILM_SIDE: Final[dict[Size, int]] = {"small": 64, "full": 256}
_FILM_NOISE: Final = 60.0
_AIR, _SOFT, _LUNG, _HEART = 200.0, 2200.0, 1100.0, 2500.0
_SKIN_MM: Final = 20.0
_SKIN_SIDE: Final[dict[Size, int]] = {"small": 48, "full": 192}
_SKIN_NOISE: Final = 9.0
_SKIN: Final = (205.0, 160.0, 135.0)
_DARKER: Final = (0.9, 1.1, 1.0)  # a mole is brown


# ── Radiographs ───────────────────────────────────────────────────────────────────────────────────
def draw_film(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a chest film, PA: the patient's right is on the left; an opacity lies in one lung, or none."""
    side = _FILM_SIDE[plan.size]
    mm = _FILM_MM / side
    y, x = ((np.indices((side, side)) + 0.5) * mm - _FILM_MM / 2).astype(np.float64)
    figure = plan.stream("figure", case.patient)
    wide, high, away = (float(figure.uniform(*ends)) for ends in ((42, 52), (82, 100), (60, 70)))
    rng = plan.stream("visit", case.patient, case.visit)
    down, across = (float(one) for one in rng.uniform(-10.0, 10.0, size=2))
    values = np.full((side, side), _AIR)
    values[_in_ellipse(x - across, y - down, 145.0, 190.0)] = _SOFT
    lungs = [_in_ellipse(x - across - sign * away, y - down, wide, high) for sign in (-1.0, 1.0)]
    values[lungs[0] | lungs[1]] = _LUNG
    values[_in_ellipse(x - across - 18.0, y - down - 45.0, 40.0, 48.0)] = _HEART
    values = ndimage.gaussian_filter(values, 3.0 / mm)
    found = _opacity(plan, (lungs[0], lungs[1]), mm, rng) if case.sick else None
    boxes: tuple[TrueBox, ...] = ()
    if found is not None:
        _, (cy, cx), radius = found
        far = np.hypot(y - cy, x - cx)
        values += plan.contrast * _FILM_NOISE * np.clip((radius - far) / mm + 0.5, 0.0, 1.0)
        boxes = (_box_of("opacity-1", OPACITY, far <= radius),)
    values += _FILM_NOISE * rng.standard_normal(values.shape)
    row = {
        "opacity": str(int(found is not None)),
        "side": found[0] if found else "",
        "diameter_mm": f"{2 * found[2]:.2f}" if found else "",
    }
    pixels = np.rint(np.clip(values, 0.0, 4095.0)).astype(np.uint16)[np.newaxis, :, :, np.newaxis]
    return Drawing(
        picture=_film(pixels, mm),
        boxes=boxes,
        classes=(TrueClass(label="opacity", type=OPACITY, present=found is not None),),
        row=row,
    )


def _film(pixels: NDArray[np.uint16], mm: float) -> DrawnPicture:
    return DrawnPicture(
        pixels=pixels,
        sop_class_uid=ComputedRadiographyImageStorage,
        modality="CR",
        description="Chest film, phantom",
        attributes={
            "BodyPartExamined": "CHEST",
            "ViewPosition": "PA",
            "PatientOrientation": ["L", "F"],
            "ImagerPixelSpacing": [f"{mm:g}", f"{mm:g}"],
            "PixelSpacing": [f"{mm:g}", f"{mm:g}"],
            "WindowCenter": "1500",
            "WindowWidth": "3000",
            "KVP": None,
            "PlateID": None,
        },
    )


def _opacity(
    plan: SynthPlan, lungs: tuple[NDArray[np.bool_], NDArray[np.bool_]], mm: float, rng: np.random.Generator
) -> tuple[str, tuple[float, float], float] | None:
    """Choose side, centre (y, x) in mm and radius of an opacity; it lies within the lung as far as it can."""
    number = int(rng.integers(2))
    radius = float(rng.uniform(*plan.lesions_mm)) / 2.0
    depth = ndimage.distance_transform_edt(lungs[number]) * mm
    places = np.argwhere(depth > min(radius, 0.9 * float(depth.max())))
    row, column = places[int(rng.integers(len(places)))]
    side_mm = lungs[number].shape[0] * mm
    y, x = ((float(one) + 0.5) * mm - side_mm / 2 for one in (row, column))
    return ("right", "left")[number], (y, x), radius


# ── Photographs ───────────────────────────────────────────────────────────────────────────────────
def draw_photo(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a mole on skin: round and even, or with an irregular border and patches of other colours."""
    side = _SKIN_SIDE[plan.size]
    mm = _SKIN_MM / side
    y, x = ((np.indices((side, side)) + 0.5) * mm - _SKIN_MM / 2).astype(np.float64)
    figure = plan.stream("figure", case.patient)
    skin = np.array(_SKIN) * figure.uniform(0.75, 1.05) + figure.uniform(-8.0, 8.0, size=3)
    rng = plan.stream("visit", case.patient, case.visit)
    radius = float(rng.uniform(*plan.lesions_mm)) / 2.0
    cy, cx = (float(one) for one in rng.uniform(-3.5, 3.5, size=2))
    angle, far = np.arctan2(y - cy, x - cx), np.hypot(y - cy, x - cx)
    border = radius * (1.0 + _waves(angle, rng) * (0.30 if case.sick else 0.03))
    inside = np.clip((border - far) / mm + 0.5, 0.0, 1.0)
    patches = ndimage.gaussian_filter(rng.standard_normal(far.shape), radius / mm / 3.0)
    patches /= max(float(patches.std()), 1e-9)
    deep = plan.contrast * 2.0 * _SKIN_NOISE * (1.0 + (0.35 if case.sick else 0.03) * patches)
    texture = ndimage.gaussian_filter(rng.standard_normal(far.shape), 1.0) * 2.0 * _SKIN_NOISE
    values = skin + texture[..., None] - (inside * deep)[..., None] * np.array(_DARKER)
    values += 0.5 * _SKIN_NOISE * rng.standard_normal(values.shape)
    pixels = np.rint(np.clip(values, 0.0, 255.0)).astype(np.uint8)[np.newaxis]
    picture = DrawnPicture(
        pixels=pixels,
        sop_class_uid=VLPhotographicImageStorage,
        modality="XC",
        description="Skin, phantom",
        attributes=_OF_A_PHOTOGRAPH,
    )
    return Drawing(
        picture=picture,
        segments=(_mole(inside >= 0.5),),
        classes=(TrueClass(label="irregular", type=IRREGULAR, present=case.sick),),
        row={"irregular": str(int(case.sick)), "diameter_mm": f"{2 * radius:.2f}"},
    )


def _mole(mask: NDArray[np.bool_]) -> TrueSegment:
    return TrueSegment(
        label="lesion-1",
        kind=FindingKind.LESION,
        type=LESION,
        mask=mask[None],
        colour_rgb=(80, 220, 255),
        site=SKIN,
    )


_OF_A_PHOTOGRAPH: Final[dict[str, object]] = {
    "PatientOrientation": None,
    "LossyImageCompression": "00",
    "AcquisitionContextSequence": [],
    "BodyPartExamined": "CHEST",
}


def _waves(angle: Float64, rng: np.random.Generator) -> Float64:
    """A closed line around a circle: waves of three to six periods, about 1 high."""
    phases, heights = rng.uniform(0.0, 2 * np.pi, size=4), rng.uniform(0.3, 0.7, size=4)
    waves = np.zeros_like(angle)
    for periods, phase, height in zip(range(3, 7), phases, heights, strict=True):
        waves += height * np.sin(periods * angle + phase)
    return waves


def _in_ellipse(x: Float64, y: Float64, wide: float, high: float) -> NDArray[np.bool_]:
    return np.asarray((x / wide) ** 2 + (y / high) ** 2 <= 1.0)


def _box_of(label: str, code: Code, mask: NDArray[np.bool_]) -> TrueBox:
    """The smallest box that holds what is set; a disc smaller than a pixel is one pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return TrueBox(
        label=label,
        type=code,
        rows=(int(rows[0]), int(rows[-1]) + 1),
        columns=(int(columns[0]), int(columns[-1]) + 1),
    )
