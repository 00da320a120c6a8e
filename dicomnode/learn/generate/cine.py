"""A cine as of an ultrasound: a chamber that beats, well or weakly; no single frame tells which."""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import UltrasoundMultiFrameImageStorage
from scipy import ndimage

from dicomnode.learn.generate.drawn import Drawing, DrawnPicture, TrueClass, TrueNumber
from dicomnode.learn.generate.items import item
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.values import Code
from dicomnode.values.codes import PERCENT

REDUCED: Final = Code("REDUCEDMOTION", "99DICOMNODE", "Reduced motion of the wall")
AREA_CHANGE: Final = Code("AREACHANGE", "99DICOMNODE", "Fractional area change")

_SIDE: Final[dict[Size, int]] = {"small": 48, "full": 128}
_EXTENT_MM: Final = 96.0
_FRAMES: Final = 16
_FRAME_MS: Final = 50.0
_SHORTENING: Final = {False: (0.28, 0.40), True: (0.06, 0.14)}  # of the radius, by whether it is reduced
_NOISE: Final = 22.0
_LUMEN: Final = 35.0
_TISSUE: Final = 75.0


def draw_cine(plan: SynthPlan, case: Case) -> Drawing:
    """Draw one beat, from any moment of it on; radius and wall of a chamber are the patient's."""
    side = _SIDE[plan.size]
    mm = _EXTENT_MM / side
    figure = plan.stream("figure", case.patient)
    widest, wall = float(figure.uniform(18.0, 26.0)), float(figure.uniform(7.0, 10.0))
    rng = plan.stream("visit", case.patient, case.visit)
    shortening = float(rng.uniform(*_SHORTENING[case.sick]))
    cy, cx = (float(one) for one in rng.uniform(-6.0, 6.0, size=2))
    y, x = ((np.indices((side, side)) + 0.5) * mm - _EXTENT_MM / 2).astype(np.float64)
    far = np.hypot(y - cy, x - cx)
    start = float(rng.uniform(0.0, 1.0))
    frames = np.empty((_FRAMES, side, side))
    for t in range(_FRAMES):
        beat = 0.5 - 0.5 * np.cos(2 * np.pi * (t / _FRAMES + start))  # 0 wide … 1 narrow
        radius = widest * (1.0 - shortening * beat)
        thick = wall * (1.0 + 0.3 * beat * shortening)
        bright = _TISSUE + plan.contrast * _NOISE * np.exp(-(((far - radius - thick / 2) / thick) ** 2))
        frame = np.where(far < radius, _LUMEN, bright)
        speckle = ndimage.gaussian_filter(rng.standard_normal(frame.shape), 0.8)
        frames[t] = frame + 2.0 * _NOISE * speckle * (frame / _TISSUE) ** 0.5
    change = 100.0 * (1.0 - (1.0 - shortening) ** 2)
    pixels = np.rint(np.clip(frames, 0.0, 255.0)).astype(np.uint8)[..., np.newaxis]
    return Drawing(
        picture=_clip(pixels, mm),
        classes=(TrueClass(label="reduced", type=REDUCED, present=case.sick),),
        numbers=(TrueNumber(name="area_change_percent", concept=AREA_CHANGE, value=change, unit=PERCENT),),
        row={"reduced": str(int(case.sick)), "area_change_percent": f"{change:.3f}"},
    )


def _clip(pixels: np.ndarray, mm: float) -> DrawnPicture:
    _, rows, columns, _ = pixels.shape
    return DrawnPicture(
        pixels=pixels,
        sop_class_uid=UltrasoundMultiFrameImageStorage,
        modality="US",
        description="Beating chamber, phantom",
        frame_ms=_FRAME_MS,
        attributes={
            "BodyPartExamined": "HEART",
            "PatientOrientation": None,
            "LossyImageCompression": "00",
            "SequenceOfUltrasoundRegions": [tissue_region(rows, columns, mm)],
        },
    )


def tissue_region(rows: int, columns: int, mm: float) -> Dataset:
    """The whole frame is tissue in two dimensions, with lengths in cm (PS3.3 C.8.5.5)."""
    return item(
        RegionSpatialFormat=1,
        RegionDataType=1,
        RegionFlags=0,
        RegionLocationMinX0=0,
        RegionLocationMinY0=0,
        RegionLocationMaxX1=columns - 1,
        RegionLocationMaxY1=rows - 1,
        PhysicalUnitsXDirection=3,
        PhysicalUnitsYDirection=3,
        PhysicalDeltaX=mm / 10.0,
        PhysicalDeltaY=mm / 10.0,
    )
