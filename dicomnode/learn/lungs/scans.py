"""What the network is shown of a world: another posture, more without air in it, a part, through a scanner.

All is drawn from one generator: equal ones give equal scans. Never mirrored: right stays right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.learn.lungs.nothing import Shape, draw_nothing
from dicomnode.learn.lungs.worlds import LEFT, RIGHT, SPACING_MM, Coarse, UInt8
from dicomnode.learn.planted.acquisition import noise_like

BOX: Final[Shape] = (48, 64, 96)
"""Voxels of what is shown: 192 × 256 × 384 mm."""

_AIR_HU: Final = np.float32(-1000.0)
_NOTHING: Final = 0.10  # of all that is shown has no lungs
_FILLED, _MASS, _SLAB, _FIELD, _ARMS, _METAL = 0.35, 0.25, 0.40, 0.25, 0.20, 0.06  # how often
_LEAST_SLAB_MM: Final = 20.0
_TURN: Final = np.deg2rad(12.0)
_WIDE_MM: Final = 40.0  # of the field that says where lung is filled


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """What is shown: float32 HU and what it is (uint8, 0, 1 right, 2 left), both of the size of `BOX`."""

    hu: Float32
    sides: UInt8


def shown(world: Coarse, rng: np.random.Generator, box: Shape = BOX) -> Scan:
    """Show a world, or at times what has no lungs."""
    if rng.uniform() < _NOTHING:
        sides = np.zeros(box, dtype=np.uint8)
        return Scan(hu=_scanned(draw_nothing(box, SPACING_MM, rng), rng, is_real=False), sides=sides)
    hu, sides = _placed(world, box, rng)
    if not world.is_real:
        if rng.uniform() < _FILLED:
            _fill(hu, sides, rng)
        if rng.uniform() < _MASS:
            _masses(hu, sides, rng)
    if rng.uniform() < _ARMS:
        _arms(hu, rng)
    if rng.uniform() < _METAL:
        _metal(hu, rng)
    hu = _scanned(hu, rng, is_real=world.is_real)
    _cut(hu, sides, rng)
    return Scan(hu=hu, sides=sides)


def as_scanned(world: Coarse, rng: np.random.Generator) -> Float32:
    """Return a world as a scanner shows it, whole and as it lies; a real one as it is."""
    hu = world.hu.astype(np.float32)
    return hu if world.is_real else _scanned(hu, rng, is_real=False)


def _placed(world: Coarse, box: Shape, rng: np.random.Generator) -> tuple[Float32, UInt8]:
    """Turn, stretch and shift a world into the box; beyond the world is air."""
    turn = _rotation(rng.uniform(-_TURN, _TURN, size=3) * (rng.uniform(size=3) < 0.7))
    stretch = np.diag(1.0 / (rng.uniform(0.82, 1.2) * rng.uniform(0.93, 1.07, size=3)))
    matrix = turn @ stretch
    inside = np.argwhere(world.sides[::2, ::2, ::2] > 0) * 2
    centre = (inside.min(axis=0) + inside.max(axis=0)) / 2.0
    # Along the body a chest is longer than the box at times; across it is not
    reach = (0.5 * np.ptp(inside[:, 0]), 6.0, 8.0)
    centre = centre + rng.uniform(-1.0, 1.0, size=3) * reach
    offset = centre - matrix @ ((np.array(box) - 1.0) / 2.0)
    hu = ndimage.affine_transform(
        world.hu.astype(np.float32), matrix, offset, output_shape=box, order=1, mode="constant", cval=_AIR_HU
    )
    # Each side for itself: the border between them would be another number otherwise
    sides = np.zeros(box, dtype=np.uint8)
    for side in (RIGHT, LEFT):
        one = (world.sides == side).astype(np.float32)
        sides[ndimage.affine_transform(one, matrix, offset, output_shape=box, order=1) > 0.5] = side
    return hu, sides


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Return the rotation by angles around k, j, i, one after the other."""
    whole = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (n for n in range(3) if n != axis)
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        whole = whole @ turn
    return whole


def _fill(hu: Float32, sides: UInt8, rng: np.random.Generator) -> None:
    """Take the air out of a part of one lung, of all of it at times: it stays lung."""
    lung = sides == (RIGHT if rng.uniform() < 0.5 else LEFT)
    if not lung.any():
        return
    way = (rng.standard_normal(3) * (1.0, 0.8, 0.5)).astype(np.float32)
    along = 3.0 * noise_like(hu.shape, (_WIDE_MM / SPACING_MM / 4,) * 3, 1.0, rng)
    for axis, step in zip(np.ogrid[tuple(slice(0, size) for size in hu.shape)], way, strict=True):
        along = along + step * axis.astype(np.float32)
    values = along[lung]
    # Mostly a part; in one of five nearly all of it
    part = rng.uniform(0.9, 1.0) if rng.uniform() < 0.2 else rng.uniform(0.05, 0.7)
    at = float(np.quantile(values, part))
    edge = float(rng.uniform(0.5, 4.0))
    share = np.clip(0.5 - (along - at) / edge, 0.0, 1.0) * lung
    density = rng.uniform(0.0, 70.0) + 60.0 * (rng.uniform() < 0.3)
    if rng.uniform() < 0.25:
        density = rng.uniform(-650.0, -100.0)  # ground glass, half full
    texture = noise_like(hu.shape, (1.0,) * 3, float(rng.uniform(0.0, 40.0)), rng)
    filled = np.maximum(hu, np.float32(density) + texture)  # vessels with contrast medium stay brighter
    hu += (filled - hu) * share


