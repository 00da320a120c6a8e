"""Volumes of known content for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomnode.values import Grid, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD

Shape = tuple[int, int, int]
MakeVolume = Callable[..., Volume]


def affine_of(
    spacing_kji_mm: tuple[float, float, float], origin_lps_mm=(0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    """Axes along the patient's: k to the head, j to the back, i to the left."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing_kji_mm[::-1])
    affine[:3, 3] = origin_lps_mm
    return affine


@pytest.fixture
def make_grid() -> Callable[..., Grid]:
    """Make a grid from shape and spacing, or with an affine of its own."""

    def make(shape: Shape, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), affine=None) -> Grid:
        return Grid(shape, affine_of(spacing, origin) if affine is None else affine, "1.2.3.9")

    return make


@pytest.fixture
def make_volume() -> MakeVolume:
    """Make a volume of HU from an array, with spacing or an affine of its own."""

    def make(voxels: NDArray[np.generic], spacing=(1.0, 1.0, 1.0), affine=None, unit=HOUNSFIELD) -> Volume:
        count = voxels.shape[0]
        return Volume(
            voxels=voxels if voxels.dtype == np.int16 else voxels.astype(np.float32),
            affine_lps=affine_of(spacing) if affine is None else affine,
            unit=unit,
            frame_of_reference_uid="1.2.3.9",
            study_instance_uid="1.2.3.1",
            series_instance_uid="1.2.3.2",
            frames=tuple(SourceFrame(f"1.2.3.2.{k + 1}") for k in range(count)),
            headers=SourceHeaders(()),
        )

    return make
