"""What a generated case shows and what is true of it, before it is written as DICOM.

Arrays are indexed [k, j, i]; pictures [t, j, i, c]. Lengths are mm, points LPS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom import SeriesForm
from dicomnode.values import Code, FindingKind, Grid
from dicomnode.values.colours import Rgb

ANATOMY: Final = Code("91723000", "SCT", "Anatomical Structure")
ALTERED: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION: Final = Code("52988006", "SCT", "Lesion")
NODULE: Final = Code("27925004", "SCT", "Nodule")
HEMORRHAGE: Final = Code("50960005", "SCT", "Hemorrhage")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueSegment:
    """A structure and its voxels.

    mask: bool (k, j, i) of the first series, of a picture (1, j, i); empty: known not to be there.
    """

    label: str
    kind: FindingKind
    type: Code
    mask: NDArray[np.bool_]
    colour_rgb: Rgb
    laterality: Code | None = None
    site: Code | None = None

    @property
    def category(self) -> Code:
        """Segmented Property Category (PS3.16 CID 7150)."""
        return ANATOMY if self.kind is FindingKind.ANATOMY else ALTERED


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueBox:
    """Where a lesion of a picture lies. rows, columns: half-open (first, behind the last), in pixels."""

    label: str
    type: Code
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueClass:
    """A statement on the whole study: present or absent."""

    label: str
    type: Code
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueNumber:
    """A number of the whole study, with its concept and UCUM unit."""

    name: str
    concept: Code
    value: float
    unit: Code


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnSeries:
    """A series of slices. voxels: (k, j, i), HU for CT. form: how it is written."""

    voxels: NDArray[np.generic]
    form: SeriesForm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnPicture:
    """A picture or a cine. pixels: (t, j, i, c), uint8 or uint16; c is 1 or 3. frame_ms: of a cine.

    sop_class_uid, modality: what it is written as. attributes: what its class asks for beside.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    sop_class_uid: str
    modality: str
    description: str
    frame_ms: float | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """A whole case: series on one grid, or one picture; then what is true of it.

    grid: of all series; None for a picture. row: the columns of labels.csv. Where a picture has segments, one
    of them has a pixel at least: an object without frames is none.
    """

    grid: Grid | None = None
    series: tuple[DrawnSeries, ...] = ()
    picture: DrawnPicture | None = None
    segments: tuple[TrueSegment, ...] = ()
    boxes: tuple[TrueBox, ...] = ()
    classes: tuple[TrueClass, ...] = ()
    numbers: tuple[TrueNumber, ...] = ()
    row: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.picture is None) == (not self.series) or (self.grid is None) != (not self.series):
            raise ValueError("Drawing is of one picture, or of series on a grid")
