"""What the node's own algorithms see in a world with nodules: candidates, their rows, and what is true.

The candidates are those of `blobs` and the rows those of `blob_profile`, as in service. The lungs in which
they look are what a classical outline of the true ones would be: what has air in it, closed by a ball.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.algorithms import LESION_ALGORITHMS, ROW_ALGORITHMS
from dicomnode.analyse.algorithms.shapes import chosen, closed, components
from dicomnode.analyse.grids import Bool, Float32
from dicomnode.analyse.resample import Prepared
from dicomnode.learn.drawn.kept import read_formed, taken, write_formed
from dicomnode.learn.planted.exams import Exam, Truth, exam_of
from dicomnode.learn.planted.looking import grid_of
from dicomnode.learn.planted.world import FORM, SPACING_MM, open_world
from dicomnode.phantom.patients import CHEST_VERSION
from dicomnode.values import Float64, no_progress

BLOBS: Final = LESION_ALGORITHMS["blobs"]
PROFILE: Final = ROW_ALGORITHMS["blob_profile"]
FORM_OF_ROWS: Final = f"{BLOBS.label}, {PROFILE.label}, worlds {FORM}, chests {CHEST_VERSION}, rows 1"
"""What is kept under another one is made again."""

CLOSING_MM: Final = 8.0
"""As the step `lungs` closes them."""

_COARSE: Final = 2  # voxels of a world to one of the outline
_AIR_HU: Final = -400.0
_SMALL_ML: Final = 10.0  # a piece of air that is smaller is not lung


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """An exam as a forest sees it.

    rows: float32 (candidates, names of `PROFILE`). centres_lps_mm: float64 (candidates, 3). truths: of the
    exam, without their masks.
    """

    name: str
    rows: Float32
    centres_lps_mm: Float64
    truths: tuple[Truth, ...]


def look_at(exam: Exam) -> Looked:
    """Find the candidates of an exam and measure each."""
    world = exam.world
    k, j, i = world.shape
    lungs = world.lungs_in((slice(0, k), slice(0, j), slice(0, i)))
    hu = np.asarray(exam.hu, dtype=np.float32)
    image = Prepared(hu, grid_of(world.shape))
    blobs = BLOBS.run(image, as_outlined(hu, lungs), BLOBS.parameters, no_progress)
    rows = np.zeros((len(blobs), len(PROFILE.names)), dtype=np.float32)
    mask = np.zeros(world.shape, dtype=bool)
    for number, blob in enumerate(blobs):
        there = tuple(slice(a, a + n) for a, n in zip(blob.start_kji, blob.mask.shape, strict=True))
        mask[there] = blob.mask
        rows[number] = _row(image, mask)
        mask[there] = False
    centres = [image.grid.to_lps_mm(np.array(blob.centre_kji)) for blob in blobs]
    return Looked(
        name=world.name,
        rows=rows,
        centres_lps_mm=np.array(centres, dtype=np.float64).reshape(-1, 3),
        truths=tuple(
            Truth(
                centre_lps_mm=one.centre_lps_mm,
                diameter_mm=one.diameter_mm,
                kind=one.kind,
                ignore=one.ignore,
            )
            for one in exam.truths
        ),
    )


def _row(image: Prepared, mask: Bool) -> Float64:
    row = PROFILE.run(image, mask, PROFILE.parameters, PROFILE.names)
    if isinstance(row, str):
        raise ValueError(row)  # noqa: TRY004  not a wrong type: a blob without a voxel, which there is none
    return row


def as_outlined(hu: Float32, lungs: Bool) -> Bool:
    """Return about what a classical outline of these lungs would be: their air, closed by a ball.

    On voxels of 2.5 mm: what is consolidated, or lies at the wall and is larger than the ball, stays outside.
    """
    shape = [size // _COARSE * _COARSE for size in hu.shape]
    cut = tuple(slice(0, size) for size in shape)
    air = (_coarse(lungs[cut].astype(np.float32)) >= 0.5) & (_coarse(hu[cut]) < _AIR_HU)
    labels, counts = components(air)
    voxel_ml = (SPACING_MM * _COARSE) ** 3 / 1000.0
    shut = closed(chosen(labels, counts * voxel_ml > _SMALL_ML), CLOSING_MM / (SPACING_MM * _COARSE))
    outlined = np.zeros(hu.shape, dtype=bool)
    for axis in range(3):
        shut = shut.repeat(_COARSE, axis=axis)
    outlined[cut] = shut
    return outlined


def _coarse(image: NDArray[Any]) -> Float32:
    k, j, i = (size // _COARSE for size in image.shape)
    means: Float32 = image.reshape(k, _COARSE, j, _COARSE, i, _COARSE).mean(axis=(1, 3, 5), dtype=np.float32)
    return means


@dataclass(frozen=True, slots=True)
class LookOrder:
    """An exam that is wanted: the folder of its world, where it is kept, and what it is planted from."""

    world: Path
    kept: Path
    planted: int


def make_looked(order: LookOrder) -> str:
    """Look at an exam unless it is kept already; return the file's name. NodeError(RUN_DIFFERS, …)."""
    if read_looked(order.kept) is None:
        write_looked(look_at(exam_of(taken(open_world, order.world), order.planted)), order.kept)
    return order.kept.name


def write_looked(looked: Looked, path: Path) -> None:
    """Keep it as one file, whole or not at all. Raises NodeError(RUN_NOT_WRITTEN)."""
    truths = [(*one.centre_lps_mm, one.diameter_mm, one.ignore) for one in looked.truths]
    arrays = {
        "name": np.array(looked.name),
        "rows": looked.rows,
        "centres": looked.centres_lps_mm,
        "truths": np.array(truths, dtype=np.float64),
        "kinds": np.array([one.kind or "" for one in looked.truths], dtype=np.str_),
    }
    write_formed(path, FORM_OF_ROWS, arrays)


def read_looked(path: Path) -> Looked | None:
    """Return what is kept; None: there is none of this form."""
    return read_formed(path, FORM_OF_ROWS, _looked)


def _looked(kept: Mapping[str, NDArray[Any]]) -> Looked:
    return Looked(
        name=str(kept["name"]),
        rows=kept["rows"],
        centres_lps_mm=kept["centres"],
        truths=tuple(_truths(kept["truths"].reshape(-1, 5), [str(one) for one in kept["kinds"]])),
    )


def _truths(table: NDArray[np.float64], kinds: Sequence[Any]) -> list[Truth]:
    return [
        Truth(
            centre_lps_mm=(float(x), float(y), float(z)),
            diameter_mm=float(diameter),
            kind=kind or None,
            ignore=bool(ignore),
        )
        for (x, y, z, diameter, ignore), kind in zip(table, kinds, strict=True)
    ]
