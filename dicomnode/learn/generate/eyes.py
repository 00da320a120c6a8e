"""Photographs of an eye's ground ("fundus"): disc, vessels, dark and bright spots by grade; one eye each.

The grades are those of no patient and of no paper: more spots, and larger ones, from 1 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import OphthalmicPhotography8BitImageStorage

from dicomnode.learn.generate.drawn import HEMORRHAGE, Drawing, DrawnPicture, TrueClass, TrueSegment
from dicomnode.learn.generate.items import code_item
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.values import Code, FindingKind

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]
Point = tuple[float, float]
"""x, y from the middle of the image, mm of the retina."""

DISC: Final = Code("81016008", "SCT", "Optic disc")
VESSEL: Final = Code("59820001", "SCT", "Blood vessel")
RETINA: Final = Code("5665001", "SCT", "Retina")
BRIGHT: Final = Code("BRIGHTSPOT", "99DICOMNODE", "Bright spot of the retina")
SPOTS: Final = Code("RETINALSPOTS", "99DICOMNODE", "Spots of the retina")
_FUNDUS_CAMERA: Final = Code("409898007", "SCT", "Fundus Camera")

_EXTENT_MM: Final = 14.0
_SIDE: Final[dict[Size, int]] = {"small": 96, "full": 384}
_FIELD_MM: Final = 6.7  # radius of what the camera sees
_NOISE: Final = 6.0
_GROUND: Final = (188.0, 88.0, 48.0)
_DISC_COLOUR: Final = (250.0, 214.0, 150.0)
_OF_A_VESSEL: Final = (0.62, 0.45, 0.55)  # of the light of the ground
_DARK: Final = (1.0, 0.75, 0.45)  # how much of a spot each colour has
_LIGHT: Final = (0.6, 1.0, 0.55)
# Dark and bright spots of each grade: least and most
_SPOTS: Final = (
    ((0, 0), (0, 0)),
    ((2, 4), (0, 0)),
    ((5, 9), (1, 2)),
    ((11, 16), (4, 7)),
    ((18, 24), (9, 13)),
)
_LARGER: Final = (0.0, 0.25, 0.45, 0.7, 1.0)  # part of the span of sizes that spots of a grade may have
REFERABLE_FROM: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Eye:
    """x, y: of each pixel, from the middle, mm of the retina. nose: 1 where it is on the right, else -1."""

    x: Float64
    y: Float64
    disc: Point
    nose: float

    @property
    def mm(self) -> float:
        """Size of a pixel."""
        return float(self.x[0, 1] - self.x[0, 0])

    def far(self, point: Point) -> Float64:
        """How far each pixel is from a point, mm."""
        return np.asarray(np.hypot(self.x - point[0], self.y - point[1]))


def draw_eye(plan: SynthPlan, case: Case) -> Drawing:
    """Draw the right or the left eye: the disc lies towards the nose, on the right of a right eye's image."""
    side = _SIDE[plan.size]
    mm = _EXTENT_MM / side
    y, x = ((np.indices((side, side)) + 0.5) * mm - _EXTENT_MM / 2).astype(np.float64)
    figure = plan.stream("figure", case.patient)
    ground = np.array(_GROUND) * figure.uniform(0.8, 1.1)
    rng = plan.stream("visit", case.patient, case.visit)
    right = bool(rng.integers(2))
    nose = 1.0 if right else -1.0
    disc = (nose * float(figure.uniform(3.9, 4.5)), float(figure.uniform(-0.6, 0.2)))
    eye = _Eye(x=x, y=y, disc=disc, nose=nose)
    grade = int(rng.integers(1, len(_SPOTS))) if case.sick else 0
    vessels = _tree(eye, figure)
    values = _plain(ground, eye, vessels)
    spots = [_spots(plan, grade, n, eye, rng) for n in (0, 1)]
    for covered, sign, colour in zip(spots, (-1.0, 1.0), (_DARK, _LIGHT), strict=True):
        values += sign * plan.contrast * 2.0 * _NOISE * covered[..., None] * np.array(colour)
    values += _NOISE * rng.standard_normal(values.shape)
    seen = eye.far((0.0, 0.0)) <= _FIELD_MM
    values[~seen] = 0.0
    pixels = np.rint(np.clip(values, 0.0, 255.0)).astype(np.uint8)[np.newaxis]
    masks = (_disc(eye) >= 0.5, vessels >= 0.5, *(one >= 0.5 for one in spots))
    return Drawing(
        picture=_photograph(pixels, right=right, clock_uid=plan.uid("clock", str(case.number))),
        segments=tuple(_segment(n, mask & seen) for n, mask in enumerate(masks)),
        classes=(TrueClass(label="retinopathy", type=SPOTS, present=case.sick),),
        row={
            "retinopathy": str(int(case.sick)),
            "grade": str(grade),
            "referable": str(int(grade >= REFERABLE_FROM)),
            "eye": "R" if right else "L",
        },
    )


_NAMES: Final = (
    ("optic disc", FindingKind.ANATOMY, DISC, (255, 230, 120)),
    ("vessels", FindingKind.ANATOMY, VESSEL, (90, 160, 255)),
    ("dark spots", FindingKind.LESION, HEMORRHAGE, (255, 0, 160)),
    ("bright spots", FindingKind.LESION, BRIGHT, (120, 255, 120)),
)


def _segment(number: int, mask: Bool) -> TrueSegment:
    label, kind, code, colour = _NAMES[number]
    site = RETINA if kind is FindingKind.LESION else None
    return TrueSegment(label=label, kind=kind, type=code, mask=mask[None], colour_rgb=colour, site=site)