def _masses(hu: Float32, sides: UInt8, rng: np.random.Generator) -> None:
    """Round lesions of 10 to 70 mm in the lung, at the pleura as well."""
    places = np.argwhere(sides > 0)
    for _ in range(int(rng.integers(1, 4)) if len(places) else 0):
        centre = places[int(rng.integers(len(places)))]
        radius = float(np.exp(rng.uniform(np.log(5.0), np.log(35.0)))) / SPACING_MM
        k, j, i = np.ogrid[tuple(slice(0, size) for size in hu.shape)]
        far = np.sqrt((k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2)
        share = np.clip(0.5 - (far - radius), 0.0, 1.0).astype(np.float32) * (sides > 0)
        hu += (np.maximum(hu, np.float32(rng.uniform(10.0, 90.0))) - hu) * share


def _arms(hu: Float32, rng: np.random.Generator) -> None:
    """One arm or two beside the trunk, where there is room."""
    _, j, i = np.ogrid[tuple(slice(0, size) for size in hu.shape)]
    free = hu < -900.0
    for side in (-1, 1):
        if rng.uniform() < 0.3:
            continue
        middle = hu.shape[2] / 2.0 + side * rng.uniform(40.0, 50.0)
        far = np.hypot(j - hu.shape[1] / 2.0 - rng.uniform(-8.0, 14.0), i - middle)
        arm = np.broadcast_to(far < rng.uniform(9.0, 13.0), hu.shape) & free
        hu[arm] = 20.0
        hu[arm & np.broadcast_to(far < 3.0, hu.shape)] = 500.0


def _metal(hu: Float32, rng: np.random.Generator) -> None:
    """A coil, a pacemaker, a joint: bright, with streaks across its slices."""
    body = np.argwhere(hu > -200.0)
    if not len(body):
        return
    centre = body[int(rng.integers(len(body)))]
    k, j, i = np.ogrid[tuple(slice(0, size) for size in hu.shape)]
    size = float(rng.uniform(1.0, 4.0))
    angle = np.arctan2(j - centre[1], i - centre[2])
    far = np.hypot(j - centre[1], i - centre[2])
    streaks = np.cos(int(rng.integers(3, 9)) * angle + rng.uniform(0.0, 6.0)) * np.exp(-far / 14.0)
    near = np.exp(-(((k - centre[0]) / size) ** 2))
    hu += (rng.uniform(100.0, 500.0) * streaks * near).astype(np.float32)
    hu[((k - centre[0]) ** 2 + far**2) < size**2] = 2500.0


def _scanned(hu: Float32, rng: np.random.Generator, *, is_real: bool) -> Float32:
    """Blur, noise and a scale that is a little off. Slices of 5 mm are hardly seen in voxels of 4 mm."""
    if not is_real:
        hu = ndimage.gaussian_filter(hu, (rng.uniform(0.0, 0.6), *(rng.uniform(0.0, 0.35),) * 2))
    if not is_real or rng.uniform() < 0.5:
        grain = float(rng.uniform(0.0, 0.7))
        noise = abs(float(rng.normal(0.0, 14.0)))
        hu = hu + noise_like(hu.shape, (0.5 * grain, grain, grain), noise, rng)
    gain, offset = rng.uniform(0.96, 1.04), rng.normal(0.0, 12.0)
    made: Float32 = ((hu + 1000.0) * np.float32(gain) - np.float32(1000.0 - offset)).astype(np.float32)
    return made


def _cut(hu: Float32, sides: UInt8, rng: np.random.Generator) -> None:
    """Leave a slab, and what a small field of view shows; what is not seen is no lung, and is padded."""
    if rng.uniform() < _SLAB:
        least = round(_LEAST_SLAB_MM / SPACING_MM)
        depth = int(np.exp(rng.uniform(np.log(least), np.log(hu.shape[0]))))
        first = int(rng.integers(hu.shape[0] - depth + 1))
        for values, padded in ((hu, _AIR_HU), (sides, 0)):
            values[:depth] = values[first : first + depth].copy()
            values[depth:] = padded  # as in service: at the end
    if rng.uniform() < _FIELD:
        unseen = _beyond_field(hu.shape, rng)
        hu[:, unseen], sides[:, unseen] = _AIR_HU, 0


def _beyond_field(shape: tuple[int, ...], rng: np.random.Generator) -> Bool:
    """Return what a circle or a square in the plane does not show."""
    _, high, wide = shape
    j, i = np.ogrid[0:high, 0:wide]
    y, x = j - high / 2.0 - rng.uniform(-5.0, 5.0), i - wide / 2.0 - rng.uniform(-5.0, 5.0)
    radius = rng.uniform(28.0, 50.0)
    far = np.hypot(y, x) if rng.uniform() < 0.5 else np.maximum(np.abs(y), np.abs(x))
    beyond: Bool = far > radius
    return beyond
