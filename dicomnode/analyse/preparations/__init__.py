"""What each entry of `prepare` does to an image: one function a name, the same in training and in service.

Each takes voxels on a grid, its declaration and a progress, and gives voxels on a grid whose affine is
exact. int16 stays int16 where a step needs no fractions. Nothing given is written to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

from dicomnode.analyse.preparations import filters, geometry, regrid, scaling
from dicomnode.analyse.preparations.lines import LINES
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.engine import Preparation
from dicomnode.faults import PREPARATION_NEEDS, NodeError
from dicomnode.values import Progress


@dataclass(frozen=True, slots=True)
class PreparationStep:
    """What runs for an entry of a name. package: import name of what it needs beyond the node's own."""

    run: Callable[[Prepared, Any, Progress], Prepared]
    package: str | None = None


_SIMPLEITK: Final = "SimpleITK"
_SKIMAGE: Final = "skimage"
_INSTALLED_AS: Final = {_SIMPLEITK: "SimpleITK", _SKIMAGE: "scikit-image"}

PREPARATIONS: Final[Mapping[str, PreparationStep]] = MappingProxyType(
    {
        "orient": PreparationStep(geometry.orient),
        "resample_mm": PreparationStep(resample),
        "resample": PreparationStep(regrid.resample_as),
        "resize": PreparationStep(regrid.resize),
        "letterbox": PreparationStep(regrid.letterbox),
        "crop_foreground": PreparationStep(geometry.crop_foreground),
        "crop_centre": PreparationStep(geometry.crop_centre),
        "pad": PreparationStep(geometry.pad),
        "clip": PreparationStep(scaling.clip),
        **{name: PreparationStep(scaling.scaling(name)) for name in LINES},
        "landmarks": PreparationStep(scaling.landmarks),
        "gaussian": PreparationStep(filters.gaussian),
        "median": PreparationStep(filters.median),
        "nonlocal_means": PreparationStep(filters.nonlocal_means, _SKIMAGE),
        "curvature_flow": PreparationStep(filters.curvature_flow, _SIMPLEITK),
        "bias_field": PreparationStep(filters.bias_field, _SIMPLEITK),
        "clahe": PreparationStep(filters.clahe, _SKIMAGE),
    }
)


def check_packages(engine: str, entries: Iterable[Preparation]) -> None:
    """Refuse an engine whose `prepare` needs what is not installed: NodeError(PREPARATION_NEEDS).

    Asked when an engine is loaded, so that no study is begun that cannot be prepared; imports nothing.
    """
    wanted = {entry.name: PREPARATIONS[entry.name].package for entry in entries}
    missing = {name: one for name, one in wanted.items() if one is not None and find_spec(one) is None}
    if missing:
        packages = ", ".join(sorted({_INSTALLED_AS[one] for one in missing.values()}))
        raise NodeError(PREPARATION_NEEDS, engine=engine, steps=", ".join(missing), packages=packages)
