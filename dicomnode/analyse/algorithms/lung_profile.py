"""What lungs look like as a whole, and what lies where lung should be, as a row of numbers: "lung_profile".

Radiomics describes what is within an outline. Fluid, collapse and consolidation lie outside of that of the
air, and show in what is missing: so half of these numbers are of shape, sides and the room around the lungs.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.contract import Parameters, RowAlgorithm
from dicomnode.analyse.algorithms.lung_profile_air import AIR_NAMES, air_of_lungs
from dicomnode.analyse.algorithms.lung_profile_room import ROOM_NAMES, room_of_lungs
from dicomnode.analyse.algorithms.lung_profile_sides import Sides, sides_of_mask
from dicomnode.analyse.grids import Bool
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.values import Float64

WORK_MM: Final = 2.0
NAMES: Final[tuple[str, ...]] = (*AIR_NAMES, *ROOM_NAMES)
"""In the order of a row."""

_LEAST_ML: Final = 150.0  # less is no pair of lungs


def profile_of_lungs(sides: Sides) -> dict[str, float]:
    """Return all numbers by name."""
    return air_of_lungs(sides) | room_of_lungs(sides)


def _run(image: Prepared, mask: Bool, parameters: Parameters, names: tuple[str, ...]) -> Float64 | str:
    del parameters
    work = resample(orient(image), (WORK_MM, WORK_MM, WORK_MM))
    over = resample(orient(Prepared(mask.astype(np.float32), image.grid)), (WORK_MM, WORK_MM, WORK_MM))
    lungs: Bool = np.asarray(over.voxels) > 0.5
    if float(lungs.sum()) * WORK_MM**3 / 1000.0 < _LEAST_ML:
        return f"there are less than {_LEAST_ML:g} ml of lung"
    sides = sides_of_mask(np.asarray(work.voxels, dtype=np.float32), lungs, WORK_MM)
    if sides is None:
        return "only one lung was found"
    found = profile_of_lungs(sides)
    return np.nan_to_num(np.array([found[name] for name in names], dtype=np.float64))


LUNG_PROFILE: Final = RowAlgorithm(
    name="lung_profile",
    version=1,
    parameters=MappingProxyType({}),
    names=NAMES,
    run=_run,
)