def _plain(ground: Float64, eye: _Eye, vessels: Float64) -> Float64:
    """Draw what every eye has, (j, i, 3): darker at the rim and in the macula, the disc, the vessels."""
    far = eye.far((0.0, 0.0))
    light = 1.0 - 0.35 * (far / _FIELD_MM) ** 2 - 0.28 * np.exp(-(far**2) / 1.6)
    values = ground * light[..., None]
    inside = _disc(eye)[..., None]
    values = values + inside * (np.array(_DISC_COLOUR) - values)
    return np.asarray(values * (1.0 - vessels[..., None] * (1.0 - np.array(_OF_A_VESSEL))))


def _disc(eye: _Eye) -> Float64:
    far = np.hypot((eye.x - eye.disc[0]) / 0.85, (eye.y - eye.disc[1]) / 0.98)
    return np.asarray(np.clip((1.0 - far) * 0.9 / eye.mm + 0.5, 0.0, 1.0))


def _tree(eye: _Eye, rng: np.random.Generator) -> Float64:
    """How much of each pixel is vessel: four arcades from the disc, two of them around the macula."""
    near = np.full(eye.x.shape, np.inf)
    for up in (-1.0, 1.0):
        around = _curve(eye.disc, (-eye.nose * 10.0, up * float(rng.uniform(3.2, 4.0))), rng)
        away = _curve(eye.disc, (eye.nose * 3.0, up * float(rng.uniform(2.2, 3.4))), rng)
        branches = [_branch(around, at, up, eye.nose, rng) for at in (20, 34, 48)]
        for line, widest in ((around, 0.20), (away, 0.15), *((one, 0.11) for one in branches)):
            for number, point in enumerate(line):
                width = widest * (1.0 - 0.5 * number / len(line))
                np.minimum(near, eye.far(point) - width, out=near)
    return np.asarray(np.clip(0.5 - near / eye.mm, 0.0, 1.0))


_STEPS: Final = 70


def _curve(start: Point, reach: Point, rng: np.random.Generator) -> list[Point]:
    """A line that leaves upright, bends, and runs level: `reach` is where it ends, from the start."""
    wave, phase = float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.0, 6.0))
    way = np.linspace(0.0, 1.0, _STEPS) ** 0.7  # at the end it is quick
    return [
        (
            start[0] + reach[0] * t**1.6,
            start[1] + reach[1] * np.sin(t**0.6 * 0.55 * np.pi) + wave * np.sin(9 * t + phase),
        )
        for t in way
    ]


def _branch(line: list[Point], at: int, up: float, nose: float, rng: np.random.Generator) -> list[Point]:
    """A thinner line from a place of another, away from the macula."""
    px, py = line[at]
    long, lean = float(rng.uniform(1.2, 2.4)), float(rng.uniform(0.5, 1.1))
    return [
        (px - nose * long * lean * t, py + up * long * t**0.8) for t in np.linspace(0.0, 1.0, _STEPS // 2)
    ]


def _spots(plan: SynthPlan, grade: int, kind: int, eye: _Eye, rng: np.random.Generator) -> Float64:
    """How much of each pixel is dark (kind 0) or bright (1) spot; none lies on the disc."""
    low, high = _SPOTS[grade][kind]
    least, most = plan.lesions_mm
    covered = np.zeros(eye.x.shape)
    for _ in range(int(rng.integers(low, high + 1))):
        radius = float(rng.uniform(least, least + _LARGER[grade] * (most - least))) / 2.0
        angle, far = float(rng.uniform(0.0, 2 * np.pi)), 5.6 * float(rng.uniform(0.02, 1.0)) ** 0.5
        px, py = far * np.cos(angle), far * np.sin(angle)
        if np.hypot(px - eye.disc[0], py - eye.disc[1]) < 1.3 + radius:
            px, py = -px, -py  # the disc lies on one side alone
        covered = np.maximum(covered, np.clip((radius - eye.far((px, py))) / eye.mm + 0.5, 0.0, 1.0))
    return covered


def _photograph(pixels: NDArray[np.uint8], *, right: bool, clock_uid: str) -> DrawnPicture:
    """Ophthalmic Photography (PS3.3 A.41): of one frame, although its class counts them."""
    nothing: list[object] = []
    return DrawnPicture(
        pixels=pixels,
        sop_class_uid=OphthalmicPhotography8BitImageStorage,
        modality="OP",
        description="Eye's ground, phantom",
        attributes={
            "ImageType": ["DERIVED", "PRIMARY", "PHANTOM"],  # the class has no SECONDARY (C.8.17.2.1.1)
            "SourceImageSequence": nothing,
            "NumberOfFrames": 1,
            "FrameIncrementPointer": 0x00181063,
            "FrameTime": "0",
            "SynchronizationFrameOfReferenceUID": clock_uid,
            "SynchronizationTrigger": "NO TRIGGER",
            "AcquisitionTimeSynchronized": "N",
            "ImageLaterality": "R" if right else "L",
            "PatientOrientation": ["L", "F"],
            "AnatomicRegionSequence": [code_item(RETINA)],
            "AcquisitionDeviceTypeCodeSequence": [code_item(_FUNDUS_CAMERA)],
            "LossyImageCompression": "00",
            "AcquisitionContextSequence": nothing,
            **dict.fromkeys(_EMPTY_SEQUENCES, nothing),
            **dict.fromkeys(_UNKNOWN),
        },
    )


_EMPTY_SEQUENCES: Final = (
    "RefractiveStateSequence",
    "IlluminationTypeCodeSequence",
    "LightPathFilterTypeStackCodeSequence",
    "ImagePathFilterTypeStackCodeSequence",
    "LensesCodeSequence",
)
_UNKNOWN: Final = (
    "PatientEyeMovementCommanded",
    "EmmetropicMagnification",
    "IntraOcularPressure",
    "HorizontalFieldOfView",
    "PupilDilated",
    "DetectorType",
)
