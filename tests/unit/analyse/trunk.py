"""A trunk drawn from ellipses: how much there is of each tissue, is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SKIN = 30.0
AIR, FAT, MUSCLE, ORGAN, MARROW, CORTEX, LUNG = -1000.0, -100.0, 50.0, 60.0, 180.0, 700.0, -850.0
SKIN_MM = 3.0
EXTENT_MM = (60.0, 270.0, 400.0)  # k to the head, j to the back, i to the left

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Trunk:
    """What is drawn. Half axes in mm, to the side and to the back; everything goes through all slices.

    gap_mm: width of a gap in the muscle in front. lungs: in place of the organs. scale: of all lengths in the
    plane. vessel_hu: of a vessel of 24 mm in front of the spine. arm: beside the body.
    """

    body: tuple[float, float] = (160.0, 110.0)
    ring: tuple[float, float] = (140.0, 92.0)
    cavity: tuple[float, float] = (124.0, 76.0)
    organ: tuple[float, float] = (70.0, 44.0)
    gap_mm: float = 0.0
    lungs: bool = False
    scale: float = 1.0
    vessel_hu: float | None = None
    arm: bool = False
    couch: bool = False
    noise_hu: float = 0.0
    shift_mm: float = 0.0
    extent_mm: tuple[float, float, float] = EXTENT_MM

    def changed(self, **what: object) -> Trunk:
        return replace(self, **what)  # type: ignore[arg-type]


def axes_mm(spacing_kji: tuple[float, float, float], trunk: Trunk) -> tuple[Float, Float, Float]:
    """z, y, x of the voxel centres, 0 in the middle."""
    counts = [round(length / mm) for length, mm in zip(trunk.extent_mm, spacing_kji, strict=True)]
    k, j, i = np.ogrid[tuple(slice(0, n) for n in counts)]
    z, y, x = ((a - (n - 1) / 2.0) * mm for a, n, mm in zip((k, j, i), counts, spacing_kji, strict=True))
    return z, y / trunk.scale, (x - trunk.shift_mm) / trunk.scale


def affine_of(hu: NDArray[np.float32], spacing_kji: tuple[float, float, float]) -> Float:
    """The affine of the array, with 0 mm in its middle."""
    result = np.diag([*spacing_kji[::-1], 1.0])
    result[:3, 3] = [-(n - 1) / 2.0 * mm for n, mm in zip(hu.shape[::-1], spacing_kji[::-1], strict=True)]
    return result


def shapes(spacing_kji: tuple[float, float, float], trunk: Trunk) -> dict[str, NDArray[np.bool_]]:
    """What is drawn where; of two that overlap the later one."""
    _, y, x = axes_mm(spacing_kji, trunk)

    def oval(axes: tuple[float, float], at: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.bool_]:
        return ((x - at[0]) / axes[0]) ** 2 + ((y - at[1]) / axes[1]) ** 2 < 1.0

    ring = oval(trunk.ring) & ~oval(trunk.cavity)
    found = {
        "body": oval(trunk.body),
        "under the skin": oval((trunk.body[0] - SKIN_MM, trunk.body[1] - SKIN_MM)),
        "ring": ring & ~((np.abs(x) < trunk.gap_mm / 2) & (y < 0)),
        "back": oval((60.0, 20.0), (0.0, 66.0)),
        "inner": oval(trunk.cavity) & ~oval((60.0, 20.0), (0.0, 66.0)),
    }
    if trunk.lungs:
        found["lungs"] = oval((48.0, 66.0), (-66.0, -2.0)) | oval((48.0, 66.0), (66.0, -2.0))
    else:
        found["organs"] = oval(trunk.organ, (-20.0, -16.0))
    if trunk.vessel_hu is not None:
        found["vessel"] = oval((12.0, 12.0), (10.0, 18.0))
    found["vertebra"] = oval((20.0, 16.0), (0.0, 50.0))
    found["marrow"] = oval((16.0, 12.0), (0.0, 50.0))
    if trunk.arm:
        found["arm"] = oval((18.0, 24.0), (184.0, 10.0))
    return found


def draw(spacing_kji: tuple[float, float, float], trunk: Trunk | None = None) -> NDArray[np.float32]:
    """Draw HU (k, j, i)."""
    trunk = trunk or Trunk()
    z, y, x = axes_mm(spacing_kji, trunk)
    values = {
        "body": SKIN,
        "under the skin": FAT,
        "ring": MUSCLE,
        "back": MUSCLE,
        "inner": FAT,
        "lungs": LUNG,
        "organs": ORGAN,
        "vessel": trunk.vessel_hu or 0.0,
        "vertebra": CORTEX,
        "marrow": MARROW,
        "arm": MUSCLE,
    }
    plane = np.full(np.broadcast_shapes(y.shape, x.shape), AIR)
    for name, inside in shapes(spacing_kji, trunk).items():
        plane[inside] = values[name]
    if trunk.couch:
        plane[(np.abs(x) < 120) & (y > 113) & (y < 131)] = -150.0
        plane[(np.abs(x) < 116) & (y > 117) & (y < 127)] = AIR
    hu = np.broadcast_to(plane, (z.shape[0], *plane.shape[1:])).astype(np.float32)
    rng = np.random.default_rng(5)
    return hu + rng.standard_normal(hu.shape).astype(np.float32) * np.float32(trunk.noise_hu)


def truth_ml(spacing_kji: tuple[float, float, float], trunk: Trunk) -> dict[str, float]:
    """How much there is of each tissue, in ml."""
    hu = draw(spacing_kji, trunk.changed(noise_hu=0.0, couch=False, vessel_hu=None))
    one = shapes(spacing_kji, trunk)
    ml = float(np.prod(spacing_kji)) / 1000.0
    within = np.broadcast_to(one["ring"] | one["inner"] | one["back"], hu.shape)
    everything = np.broadcast_to(one["body"] | one.get("arm", False), hu.shape)
    found = {
        "body": everything,
        "fat": hu == FAT,
        "subcutaneous-fat": (hu == FAT) & ~within,
        "visceral-fat": (hu == FAT) & within,
        "muscle": hu == MUSCLE,
        "soft-tissue": hu == ORGAN,
        "bone": (hu == CORTEX) | (hu == MARROW),
        "air": hu == LUNG,
    }
    return {name: float(mask.sum()) * ml for name, mask in found.items()}
