"""Tiny studies with known truth: a bright organ in dark tissue, with SEG, learned in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.learn.generate.drawn import TrueSegment
from dicomnode.learn.generate.segmentation import build_segmentation
from dicomnode.phantom import SeriesForm, write_series
from dicomnode.values import Code, FindingKind, Grid, derive_uid

SHAPE = (8, 24, 24)
MM = 4.0
ORGAN = Code("10200004", "SCT", "Liver")
SPOT = Code("52988006", "SCT", "Lesion")
FORM = SeriesForm(body_part="LIVER", description="Small study")


def grid_of(seed: int, shape: Sequence[int] = SHAPE) -> Grid:
    k, j, i = shape
    affine = np.diag([MM, MM, MM, 1.0])
    affine[:3, 3] = (-MM * i / 2, -MM * j / 2, seed % 7)
    return Grid((k, j, i), affine, derive_uid(b"small", str(seed)))


def ball(shape: Sequence[int], centre: Sequence[float], radius: Sequence[float]) -> np.ndarray:
    places = np.indices(tuple(shape)).astype(float)
    apart = [(places[a] - centre[a]) / radius[a] for a in range(3)]
    return sum(one**2 for one in apart) <= 1.0


def organ_of(seed: int, shape: Sequence[int] = SHAPE) -> np.ndarray:
    draw = np.random.default_rng([seed, 1])
    centre = [n / 2 + draw.uniform(-2, 2) * (n > 8) for n in shape]
    return ball(shape, centre, [n * draw.uniform(0.25, 0.35) for n in shape])


def spot_of(seed: int, shape: Sequence[int] = SHAPE) -> np.ndarray:
    draw = np.random.default_rng([seed, 2])
    inside = np.argwhere(organ_of(seed, shape))
    return ball(shape, inside[int(draw.integers(len(inside)))], (2.0, 2.5, 2.5))


def voxels_of(seed: int, shape: Sequence[int] = SHAPE, *, spotted: bool = False) -> np.ndarray:
    draw = np.random.default_rng([seed, 3])
    values = np.where(organ_of(seed, shape), 80.0, -80.0)
    if spotted:
        values[spot_of(seed, shape)] = 300.0
    return np.rint(values + draw.normal(0.0, 15.0, values.shape))


def write_study(
    folder: Path,
    seed: int,
    *,
    shape: Sequence[int] = SHAPE,
    spotted: bool = False,
    outlines: Sequence[str] = ("organ",),
    shift: float = 0.0,
) -> Path:
    """Write the series, and a SEG with these outlines: "organ", "spot", or "no spot" (it is not there)."""
    place = folder / f"study-{seed}"
    grid = grid_of(seed, shape)
    paths = write_series(voxels_of(seed, shape, spotted=spotted) + shift, grid, place, seed=seed, form=FORM)
    if not outlines:
        return place
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    made = build_segmentation(
        images,
        [_segment(name, seed, shape) for name in outlines],
        lambda part: derive_uid(b"seg", str(seed), part),
    )
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(place / "seg.dcm", enforce_file_format=True)
    return place


def _segment(name: str, seed: int, shape: Sequence[int]) -> TrueSegment:
    if name == "organ":
        return TrueSegment(
            label="liver",
            kind=FindingKind.ANATOMY,
            type=ORGAN,
            mask=organ_of(seed, shape),
            colour_rgb=(1, 2, 3),
        )
    mask = spot_of(seed, shape) if name == "spot" else np.zeros(tuple(shape), dtype=bool)
    return TrueSegment(label="lesion 1", kind=FindingKind.LESION, type=SPOT, mask=mask, colour_rgb=(9, 2, 3))
