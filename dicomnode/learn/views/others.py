"""Pictures that are no radiograph of a chest: heads, bellies, limbs, slices, ultrasound, pages, noise.

They are drawn coarsely: what matters is that a network has seen that there are other things than chests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.learn.views.additions import Plane, with_leads, with_letters
from dicomnode.learn.views.detector import displayed, exposed
from dicomnode.learn.views.films import Film, laid
from dicomnode.learn.views.patients import FRONTAL as FRONTAL_SHADOWS
from dicomnode.learn.views.patients import Patient
from dicomnode.learn.views.questions import OTHER, Truth
from dicomnode.phantom.lattice import Float32
from dicomnode.phantom.projection import PIXEL_MM, SIDE

_ULNA: Final = np.array([10.0, 0.0])  # mm beside the middle of the wrist

Rng = np.random.Generator
Draw = Callable[[Patient, Rng, int], Float32]


def draw_other(patient: Patient, rng: Rng, pixels: int) -> Film:
    """Draw a picture of no chest, of any kind. pixels: of its longer side."""
    return draw_kind(str(rng.choice(tuple(KINDS))), patient, rng, pixels)


def draw_kind(kind: str, patient: Patient, rng: Rng, pixels: int) -> Film:
    """Draw a picture of one of KINDS."""
    picture = KINDS[kind](patient, rng, pixels)
    if rng.uniform() < 0.4 and min(picture.shape) > 40:
        picture = with_letters(picture, rng)
    lies = Truth(
        view=OTHER,
        quarters=int(rng.integers(0, 4)),
        mirrored=bool(rng.uniform() < 0.5),
        inverted=bool(rng.uniform() < 0.35),
        other=kind,
    )
    return Film(picture=laid(picture, lies), truth=lies)


def _plane(rng: Rng, pixels: int) -> Plane:
    """Draw a field of 160 to 420 mm around the middle, of any shape."""
    longer = float(rng.uniform(160.0, 420.0))
    shape = [pixels, max(8, round(pixels * float(rng.uniform(0.55, 1.0))))]
    rng.shuffle(shape)
    step = longer / pixels
    y, x = np.meshgrid(*((np.arange(n) - (n - 1) / 2.0) * step for n in shape), indexing="ij")
    return Plane(x_mm=x.astype(np.float32), y_mm=y.astype(np.float32))


def _film(soft: Float32, bone: Float32, plane: Plane, rng: Rng) -> Float32:
    inside = np.ones(soft.shape, dtype=bool)
    if rng.uniform() < 0.4:
        edges = [float(rng.uniform(0.0, 0.18)) * side for side in (*soft.shape, *soft.shape)]
        j, i = np.indices(soft.shape)
        inside = (j >= edges[0]) & (i >= edges[1])
        inside &= (j <= soft.shape[0] - edges[2]) & (i <= soft.shape[1] - edges[3])
    rough = ndimage.gaussian_filter(rng.standard_normal(soft.shape, dtype=np.float32), 4.0)
    soft = soft * (1.0 + 0.6 * rough)
    return displayed(exposed(soft, with_leads(bone, plane, rng), rng), inside, rng)


def _head(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A skull of bone around a brain, a face below, teeth, the neck."""
    plane = _plane(rng, pixels)
    scale, lateral = float(rng.uniform(0.85, 1.2)), rng.uniform() < 0.5
    wide = (95.0 if lateral else 76.0) * scale
    at = (float(rng.uniform(-20.0, 20.0)), float(rng.uniform(-50.0, 10.0)))
    outer = plane.ball(at, (wide, 90.0 * scale), 2.0 * wide)
    inner = plane.ball(at, (wide - 7.0, 83.0 * scale), 2.0 * wide - 14.0)
    face = (at[0] - (38.0 * scale if lateral else 0.0), at[1] + 85.0 * scale)
    soft = outer + plane.ball(face, (58.0, 62.0), 100.0)
    bone = 0.9 * np.maximum(outer - inner, 0.0) + 0.25 * plane.ball(face, (44.0, 30.0), 60.0)
    for side in (-1.0, 1.0):
        eye = (face[0] + side * 26.0, face[1] - 42.0)
        soft = np.maximum(soft - plane.ball(eye, (17.0, 14.0), 30.0), 0.0)
    neck = ((at[0] + 15.0, face[1]), (at[0] + 20.0, face[1] + 220.0))
    return _film(soft + plane.capsule(*neck, 55.0), bone + 0.4 * plane.capsule(*neck, 16.0), plane, rng)


