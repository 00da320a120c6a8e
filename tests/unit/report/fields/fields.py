"""Findings with maps and derived images on synthetic CT, MR and PET series, and the objects made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.uid import MRImageStorage, PositronEmissionTomographyImageStorage

from dicomnode.report.fields.derived_images import build_derived_images
from dicomnode.report.fields.parametric_maps import build_parametric_maps
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity
from dicomnode.report.uids import ResultUids
from dicomnode.store.foreign import strict
from dicomnode.values import Code, DerivedImage, Findings, Grid, ScalarMap
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT, SUV_BODY_WEIGHT
from tests.unit.report.sources import SALT, Series, findings

PROBABILITY = Code("122157", "DCM", "Probability")
SMOOTHING = Code("113087", "DCM", "Smoothing")
MR = {
    "Modality": "MR",
    "SOPClassUID": MRImageStorage,
    "ScanningSequence": "SE",
    "SequenceVariant": "SK",
    "ScanOptions": "",
    "RepetitionTime": "500",
    "EchoTime": "12",
    "EchoTrainLength": "1",
    "MRAcquisitionType": "2D",
}
PET = {
    "Modality": "PT",
    "SOPClassUID": PositronEmissionTomographyImageStorage,
    "Units": "BQML",
    "CountsSource": "EMISSION",
    "SeriesType": ["WHOLE BODY", "IMAGE"],
    "DecayCorrection": "START",
    "CorrectedImage": ["DECY", "ATTN"],
    "FrameReferenceTime": "1500",
    "ActualFrameDuration": "120000",
    "DecayFactor": "1.02",
}
# Source, unit of the image, and how its values (from 0 to 1) become numbers in it
SOURCES: dict[str, tuple[dict[str, object], Code, float, float]] = {
    "CT": ({}, HOUNSFIELD, 2500.0, -1024.0),
    "MR": (MR, NO_UNIT, 3000.0, -20.0),
    "PT": (PET, SUV_BODY_WEIGHT, 17.5, 0.0),
}


def values_on(grid: Grid) -> np.ndarray:
    """float32 (k, j, i) from 0 to 1, of patient space alone, without a symmetry."""
    k, j, i = np.indices(grid.shape_kji, dtype=np.float64)
    x, y, z = np.moveaxis(grid.to_lps_mm(np.stack((k, j, i), axis=-1)), -1, 0)
    values = np.sin(0.31 * x) * np.cos(0.17 * y + 1.0) + 0.02 * z + 0.011 * x
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
    return values.astype(np.float32)


def coarser(grid: Grid) -> Grid:
    """The slices of `grid`, with larger pixels."""
    affine = grid.affine_lps.copy()
    affine[:3, 3] = grid.to_lps_mm((0, 0.5, 1.0))
    affine[:3, 0] *= 3.0
    affine[:3, 1] *= 2.0
    count, rows, columns = grid.shape_kji
    return Grid((count, rows // 2, columns // 3), affine, grid.frame_of_reference_uid)


def finer(grid: Grid) -> Grid:
    """Twice as many slices, every other one of `grid`."""
    affine = grid.affine_lps.copy()
    affine[:3, 2] /= 2.0
    count, rows, columns = grid.shape_kji
    return Grid((2 * count - 1, rows, columns), affine, grid.frame_of_reference_uid)


def across(grid: Grid) -> Grid:
    """Planes that cut through all slices of `grid`, upright ones: its rows, seen from the side."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = grid.affine_lps[:3, 0], grid.normal_lps * grid.slice_distance_mm
    affine[:3, 2], affine[:3, 3] = grid.affine_lps[:3, 1], grid.affine_lps[:3, 3]
    count, rows, columns = grid.shape_kji
    return Grid((rows, count, columns), affine, grid.frame_of_reference_uid)


GRIDS: dict[str, Callable[[Grid], Grid]] = {
    "its own": lambda grid: grid,
    "coarser": coarser,
    "finer": finer,
    "across": across,
}


def a_map(grid: Grid, **changes: object) -> ScalarMap:
    one = ScalarMap(
        label="nodule-heat",
        type=PROBABILITY,
        unit=NO_UNIT,
        values=values_on(grid),
        grid=grid,
        algorithm="nodules 1",
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def an_image(
    grid: Grid, unit: Code = HOUNSFIELD, scale: float = 2500.0, low: float = -1024.0
) -> DerivedImage:
    return DerivedImage(
        label="clean",
        description="Noise reduced",
        unit=unit,
        values=(values_on(grid) * np.float32(scale) + np.float32(low)).astype(np.float32),
        grid=grid,
        algorithm="denoise 2",
        type=SMOOTHING,
    )


def grid_of(series: Series) -> Grid:
    grid = series.source().grid
    assert grid is not None
    return grid


def with_map(series: Series, onto: str = "its own", **changes: object) -> Findings:
    grid = GRIDS[onto](grid_of(series))
    return findings(series, segments=(), maps=(a_map(grid, **changes),))


def with_image(kind: str = "CT", plane: str = "axial", onto: str = "its own", **extra: object) -> Findings:
    more, unit, scale, low = SOURCES[kind]
    series = Series(plane=plane, extra={**more, **extra})
    return findings(series, segments=(), images=(an_image(GRIDS[onto](grid_of(series)), unit, scale, low),))


def imprint_of(found: Findings, *, for_a_look: bool = False) -> Imprint:
    return Imprint(found, read_heading(found, "ISO_IR 100"), SALT, for_a_look)


def maps_of(found: Findings) -> tuple[Dataset, ...]:
    """The maps of some findings, finished as they are for an archive."""
    imprint, uids = imprint_of(found), ResultUids.of(found, SALT, "PM", "float")
    with strict():
        made = build_parametric_maps(imprint, uids, 9004)
    for one in made:
        apply_identity(one, imprint, uids, "PM")
    return made


def images_of(found: Findings, *, for_a_look: bool = False) -> tuple[Dataset, ...]:
    """The first derived image of some findings, finished as it is for an archive."""
    imprint, uids = imprint_of(found, for_a_look=for_a_look), ResultUids.of(found, SALT, "IMAGES", "clean")
    with strict():
        made = build_derived_images(imprint, uids, 9005, found.images[0])
    for one in made:
        apply_identity(one, imprint, uids, "IMAGES")
    return made
