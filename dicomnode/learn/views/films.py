"""From the shadow of a patient to a film, with everything about it drawn: how it lies, what is cut off.

A film is drawn upright first, then mirrored, then turned, as a technician or a converter would have done it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.learn.views.additions import (
    Lungs,
    Plane,
    with_frontal_parts,
    with_lateral_parts,
    with_leads,
    with_letters,
)
from dicomnode.learn.views.detector import displayed, exposed
from dicomnode.learn.views.patients import FRONTAL as FRONTAL_SHADOWS
from dicomnode.learn.views.patients import Patient
from dicomnode.learn.views.questions import APICES, BASES, FRONTAL, LATERAL, SIDES, Truth
from dicomnode.phantom.lattice import Float32
from dicomnode.phantom.projection import PIXEL_MM, SIDE

_TILT_DEG: Final = 10.0  # in the plane of the film, at most
_SEEN: Final = (0.5, 99.5)  # percentiles of the lung's pixels: beyond them is a corner
_CUT_PART: Final = 0.22  # of films, for each of top, bottom and the sides
_CUT_MM: Final = (5.0, 70.0)
_MARGIN_MM: Final = {"top": (2.0, 55.0), "bottom": (2.0, 60.0), "left": (2.0, 70.0), "right": (2.0, 70.0)}
_COLLIMATED: Final = 0.45  # of films show more of the detector than was exposed
_BORDER_MM: Final = (6.0, 50.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Film:
    """A picture, float32 (j, i) from 0 to 1, larger is brighter, and what is true of it."""

    picture: Float32
    truth: Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Edges of a field in mm in the patient's upright frame, y downwards."""

    top: float
    bottom: float
    left: float
    right: float


def draw_film(patient: Patient, rng: np.random.Generator, pixels: int) -> Film:
    """Draw a film of any view of a patient. pixels: of its longer side."""
    lateral = bool(rng.uniform() < 0.3)
    first, count = (FRONTAL_SHADOWS, patient.views - FRONTAL_SHADOWS) if lateral else (0, FRONTAL_SHADOWS)
    shadow = first + int(rng.integers(0, count))
    tilt = np.deg2rad(float(rng.uniform(-_TILT_DEG, _TILT_DEG)))
    lungs = _lungs(patient.lungs[shadow], tilt)
    field = _field(lungs, rng)
    frame = _image(field, rng)
    soft, bone, plane = _sampled(patient, shadow, tilt, (frame, pixels))
    add = with_lateral_parts if lateral else with_frontal_parts
    soft, bone = add(soft, bone, plane, lungs, rng)
    inside = _within(field, plane)
    values = exposed(soft, with_leads(bone, plane, rng), rng)
    picture = displayed(values, inside, rng)
    if rng.uniform() < 0.7:
        picture = with_letters(picture, rng)
    mirrored, quarters, inverted = rng.uniform() < 0.5, _quarters(rng), bool(rng.uniform() < 0.4)
    truth = Truth(
        view=LATERAL if lateral else FRONTAL,
        quarters=quarters,
        mirrored=bool(mirrored),
        inverted=inverted,
        cut_mm=_cut_mm(lungs, field),
    )
    return Film(picture=laid(picture, truth), truth=truth)


def laid(picture: Float32, truth: Truth) -> Float32:
    """Mirror, turn and invert an upright picture as `truth` says."""
    picture = picture[:, ::-1] if truth.mirrored else picture
    picture = np.rot90(picture, truth.quarters)
    return np.ascontiguousarray(1.0 - picture if truth.inverted else picture, dtype=np.float32)


def _quarters(rng: np.random.Generator) -> int:
    return int(rng.choice((0, 1, 2, 3), p=(0.4, 0.2, 0.2, 0.2)))


# ── where it lies ──


def _upright(tilt: float, x: Float32, y: Float32) -> tuple[Float32, Float32]:
    """Turn places of the detector about its middle into those of the film."""
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    return cos * x + sin * y, cos * y - sin * x


def _lungs(seen: NDArray[np.bool_], tilt: float) -> Lungs:
    rows, columns = np.nonzero(seen[::2, ::2])
    middle = (SIDE - 1) / 2.0
    x = ((2.0 * columns - middle) * PIXEL_MM).astype(np.float32)
    y = ((2.0 * rows - middle) * PIXEL_MM).astype(np.float32)
    x, y = _upright(tilt, x, y)
    left, right = np.percentile(x, _SEEN)
    top, bottom = np.percentile(y, _SEEN)
    return Lungs(float(top), float(bottom), float(left), float(right))


def _field(lungs: Lungs, rng: np.random.Generator) -> Frame:
    """Draw what is exposed: with some room around the lungs, or with something cut off."""

    def room(edge: str) -> float:
        return float(rng.uniform(*_MARGIN_MM[edge]))

    rooms = {edge: room(edge) for edge in _MARGIN_MM}
    for edges in (("top",), ("bottom",), ("left", "right")):
        if rng.uniform() < _CUT_PART:
            low, high = np.log(_CUT_MM)
            rooms[str(rng.choice(edges))] = -float(np.exp(rng.uniform(low, high)))
    return Frame(
        top=lungs.top - rooms["top"],
        bottom=lungs.bottom + rooms["bottom"],
        left=lungs.left - rooms["left"],
        right=lungs.right + rooms["right"],
    )


def _image(field: Frame, rng: np.random.Generator) -> Frame:
    """Draw what the image shows: the field, or borders of the collimator around it as well."""
    if rng.uniform() >= _COLLIMATED:
        return field
    borders = [float(rng.uniform(*_BORDER_MM)) * float(rng.uniform() < 0.7) for _ in range(4)]
    return Frame(
        top=field.top - borders[0],
        bottom=field.bottom + borders[1],
        left=field.left - borders[2],
        right=field.right + borders[3],
    )


def _within(field: Frame, plane: Plane) -> NDArray[np.bool_]:
    inside = (plane.x_mm >= field.left) & (plane.x_mm <= field.right)
    return inside & (plane.y_mm >= field.top) & (plane.y_mm <= field.bottom)


def _cut_mm(lungs: Lungs, field: Frame) -> dict[str, float]:
    return {
        APICES.name: field.top - lungs.top,
        BASES.name: lungs.bottom - field.bottom,
        SIDES.name: max(field.left - lungs.left, lungs.right - field.right),
    }


def _sampled(
    patient: Patient, shadow: int, tilt: float, how: tuple[Frame, int]
) -> tuple[Float32, Float32, Plane]:
    """Read a shadow out on the pixels of a film. how: its frame, and the pixels of its longer side."""
    frame, pixels = how
    wide, high = frame.right - frame.left, frame.bottom - frame.top
    step = max(wide, high) / pixels
    across = frame.left + step * (np.arange(max(1, round(wide / step))) + 0.5)
    down = frame.top + step * (np.arange(max(1, round(high / step))) + 0.5)
    y, x = np.meshgrid(down.astype(np.float32), across.astype(np.float32), indexing="ij")
    column, row = _upright(-tilt, x, y)
    places = np.stack([row, column]) / np.float32(PIXEL_MM) + np.float32((SIDE - 1) / 2.0)
    soft, bone = (
        ndimage.map_coordinates(one[shadow].astype(np.float32), places, order=1, mode="nearest")
        for one in (patient.soft_mm, patient.bone_mm)
    )
    return soft, bone, Plane(x_mm=x, y_mm=y)
