"""Radiomics as a step of an engine: the row that a head takes, by the code it was trained on."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from dicomnode.analyse.algorithms.contract import Parameters, RowAlgorithm
from dicomnode.analyse.grids import Bool
from dicomnode.analyse.radiomics import BIN_WIDTH, NAMES, VERSION, TooLittleError, at_spacing, row_of_region
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Float64

_AS_PREPARED: Final = 0.0  # voxels stay as they are


def _run(image: Prepared, mask: Bool, parameters: Parameters, names: tuple[str, ...]) -> Float64 | str:
    if parameters["spacing_mm"] > _AS_PREPARED:
        image, mask = at_spacing(image, mask, parameters["spacing_mm"])
    try:
        return row_of_region(image, mask, parameters["bin_width"], names)
    except TooLittleError as error:
        return f"the region has no features: {error}"


RADIOMICS: Final = RowAlgorithm(
    name="radiomics",
    version=VERSION,
    parameters=MappingProxyType({"bin_width": BIN_WIDTH, "spacing_mm": _AS_PREPARED}),
    names=NAMES,
    package="skimage",
    needed_by="shape_",
    run=_run,
)
