"""A volume: voxels on a grid in patient space, and where each slice of it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.values.codes import Code
from dicomnode.values.geometry import Float64, Grid, read_only


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """Where one slice of a volume came from; frame_number is 1-based in a multi-frame object, else None."""

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True)
class SourceHeaders:
    """Headers of the source instances without pixel data: all that `report` needs of them.

    encoded: one Part 10 file a source instance (not one a frame), Explicit VR Little Endian, in the order in
    which the slices first name them.
    They travel with the Findings, so results can be written again when the images are long gone.
    """

    encoded: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was mended on the way from files to a volume, in words and numbers."""

    kind: str  # a word: "rescale", "padding", "duplicate", "jitter" …
    text: str  # a sentence that names what was found and what was done


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels in patient space.

    voxels: (k, j, i), float32 or int16, in `unit`, after rescale; read-only.
    affine_lps: float64 (4, 4), index (i, j, k, 1) → LPS mm.
    frames: one a slice, k ascending along the normal; results go back on these.
    Raises ValueError on another dtype or rank, or when frames and slices differ in number.
    """

    voxels: NDArray[np.float32] | NDArray[np.int16]
    affine_lps: Float64
    unit: Code
    frame_of_reference_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frames: tuple[SourceFrame, ...]
    headers: SourceHeaders
    repairs: tuple[Repair, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or self.voxels.dtype not in (np.float32, np.int16):
            raise ValueError(
                "Volume.voxels must be (k, j, i) of float32 or int16, "
                f"got {self.voxels.ndim} axes of {self.voxels.dtype}"
            )
        if len(self.frames) != self.voxels.shape[0]:
            raise ValueError(
                f"Volume.frames must name each of {self.voxels.shape[0]} slices, got {len(self.frames)}"
            )
        read_only(self.voxels)
        object.__setattr__(self, "affine_lps", self.grid.affine_lps)

    @property
    def grid(self) -> Grid:
        """The grid that the voxels lie on."""
        k, j, i = self.voxels.shape
        return Grid((k, j, i), self.affine_lps, self.frame_of_reference_uid)
