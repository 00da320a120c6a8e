"""The light record of one instance: all that grouping, placing and matching look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dicomnode.values import Fact

Triple = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One instance's header, checked: a number that is missing, empty or no finite number is None.

    spacing_ji_mm: between rows, between columns (Pixel Spacing, > 0). orientation: direction cosines of
    the row, then of the column (Image Orientation). position_lps_mm: centre of the first voxel.
    rescale: slope (not 0) and intercept. padding: lowest and highest stored value that is padding, as
    written. patient_key: hash of Patient ID and issuer, only to be compared. damage: why its pixels
    cannot be read, as far as the header shows it. tags: DICOM keyword → value, multi-valued as tuples.
    """

    path: Path
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    patient_key: str = field(default="", repr=False)
    modality: str = ""
    frame_of_reference_uid: str | None = None
    image_type: tuple[str, ...] = ()
    instance_number: int | None = None
    frames: int = 1
    samples: int = 1
    photometric: str = ""
    rows: int | None = None
    columns: int | None = None
    spacing_ji_mm: tuple[float, float] | None = None
    orientation: Orientation | None = None
    position_lps_mm: Triple | None = None
    rescale: tuple[float, float] | None = None
    padding: tuple[int, int] | None = None
    has_pixels: bool = True
    damage: str | None = None
    tags: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))

    @property
    def order(self) -> tuple[int, str, str]:
        """Sort key that does not depend on where the file lies or when it came (but for equal UIDs)."""
        number = self.instance_number
        return (number if number is not None else 2**31, self.sop_instance_uid, str(self.path))
