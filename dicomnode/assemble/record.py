"""The light record of one instance: all that grouping, placing and matching look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dicomnode.assemble.persons import PersonKeys
from dicomnode.assemble.picture_facts import PictureFacts
from dicomnode.assemble.suv import PetFacts
from dicomnode.values import Code, Fact, SourceFrame

Triple = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class RealWorld:
    """A linear Real World Value Mapping (PS3.3 C.7.6.16.2.11): from stored values to values in a unit."""

    slope: float
    intercept: float
    unit: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The header of one image, checked: a number that is missing, empty or no finite number is None.

    An image is an instance, or one frame of a multi-frame instance whose frames have a place of their own.
    frame_number: of the frame, counted from 1; None for an instance that is taken as a whole. frames: that
    the instance has.
    spacing_ji_mm: between rows, between columns (Pixel Spacing, > 0). orientation: direction cosines of
    the row, then of the column (Image Orientation). position_lps_mm: centre of the first voxel. rescale:
    slope (not 0) and intercept. lacks_intercept: it has a slope alone, and 0 was read for the intercept.
    mappings: linear Real World Value Mappings. pet: of a PET image what its
    unit depends on. picture: of a picture what is known of its plane. padding: lowest and highest stored
    value that is padding, as written. patient_key: hash of Patient ID, person_keys: of what else says who it
    is, only to be compared.
    damage: why its pixels cannot be read, as far as the header shows it. tags: DICOM keyword → value,
    multi-valued as tuples.
    """

    path: Path
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    patient_key: str = field(default="", repr=False)
    person_keys: PersonKeys = field(default=PersonKeys(), repr=False)
    modality: str = ""
    frame_of_reference_uid: str | None = None
    image_type: tuple[str, ...] = ()
    instance_number: int | None = None
    frames: int = 1
    frame_number: int | None = None
    samples: int = 1
    photometric: str = ""
    rows: int | None = None
    columns: int | None = None
    spacing_ji_mm: tuple[float, float] | None = None
    orientation: Orientation | None = None
    position_lps_mm: Triple | None = None
    rescale: tuple[float, float] | None = None
    lacks_intercept: bool = False
    mappings: tuple[RealWorld, ...] = ()
    pet: PetFacts | None = None
    picture: PictureFacts | None = None
    padding: tuple[int, int] | None = None
    has_pixels: bool = True
    damage: str | None = None
    tags: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))

    @property
    def order(self) -> tuple[int, str, str, int]:
        """Sort key that does not depend on where the file lies or when it came (but for equal UIDs)."""
        number = self.instance_number if self.instance_number is not None else 2**31
        return (number, self.sop_instance_uid, str(self.path), self.frame_number or 0)

    @property
    def is_colour(self) -> bool:
        """Tell whether its pixels are colours: red, green and blue once they are decoded."""
        return self.samples > 1 or self.photometric == "PALETTE COLOR"

    @property
    def values(self) -> int:
        """How many numbers the pixels of one frame are, once they are decoded; 0 where it is not known."""
        return (self.rows or 0) * (self.columns or 0) * (3 if self.is_colour else 1)

    @property
    def source_frame(self) -> SourceFrame:
        """Where a result goes back to: no two slices of a volume have the same."""
        return SourceFrame(self.sop_instance_uid, self.frame_number)
