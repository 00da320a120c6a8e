"""The shadows of a patient, drawn once and kept: frontal and lateral ones, and slices that are no radiograph.

A seed is a patient. What a film, a detector or a technician does to a shadow is drawn later (`films`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.drawn.kept import read_arrays, write_arrays
from dicomnode.phantom.patients import CHEST_VERSION, BareChest, bare_chest
from dicomnode.phantom.projection import MARGIN_MM, PROJECTION_VERSION, SIDE, Detector, Pose, shadow_of
from dicomnode.phantom.streams import stream
from dicomnode.values import Progress, no_progress

DRAWING: Final = "drawing patients"
SPACING_MM: Final = 2.0
FRONTAL: Final = 3
"""Frontal shadows of a patient come first, lateral ones behind them."""

_DETECTORS: Final[tuple[Detector, ...]] = ("front", "front", "back", "left", "right")
_TURNED_DEG: Final = 10.0  # at most, to either side
_FOCUS_MM: Final = {"front": (1500.0, 2000.0), "back": (1000.0, 1300.0)}
_SLICES: Final = 3  # axial ones, in the middle part of the lungs
_STORED: Final = np.float16
_KEPT: Final = ("soft_mm", "bone_mm", "slices")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patient:
    """What is kept of a patient.

    soft_mm, bone_mm: float16 (views, SIDE, SIDE), see `Shadow`; lungs: bool, likewise. slices: float16
    (n, SIDE, SIDE) HU, axial.
    """

    seed: int
    soft_mm: NDArray[np.float16]
    bone_mm: NDArray[np.float16]
    lungs: NDArray[np.bool_]
    slices: NDArray[np.float16]

    @property
    def views(self) -> int:
        """How many shadows there are."""
        return len(self.soft_mm)


def poses_of(seed: int) -> tuple[Pose, ...]:
    """Draw how a patient stands in each of his views."""
    rng = stream(seed, "views")
    poses = []
    for detector in _DETECTORS:
        low, high = _FOCUS_MM.get(detector, _FOCUS_MM["front"])
        turned, focus = float(rng.uniform(-_TURNED_DEG, _TURNED_DEG)), float(rng.uniform(low, high))
        poses.append(Pose(detector=detector, turned_deg=turned, focus_mm=focus))
    return tuple(poses)


def draw_patient(seed: int) -> Patient:
    """Draw a patient and his views: about five seconds of a core."""
    chest = bare_chest(seed, spacing_mm=SPACING_MM, margin_mm=MARGIN_MM)
    shadows = [shadow_of(chest, pose) for pose in poses_of(seed)]
    return Patient(
        seed=seed,
        soft_mm=np.stack([one.soft_mm for one in shadows]).astype(_STORED),
        bone_mm=np.stack([one.bone_mm for one in shadows]).astype(_STORED),
        lungs=np.stack([one.lungs for one in shadows]),
        slices=_slices(chest),
    )


def _slices(chest: BareChest) -> NDArray[np.float16]:
    """Take axial slices, cut or filled up to SIDE."""
    rng = stream(chest.seed, "slices")
    depth = len(chest.hu)
    taken = sorted(rng.choice(np.arange(depth // 4, 3 * depth // 4), _SLICES, replace=False).tolist())
    slices = np.full((_SLICES, SIDE, SIDE), -1000.0, dtype=np.float32)
    j, i = (min(n, SIDE) for n in chest.hu.shape[1:])
    top, left = (SIDE - j) // 2, (SIDE - i) // 2
    slices[:, top : top + j, left : left + i] = chest.hu[taken, :j, :i]
    return slices.astype(_STORED)


# ── kept ──


def kept_patient(seed: int, folder: Path) -> Patient:
    """Read a patient, or draw him and keep him. Raises NodeError(RUN_NOT_WRITTEN)."""
    path = folder / f"{seed}-{CHEST_VERSION}-{PROJECTION_VERSION}.npz"
    kept = _read(seed, path)
    if kept is not None:
        return kept
    patient = draw_patient(seed)
    arrays = {name: getattr(patient, name) for name in _KEPT}
    write_arrays(path, arrays | {"lungs": np.packbits(patient.lungs)})
    return patient


def _read(seed: int, path: Path) -> Patient | None:
    """Read what was kept; None where nothing was, or it is damaged: then it is drawn again."""
    kept = read_arrays(path)
    if kept is None or not {*_KEPT, "lungs"} <= kept.keys():
        return None
    soft = kept["soft_mm"]
    lungs = np.unpackbits(kept["lungs"], count=soft.size).reshape(soft.shape).astype(bool)
    return Patient(seed=seed, lungs=lungs, **{name: kept[name] for name in _KEPT})


def kept_patients(seeds: range, folder: Path, progress: Progress = no_progress) -> list[Patient]:
    """Read or draw all of them. Raises NodeError(RUN_NOT_WRITTEN)."""
    patients = []
    for number, seed in enumerate(seeds, start=1):
        patients.append(kept_patient(seed, folder))
        progress(DRAWING, number, len(seeds))
    return patients
