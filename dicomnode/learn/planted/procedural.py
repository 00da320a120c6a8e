"""Worlds of nobody: the phantom's patients before any scanner, without nodules, with what looks like one."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.learn.planted.world import SPACING_MM, World, world_from
from dicomnode.phantom.patients import bare_chest

_MARGIN_MM: Final = 22.0  # around the lungs: what a network sees of a chest in service, and the blur's reach
_HALO_MM: Final = 1.5  # around what no reader could tell from a nodule


def world_of(seed: int) -> World:
    """Draw the patient of `seed`; what no reader could tell from a nodule is to be ignored there.

    Half a minute at most; equal seeds give equal worlds.
    """
    bare = bare_chest(seed, spacing_mm=SPACING_MM, margin_mm=_MARGIN_MM)
    marks = [one for one in bare.distractors if one.ignore]
    centres = np.array([one.centre_lps_mm for one in marks], dtype=np.float64).reshape(-1, 3)
    radii = np.array([one.radius_mm + _HALO_MM for one in marks]).reshape(-1, 1) / SPACING_MM
    balls = np.concatenate([bare.grid.to_index_kji(centres), radii], axis=1) if marks else np.zeros((0, 4))
    return world_from(str(seed), bare.hu, bare.lungs > 0, balls.astype(np.float32))