def _belly(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A belly with spine, pelvis, hips and gas."""
    plane = _plane(rng, pixels)
    wide = float(rng.uniform(130.0, 190.0))
    soft = plane.ball((0.0, 0.0), (wide, 500.0), float(rng.uniform(180.0, 300.0)))
    bone = 0.35 * plane.capsule((0.0, -300.0), (0.0, 60.0), 19.0)
    for n in range(-8, 3):
        bone = bone + 0.25 * plane.ball((0.0, 28.0 * n), (22.0, 9.0), 25.0)
    low = float(rng.uniform(40.0, 120.0))
    for side in (-1.0, 1.0):
        wing = plane.ball((side * 80.0, low), (62.0, 75.0), 40.0)
        hole = plane.ball((side * 55.0, low + 20.0), (30.0, 50.0), 30.0)
        bone = bone + 0.3 * np.maximum(wing - hole, 0.0)
        hip = (side * 105.0, low + 90.0)
        bone = bone + 0.5 * plane.ball(hip, (24.0, 24.0), 45.0)
        bone = bone + 0.5 * plane.capsule(hip, (side * 120.0, low + 350.0), 15.0)
    for _ in range(int(rng.integers(3, 14))):
        at = (float(rng.uniform(-110.0, 110.0)), float(rng.uniform(-170.0, 120.0)))
        gas = plane.ball(at, (float(rng.uniform(8.0, 35.0)), float(rng.uniform(8.0, 25.0))), 40.0)
        soft = np.maximum(soft - gas, 0.0)
    return _film(soft, bone, plane, rng)


def _limb(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A limb of one or two long bones, in any direction."""
    plane = _plane(rng, pixels)
    angle = float(rng.uniform(0.0, np.pi))
    away = np.array([np.cos(angle), np.sin(angle)]) * 260.0
    across = np.array([-np.sin(angle), np.cos(angle)])
    thick = float(rng.uniform(25.0, 80.0))
    at = np.array([float(rng.uniform(-40.0, 40.0)), float(rng.uniform(-40.0, 40.0))])
    soft = plane.capsule(tuple(at - away), tuple(at + away), thick)
    bone = np.zeros_like(soft)
    for side in (0.0,) if rng.uniform() < 0.5 else (-0.4, 0.4):
        middle = at + side * thick * across
        whole = plane.capsule(tuple(middle - away), tuple(middle + away), 0.28 * thick)
        marrow = plane.capsule(tuple(middle - away), tuple(middle + away), 0.16 * thick)
        bone = bone + np.maximum(whole - marrow, 0.0)
        if rng.uniform() < 0.6:  # a joint
            joint = tuple(middle + float(rng.uniform(-0.3, 0.3)) * away)
            bone = bone + 0.4 * plane.ball(joint, (0.5 * thick, 0.5 * thick), thick)
    return _film(soft, bone, plane, rng)


def _hand(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A hand: five rows of bones that spread from a wrist."""
    plane = _plane(rng, pixels)
    wrist = np.array([float(rng.uniform(-20.0, 20.0)), float(rng.uniform(40.0, 90.0))])
    soft = plane.ball((float(wrist[0]), float(wrist[1]) - 35.0), (45.0, 60.0), 28.0)
    soft = soft + plane.capsule(tuple(wrist), (float(wrist[0]), 300.0), 28.0)
    bone = 0.5 * plane.capsule(tuple(wrist + _ULNA), (float(wrist[0]) + 10.0, 300.0), 9.0)
    bone = bone + 0.5 * plane.capsule(tuple(wrist - _ULNA), (float(wrist[0]) - 10.0, 300.0), 8.0)
    for n, angle in enumerate(np.linspace(-0.75, 0.55, 5) + float(rng.uniform(-0.1, 0.1))):
        start, along = wrist, np.array([np.sin(angle), -np.cos(angle)])
        for length in (62.0, 38.0, 24.0, 16.0)[(1 if n == 0 else 0) :]:
            end = start + along * length
            bone = bone + 0.6 * plane.capsule(tuple(start + 5.0 * along), tuple(end - 3.0 * along), 4.5)
            soft = soft + 0.5 * plane.capsule(tuple(start), tuple(end), 9.0)
            start = end
    return _film(soft, bone, plane, rng)


def _breast(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A breast at the edge of the picture, nothing around it."""
    plane = _plane(rng, pixels)
    wall = float(plane.x_mm.min())
    reach = float(rng.uniform(0.4, 0.8)) * float(np.ptp(plane.x_mm))
    high = float(rng.uniform(0.3, 0.5)) * float(np.ptp(plane.y_mm))
    soft = plane.ball((wall, float(rng.uniform(-20.0, 20.0))), (reach, high), 55.0)
    glands = ndimage.gaussian_filter(rng.standard_normal(soft.shape, dtype=np.float32), 5.0)
    bone = np.clip(glands * 12.0, 0.0, 1.0) * (soft > 20.0) * 6.0
    return _film(soft, bone.astype(np.float32), plane, rng)


def _slice(patient: Patient, rng: Rng, _: int) -> Float32:
    """An axial slice of a CT in any window, or the mean of some."""
    voxels = patient.slices.astype(np.float32)
    one = voxels.mean(axis=0) if rng.uniform() < 0.25 else voxels[int(rng.integers(0, len(voxels)))]
    centre, width = rng.choice(((-600.0, 1500.0), (40.0, 400.0), (300.0, 1500.0), (-100.0, 2000.0)))
    grey = np.clip((one - centre) / width + 0.5, 0.0, 1.0)
    edge = int(rng.integers(0, SIDE // 5))
    cut: Float32 = grey[edge : SIDE - edge, edge : SIDE - edge].astype(np.float32)
    return cut


def _slab(patient: Patient, rng: Rng, _: int) -> Float32:
    """A strip across a chest, as a few slices of a CT look from the front: too little of it to be judged."""
    shadow = int(rng.integers(0, FRONTAL_SHADOWS))
    rows = max(6, round(float(rng.uniform(15.0, 55.0)) / PIXEL_MM))
    top = int(rng.integers(SIDE // 4, 3 * SIDE // 4 - rows))
    part = slice(top, top + rows)
    dense = exposed(
        patient.soft_mm[shadow, part].astype(np.float32),
        patient.bone_mm[shadow, part].astype(np.float32),
        rng,
    )
    return displayed(dense, np.ones(dense.shape, dtype=bool), rng)


def _ultrasound(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A sector of speckle on black."""
    plane = _plane(rng, pixels)
    top = float(plane.y_mm.min())
    deep = plane.y_mm - top + 20.0
    far = np.hypot(plane.x_mm, deep)
    inside = (np.abs(np.arctan2(plane.x_mm, deep)) < float(rng.uniform(0.4, 0.8))) & (far > 30.0)
    inside &= far < 0.95 * float(np.ptp(plane.y_mm))
    speckle = np.abs(ndimage.gaussian_filter(rng.standard_normal(far.shape, dtype=np.float32), (1.0, 2.0)))
    tissue = ndimage.gaussian_filter(rng.standard_normal(far.shape, dtype=np.float32), 10.0)
    grey = np.clip(speckle * (1.5 + 20.0 * tissue), 0.0, 1.0) * inside
    return np.asarray(grey, dtype=np.float32)


def _page(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """A page of letters, as reports and captures are."""
    side = [pixels, max(60, int(pixels * float(rng.uniform(0.5, 1.0))))]
    page = np.full(side, 1.0 if rng.uniform() < 0.5 else 0.0, dtype=np.float32)
    for _ in range(int(rng.integers(8, 30))):
        page = with_letters(page, rng)
        top, left = (int(rng.integers(0, n - 20)) for n in side)
        page[top : top + 2, left : left + int(rng.integers(10, max(12, side[1] // 2)))] = rng.uniform()
    return page


def _noise(_patient: Patient, rng: Rng, pixels: int) -> Float32:
    """Noise, blobs, a step wedge, or one grey."""
    shape = (pixels, max(8, int(pixels * float(rng.uniform(0.5, 1.0)))))
    noise = rng.standard_normal(shape, dtype=np.float32)
    how = int(rng.integers(0, 4))
    if how == 0:
        blurred = ndimage.gaussian_filter(noise, float(rng.uniform(0.0, 25.0)))
        return np.asarray(np.clip(0.5 + blurred / max(6.0 * float(blurred.std()), 1e-6), 0.0, 1.0))
    if how == 1:
        return np.full(shape, float(rng.uniform()), dtype=np.float32) + 0.01 * noise
    if how == 2:
        steps = np.floor(np.linspace(0.0, float(rng.integers(3, 14)), shape[1])) / 13.0
        return np.asarray(np.broadcast_to(steps, shape) + 0.02 * noise, dtype=np.float32)
    j, i = np.indices(shape)
    round_ = np.hypot(j - shape[0] / 2, i - shape[1] / 2) < float(rng.uniform(0.15, 0.5)) * min(shape)
    return np.asarray(0.5 * round_ + 0.05 * noise, dtype=np.float32)


KINDS: Final[Mapping[str, Draw]] = MappingProxyType(
    {
        "head": _head,
        "belly": _belly,
        "limb": _limb,
        "hand": _hand,
        "breast": _breast,
        "slice": _slice,
        "slab": _slab,
        "ultrasound": _ultrasound,
        "page": _page,
        "noise": _noise,
    }
)
"""What is drawn that is no chest."""
