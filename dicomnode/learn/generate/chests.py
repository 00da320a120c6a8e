"""Chest CT with nodules: the thorax of the phantom room, which is the slow and the lifelike one."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.generate.drawn import NODULE, Drawing, DrawnSeries, TrueClass, TrueNumber, TrueSegment
from dicomnode.learn.generate.plan import Case, SynthPlan
from dicomnode.phantom import PlantedNodule, Scanner, SeriesForm, Thorax, thorax
from dicomnode.values import Code, FindingKind, Grid
from dicomnode.values.codes import LEFT, MILLILITRE, RIGHT

LUNG: Final = Code("39607008", "SCT", "Lung")
VOLUME: Final = Code("118565006", "SCT", "Volume")
_DIFFERENCE_HU: Final = 884.0  # of a solid nodule and the lung around it
_GROWTH: Final = 1.1  # of a diameter, from visit to visit
_OWN_NOISE_HU: Final = 6.0  # of each study, beside that of its patient


def draw_chest(plan: SynthPlan, case: Case) -> Drawing:
    """Draw a chest; who comes again has the same chest, and nodules that grew."""
    seed = int(plan.stream("figure", case.patient).integers(2**31))
    chest = _chest(plan, case, seed)
    noise = plan.stream("visit", case.patient, case.visit).standard_normal(
        chest.voxels.shape, dtype=np.float32
    )
    voxels = np.clip(np.rint(chest.voxels + _OWN_NOISE_HU * noise), -1024, 3071).astype(np.int16)
    affine = chest.grid.affine_lps
    grid = Grid(chest.grid.shape_kji, affine, plan.uid("frame of reference", str(case.number)))
    return Drawing(
        grid=grid,
        series=(DrawnSeries(voxels=voxels, form=SeriesForm(description="Chest, phantom")),),
        segments=(
            _lung("lung-right", RIGHT, chest.lung_right.to_array()),
            _lung("lung-left", LEFT, chest.lung_left.to_array()),
            *_nodules(chest.nodules, grid),
        ),
        classes=(TrueClass(label="nodule", type=NODULE, present=bool(chest.nodules)),),
        numbers=(
            TrueNumber(name="lungs_volume_ml", concept=VOLUME, value=_lungs_ml(chest), unit=MILLILITRE),
        ),
        row=_row(chest),
    )


def _chest(plan: SynthPlan, case: Case, seed: int) -> Thorax:
    """Draw it, and once more without the nodules that are too small."""
    scanner = Scanner(noise_hu=_DIFFERENCE_HU / plan.contrast)
    grown = {f"nodule-{n}": _GROWTH ** (case.visit - 1) for n in range(1, 5)}
    chest = thorax(seed, plan.size, nodules=case.sick, scaled=grown, scanner=scanner)
    small = [one.label for one in chest.nodules if one.diameter_mm < plan.without_below_mm]
    if not small:
        return chest
    return thorax(seed, plan.size, scaled=grown | dict.fromkeys(small, 0.0), scanner=scanner)


def _lungs_ml(chest: Thorax) -> float:
    return (chest.lung_right.count + chest.lung_left.count) * chest.grid.voxel_mm3 / 1000.0


def _row(chest: Thorax) -> dict[str, str]:
    return {
        "nodule": str(int(bool(chest.nodules))),
        "nodules": str(len(chest.nodules)),
        "largest_mm": f"{max((one.diameter_mm for one in chest.nodules), default=0.0):.2f}",
        "lungs_volume_ml": f"{_lungs_ml(chest):.3f}",
    }


def _lung(label: str, side: Code, mask: NDArray[np.bool_]) -> TrueSegment:
    colour = (102, 170, 255) if side == RIGHT else (102, 220, 190)
    return TrueSegment(
        label=label, kind=FindingKind.ANATOMY, type=LUNG, mask=mask, colour_rgb=colour, laterality=side
    )


def _nodules(planted: tuple[PlantedNodule, ...], grid: Grid) -> tuple[TrueSegment, ...]:
    """A segment a nodule; an empty one where there is none."""
    masks = [(one.label, one.mask.to_array(), one.side) for one in planted]
    masks = masks or [("nodule", np.zeros(grid.shape_kji, dtype=bool), "")]
    return tuple(
        TrueSegment(
            label=label,
            kind=FindingKind.LESION,
            type=NODULE,
            mask=mask,
            colour_rgb=(255, 160, 0),
            site=LUNG,
            laterality={"right": RIGHT, "left": LEFT}.get(side),
        )
        for label, mask, side in masks
    )
