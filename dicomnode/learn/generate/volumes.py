"""Volumes as of a CT, small and quick: a trunk with liver, spleen and spine, and lesions in the liver."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.learn.generate.drawn import LESION, Drawing, DrawnSeries, TrueClass, TrueNumber, TrueSegment
from dicomnode.learn.generate.ellipsoids import Ellipsoid, apart_from, grid_of, lesion_segments, sphere_mm
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.phantom import SeriesForm
from dicomnode.values import Code, FindingKind, Grid
from dicomnode.values.codes import MILLILITRE, PERCENT

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]

LIVER: Final = Code("10200004", "SCT", "Liver")
SPLEEN: Final = Code("78961009", "SCT", "Spleen")
VOLUME: Final = Code("118565006", "SCT", "Volume")
BURDEN: Final = Code("LESIONPART", "99DICOMNODE", "Part of organ that is lesion")

_EXTENT_MM: Final = 160.0
_SIDE: Final[dict[Size, int]] = {"small": 32, "full": 64}
_NOISE_HU: Final = 12.0
_AIR, _FAT, _LIVER_HU, _SPLEEN_HU, _BONE = -1000.0, -90.0, 105.0, 60.0, 420.0
_MOST_LESIONS: Final = 3


def draw_volume(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a case; a patient keeps his organs, each study has lesions and a place of its own."""
    grid = _grid(plan, case)
    figure = plan.stream("figure", case.patient)
    body, liver, spleen, spine = (one.inside(grid) for one in _anatomy(figure))
    liver &= body
    spleen &= body & ~liver
    rng = plan.stream("visit", case.patient, case.visit)
    lesions = _lesions(plan, grid, liver, rng) if case.sick else []
    voxels = np.full(grid.shape_kji, _AIR, dtype=np.float32)
    for where, value in ((body, _FAT), (spine & body, _BONE), (liver, _LIVER_HU), (spleen, _SPLEEN_HU)):
        voxels[where] = value
    for lesion in lesions:
        voxels[lesion] = _LIVER_HU - plan.contrast * _NOISE_HU
    voxels = ndimage.gaussian_filter(voxels, 0.4)  # partial volume at the borders
    voxels += _NOISE_HU * rng.standard_normal(voxels.shape, dtype=np.float32)
    voxels = np.rint(np.clip(voxels, -1024.0, 3071.0)).astype(np.int16)
    form = SeriesForm(description="Abdomen, phantom of ellipsoids", body_part="ABDOMEN")
    segments = (
        _organ("liver", LIVER, liver, (180, 90, 60)),
        _organ("spleen", SPLEEN, spleen, (120, 60, 160)),
    )
    numbers, row = _told(grid, liver, lesions)
    return Drawing(
        grid=grid,
        series=(DrawnSeries(voxels=voxels, form=form),),
        segments=segments + lesion_segments(lesions, grid, LIVER),
        classes=(TrueClass(label="lesion", type=LESION, present=bool(lesions)),),
        numbers=numbers,
        row=row,
    )


def _told(grid: Grid, liver: Bool, lesions: list[Bool]) -> tuple[tuple[TrueNumber, ...], dict[str, str]]:
    """Numbers of the study, and the row of the table."""
    ml = grid.voxel_mm3 / 1000.0
    liver_ml, lesion_ml = float(liver.sum()) * ml, float(sum(one.sum() for one in lesions)) * ml
    burden = 100.0 * lesion_ml / liver_ml
    largest = max((sphere_mm(one, grid) for one in lesions), default=0.0)
    numbers = (
        TrueNumber(name="liver_volume_ml", concept=VOLUME, value=liver_ml, unit=MILLILITRE),
        TrueNumber(name="burden_percent", concept=BURDEN, value=burden, unit=PERCENT),
    )
    row = {
        "lesion": str(int(bool(lesions))),
        "lesions": str(len(lesions)),
        "largest_mm": f"{largest:.2f}",
        "liver_volume_ml": f"{liver_ml:.3f}",
        "lesion_volume_ml": f"{lesion_ml:.3f}",
        "burden_percent": f"{burden:.3f}",
    }
    return numbers, row


def _organ(label: str, code: Code, mask: Bool, colour: tuple[int, int, int]) -> TrueSegment:
    return TrueSegment(label=label, kind=FindingKind.ANATOMY, type=code, mask=mask, colour_rgb=colour)


def _grid(plan: SynthPlan, case: Case) -> Grid:
    side = _SIDE[plan.size]
    return grid_of((side, side, side), _EXTENT_MM / side, plan.uid("frame of reference", str(case.number)))


def _anatomy(rng: np.random.Generator) -> tuple[Ellipsoid, Ellipsoid, Ellipsoid, Ellipsoid]:
    """Body, liver on the patient's right, spleen on his left, spine: a little other in each patient."""

    def about(*values: float, by: float) -> tuple[float, float, float]:
        x, y, z = (value + float(rng.uniform(-by, by)) for value in values)
        return x, y, z

    return (
        Ellipsoid(centre=(0.0, 0.0, 0.0), radii=about(74.0, 60.0, 130.0, by=3.0)),
        Ellipsoid(centre=about(-26.0, -6.0, 6.0, by=4.0), radii=about(38.0, 36.0, 48.0, by=4.0)),
        Ellipsoid(centre=about(44.0, 16.0, 10.0, by=3.0), radii=about(16.0, 20.0, 28.0, by=3.0)),
        Ellipsoid(centre=(0.0, 44.0, 0.0), radii=(12.0, 12.0, 200.0)),
    )


def _lesions(plan: SynthPlan, grid: Grid, organ: Bool, rng: np.random.Generator) -> list[Bool]:
    """Put one to three balls into the liver, apart from each other; at least one has a place."""
    count = int(rng.integers(1, _MOST_LESIONS + 1))
    return apart_from(grid, organ, [float(rng.uniform(*plan.lesions_mm)) / 2.0 for _ in range(count)], rng)
