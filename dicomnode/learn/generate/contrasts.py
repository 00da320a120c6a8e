"""Two contrasts of one head, as of an MR: what is to be found shows only where both are looked at.

A cyst is dark in the first and bright in the second contrast; a lesion looks like its surroundings in the
first and like a cyst in the second. Every head has two spots: two cysts, or a cyst and a lesion. The
ventricles grow with a number that is to be regressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.learn.generate.drawn import LESION, Drawing, DrawnSeries, TrueClass, TrueNumber, TrueSegment
from dicomnode.learn.generate.ellipsoids import Ellipsoid, apart_from, grid_of, lesion_segments
from dicomnode.learn.generate.plan import Case, Size, SynthPlan
from dicomnode.phantom import SeriesForm
from dicomnode.values import Code, FindingKind, Grid
from dicomnode.values.codes import PERCENT

Bool = NDArray[np.bool_]

BRAIN: Final = Code("12738006", "SCT", "Brain")
VENTRICLE: Final = Code("35764002", "SCT", "Brain ventricle")
YEAR: Final = Code("a", "UCUM", "year")
AGE: Final = Code("DRAWNAGE", "99DICOMNODE", "Age that a head was drawn for")
VENTRICLE_PART: Final = Code("VENTRICLEPART", "99DICOMNODE", "Part of brain that is ventricle")

_SHAPES: Final[dict[Size, tuple[int, int, int]]] = {"small": (24, 32, 32), "full": (48, 64, 64)}
_EXTENT_MM: Final = 192.0  # along rows and columns; 144 mm along the body
_NOISE: Final = 25.0
_YEARS_APART: Final = 0.33  # 120 days between the visits
# Air, skull, brain, liquor in the first contrast and in the second
_VALUES: Final = ((0.0, 500.0, 420.0, 120.0), (0.0, 150.0, 260.0, 620.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """Where everything of a head is: bool (k, j, i) each. age: in years, that it was drawn for."""

    age: float
    skull: Bool
    brain: Bool
    ventricles: Bool
    lesions: list[Bool]
    cysts: list[Bool]


def draw_head(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a head in both contrasts, on one grid."""
    shape = _SHAPES[plan.size]
    grid = grid_of(shape, _EXTENT_MM / shape[2], plan.uid("frame of reference", str(case.number)))
    rng = plan.stream("visit", case.patient, case.visit)
    head = _head(plan, case, grid, rng)
    part = 100.0 * float(head.ventricles.sum()) / float(head.brain.sum())
    return Drawing(
        grid=grid,
        series=tuple(_contrast(plan, head, number, rng) for number in (1, 2)),
        segments=(
            _organ("brain", BRAIN, head.brain, (150, 150, 220)),
            _organ("ventricles", VENTRICLE, head.ventricles, (80, 200, 220)),
            *lesion_segments(head.lesions, grid, BRAIN),
        ),
        classes=(TrueClass(label="lesion", type=LESION, present=bool(head.lesions)),),
        numbers=(
            TrueNumber(name="age_years", concept=AGE, value=head.age, unit=YEAR),
            TrueNumber(name="ventricle_percent", concept=VENTRICLE_PART, value=part, unit=PERCENT),
        ),
        row={
            "lesion": str(int(bool(head.lesions))),
            "age_years": f"{head.age:.3f}",
            "ventricle_percent": f"{part:.3f}",
        },
    )


def _head(plan: SynthPlan, case: Case, grid: Grid, rng: np.random.Generator) -> _Head:
    figure = plan.stream("figure", case.patient)
    age = float(figure.uniform(20.0, 80.0)) + _YEARS_APART * (case.visit - 1)
    size = float(figure.uniform(0.94, 1.06))
    skull, brain = (_ball(size * wide, grid) for wide in (1.08, 1.0))
    ventricles = (_ventricle(-1.0, age, size, grid) | _ventricle(1.0, age, size, grid)) & brain
    spots = _spots(plan, grid, brain & ~ventricles, rng)
    lesions = spots[:1] if case.sick else []
    return _Head(age, skull, brain, ventricles, lesions, spots[len(lesions) :])


def _contrast(plan: SynthPlan, head: _Head, number: int, rng: np.random.Generator) -> DrawnSeries:
    """Draw the first or the second contrast; the noise of magnitudes is Rician."""
    air, skull, brain, liquor = _VALUES[number - 1]
    voxels = np.full(head.brain.shape, air, dtype=np.float64)
    for where, value in ((head.skull, skull), (head.brain, brain), (head.ventricles, liquor)):
        voxels[where] = value
    sign = 1.0 if number == 2 else -1.0
    for cyst in head.cysts:
        voxels[cyst] = brain + sign * plan.contrast * _NOISE
    for lesion in head.lesions if number == 2 else []:
        voxels[lesion] = brain + plan.contrast * _NOISE
    voxels = ndimage.gaussian_filter(voxels, 0.4)
    noise = _NOISE * rng.standard_normal((2, *voxels.shape))
    voxels = np.hypot(voxels + noise[0], noise[1])
    form = SeriesForm(
        modality="MR", series_number=number + 1, description=_NAMES[number - 1], body_part="HEAD"
    )
    return DrawnSeries(voxels=np.rint(voxels).astype(np.int16), form=form)


_NAMES: Final = ("Head, like T1, phantom", "Head, like T2, phantom")


def _ball(size: float, grid: Grid) -> Bool:
    return Ellipsoid(centre=(0.0, 0.0, 0.0), radii=(66.0 * size, 80.0 * size, 62.0 * size)).inside(grid)


def _ventricle(side: float, age: float, size: float, grid: Grid) -> Bool:
    """The lateral ventricle of one side: as wide as its owner is old."""
    wide = (5.0 + 0.13 * age) * size
    return Ellipsoid(centre=(side * 14.0 * size, -2.0, 4.0), radii=(wide, 34.0 * size, 20.0 * size)).inside(
        grid
    )


def _spots(plan: SynthPlan, grid: Grid, tissue: Bool, rng: np.random.Generator) -> list[Bool]:
    """Two balls in the tissue, apart from each other."""
    return apart_from(grid, tissue, [float(rng.uniform(*plan.lesions_mm)) / 2.0 for _ in range(2)], rng)


def _organ(label: str, code: Code, mask: Bool, colour: tuple[int, int, int]) -> TrueSegment:
    return TrueSegment(label=label, kind=FindingKind.ANATOMY, type=code, mask=mask, colour_rgb=colour)
