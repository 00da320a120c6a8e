"""Numbers that an engine found and that no outline holds: maps, volumes, vectors, scores of slices.

Arrays are read-only. Maps and volumes lie on a grid of their own, in the patient space of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.values.codes import Code
from dicomnode.values.geometry import Grid, read_only
from dicomnode.values.volume import SourceFrame

Float32 = NDArray[np.float32]


def _field(name: str, values: Float32, grid: Grid) -> None:
    """Check that an array lies on its grid, and protect it."""
    if values.dtype != np.float32 or values.shape != grid.shape_kji:
        raise ValueError(f"{name} must be float32 of {grid.shape_kji}, got {values.dtype} of {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must hold finite numbers only")
    read_only(values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalarMap:
    """A number for each voxel: probability, heat, reconstruction error.

    label: unique among the maps of the Findings. type: the quantity. values: float32 (k, j, i) in `unit`,
    finite, on `grid`. algorithm: the step that made it.
    """

    label: str
    type: Code
    unit: Code
    values: Float32
    grid: Grid
    algorithm: str

    def __post_init__(self) -> None:
        _field("ScalarMap.values", self.values, self.grid)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DerivedImage:
    """A volume made of the source: denoised, enhanced, super-resolved. It never replaces the source.

    values: float32 (k, j, i) in `unit`, finite, on `grid`. description: what was done, for people. type: the
    same as a code (CID 7203), where there is one.
    """

    label: str
    description: str
    unit: Code
    values: Float32
    grid: Grid
    algorithm: str
    type: Code | None = None

    def __post_init__(self) -> None:
        _field("DerivedImage.values", self.values, self.grid)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureVector:
    """Features of the study, as a network made them: names, and as many float32 values (n,)."""

    label: str
    names: tuple[str, ...]
    values: Float32
    algorithm: str

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.shape != (len(self.names),):
            raise ValueError(
                f"FeatureVector.values must be float32 of ({len(self.names)},), "
                f"got {self.values.dtype} of {self.values.shape}"
            )
        if not np.isfinite(self.values).all():
            raise ValueError("FeatureVector.values must hold finite numbers only")
        read_only(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """The probability (0 … 1) of a class in one slice or frame.

    label, type: of the class, as in its Classification. k: of the slice in the source grid.
    """

    label: str
    type: Code
    frame: SourceFrame
    k: int
    score: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"FrameScore.score must be 0 to 1, got {self.score!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassProbability:
    """One of the classes that a Classification was chosen from, with its probability (0 … 1)."""

    label: str
    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"ClassProbability.probability must be 0 to 1, got {self.probability!r}")
