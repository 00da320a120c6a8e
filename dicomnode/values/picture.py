"""A picture: frames of pixels that are no slices of the patient, from a radiograph to a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.values.geometry import Grid, read_only
from dicomnode.values.volume import Repair, SourceFrame, SourceHeaders

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]

_DTYPES: Final = (np.uint8, np.uint16, np.float32)
_CHANNELS: Final = (1, 3)  # grey; red, green, blue


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePlane:
    """What is known of where the pixels of a picture lie; it has no place in patient space.

    spacing_ji_mm: between rows, between columns, in mm of the patient; None where nothing says it, or nothing
    that holds for the whole picture.
    frame_times_ms: of each frame, from the first one on, ascending; empty where they are not known.
    view: "CC", "MLO", "PA", "LATERAL" … laterality: "L", "R", "B".
    toward: the letters of Patient Orientation (0020,0020): where rows run to, where columns run to ("A",
    "F"); None where it is not said.
    Raises ValueError for a spacing that is not above 0, or times that go back.
    """

    spacing_ji_mm: tuple[float, float] | None = None
    frame_times_ms: tuple[float, ...] = ()
    view: str | None = None
    laterality: str | None = None
    toward: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.spacing_ji_mm is not None and not all(0 < one < float("inf") for one in self.spacing_ji_mm):
            raise ValueError(f"PicturePlane.spacing_ji_mm must be > 0 mm, got {self.spacing_ji_mm!r}")
        times = self.frame_times_ms
        if not all(0 <= one < float("inf") for one in times) or list(times) != sorted(times):
            raise ValueError("PicturePlane.frame_times_ms must be finite, not below 0 and ascending")

    def grid(self, shape_tji: tuple[int, int, int]) -> Grid:
        """Return the grid of the pixels: i and j in mm from the centre of the first pixel, else in pixels.

        k counts frames. It lies in no Frame of Reference: x is along a row, y down a column.
        """
        row_mm, column_mm = self.spacing_ji_mm or (1.0, 1.0)
        return Grid(shape_tji, np.diag([column_mm, row_mm, 1.0, 1.0]), "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """Pixels as they are meant to be seen, before any window of a display.

    frames: (t, j, i, c), uint8, uint16 or float32; c is 1 (grey, brighter is more) or 3 (red, green, blue);
    read-only. sources: one a frame; results go back on these. repairs: what was found out or mended.
    Raises ValueError on another dtype or rank, or where frames and sources or times differ in number.
    """

    frames: Pixels
    plane: PicturePlane
    study_instance_uid: str
    series_instance_uid: str
    sources: tuple[SourceFrame, ...]
    headers: SourceHeaders
    repairs: tuple[Repair, ...] = ()

    def __post_init__(self) -> None:
        shape = self.frames.shape
        if len(shape) != 4 or shape[3] not in _CHANNELS or self.frames.dtype not in _DTYPES:
            raise ValueError(
                "Picture.frames must be (t, j, i, 1 or 3) of uint8, uint16 or float32, "
                f"got {shape} of {self.frames.dtype}"
            )
        if len(self.sources) != shape[0]:
            raise ValueError(f"Picture.sources must name each of {shape[0]} frames, got {len(self.sources)}")
        times = self.plane.frame_times_ms
        if times and len(times) != shape[0]:
            raise ValueError(f"Picture: {len(times)} times for {shape[0]} frames")
        read_only(self.frames)

    @property
    def is_colour(self) -> bool:
        """Tell whether there are red, green and blue."""
        return bool(self.frames.shape[3] == 3)

    @property
    def grid(self) -> Grid:
        """The grid of the pixels, see `PicturePlane.grid`."""
        t, j, i, _ = self.frames.shape
        return self.plane.grid((t, j, i))
