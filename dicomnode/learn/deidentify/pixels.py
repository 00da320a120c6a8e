"""Text in pixels: which images may show some, and how parts of them are made black."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.faults import EXPORT_MASK, USAGE, NodeError

_FAMILY: Final = "1.2.840.10008.5.1.4.1.1."
# Secondary capture, ultrasound, X-ray angiography and fluoroscopy, photographs and endoscopy (PS3.4 B.5)
_OFTEN_WRITTEN_ON: Final = tuple(f"{_FAMILY}{part}" for part in ("7", "3", "6", "12", "77.1"))
_MODALITIES: Final = frozenset({"ES", "GM", "IVUS", "OT", "RF", "SC", "US", "XA", "XC"})
# Pages of a scanner that are stored as images of its own class
_PAGES: Final = ("SCREEN", "PROT", "REPORT", "DOSE_INFO", "CAPTURE")
# Made by programs from images; they show nothing that was written on those
_NO_PICTURES: Final = tuple(f"{_FAMILY}{part}" for part in ("66.4", "66.7", "30"))
_BLACK_YBR: Final = (0, 128, 128)
_Plane = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """What is made black: a box in pixels from the upper left corner, or all outside ultrasound regions."""

    kind: Literal["box", "regions"]
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if self.kind == "box" and (min(self.x, self.y) < 0 or min(self.width, self.height) < 1):
            raise ValueError("a box has its corner at 0 or more and is at least a pixel wide and high")


def read_mask(text: str) -> Mask:
    """Read `X,Y,W,H` or `regions`. Raises NodeError(USAGE)."""
    if text == "regions":
        return Mask(kind="regions")
    try:
        x, y, width, height = (int(part) for part in text.split(","))
        return Mask(kind="box", x=x, y=y, width=width, height=height)
    except ValueError:
        problem = f"--mask takes X,Y,W,H in pixels, or regions, not {text!r}"
        raise NodeError(USAGE, problem=problem) from None


def may_show_text(dataset: Dataset) -> str:
    """Tell why an image may show who the patient is; "" where nothing speaks for it (PS3.3 C.7.6.1.1.8).

    An image of a kind that is often written on must say itself that it is not: Burned In Annotation NO.
    """
    said = str(dataset.get("BurnedInAnnotation", "")).strip().upper()
    if said == "YES" or dataset.get("SpecimenLabelInImage") == "YES":
        told = "Burned In Annotation (0028,0301)" if said == "YES" else "Specimen Label in Image (0048,0010)"
        return f"{told} is YES"
    if said == "NO":
        return ""
    sop_class, modality = str(dataset.get("SOPClassUID", "")), str(dataset.get("Modality", ""))
    if _is_of(sop_class, _NO_PICTURES):
        return ""
    types = [str(one).upper() for one in _listed(dataset.get("ImageType"))]
    page = next((word for word in _PAGES if any(word in one for one in types)), None)
    if page is not None:
        return f"its Image Type speaks of {page}, and Burned In Annotation (0028,0301) is not NO"
    if modality in _MODALITIES or _is_of(sop_class, _OFTEN_WRITTEN_ON) or "ConversionType" in dataset:
        kind = modality or "no modality"
        return f"images of its kind ({kind}) often do, and Burned In Annotation (0028,0301) is not NO"
    return ""


def _is_of(sop_class: str, families: Sequence[str]) -> bool:
    """Tell whether a class is one of these or below one: 12.1 is below 12, 128 (PET) is not."""
    return any(sop_class == family or sop_class.startswith(f"{family}.") for family in families)


def overlay_in_pixels(dataset: Dataset) -> bool:
    """Tell whether a drawing is hidden in unused bits of the pixels (retired; Overlay Bit Position not 0)."""
    groups = range(0x6000, 0x6020, 2)
    return any(
        (group, 0x0102) in dataset and dataset[group, 0x0102].value and (group, 0x3000) not in dataset
        for group in groups
    )


def mask_pixels(dataset: Dataset, masks: Sequence[Mask], file: str) -> None:
    """Make parts of all frames black; what was compressed becomes Explicit VR Little Endian.

    Raises NodeError(EXPORT_MASK): no such regions, a box outside, pixels that cannot be changed; and what
    pydicom raises on pixels that it cannot decode.
    """
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    blacked = np.zeros((rows, columns), dtype=bool)
    for mask in masks:
        blacked |= _blacked(dataset, mask, file)
    stored = _stored(dataset, file)
    black: Any = _BLACK_YBR if str(dataset.PhotometricInterpretation) == "YBR_FULL" else 0
    if int(dataset.get("SamplesPerPixel", 1)) > 1 and int(dataset.get("PlanarConfiguration", 0)) == 1:
        for channel in range(stored.shape[1]):
            stored[:, channel][:, blacked] = black[channel] if black else 0
    else:
        stored[:, blacked] = black
    dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)


def _blacked(dataset: Dataset, mask: Mask, file: str) -> NDArray[np.bool_]:
    """Where a mask makes an image black: (rows, columns)."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if mask.kind == "box":
        black = np.zeros((rows, columns), dtype=bool)
        black[mask.y : mask.y + mask.height, mask.x : mask.x + mask.width] = True
        if not black.any():
            raise NodeError(
                EXPORT_MASK, file=file, error=f"the box lies outside its {columns} × {rows} pixels"
            )
        return black
    regions = dataset.get("SequenceOfUltrasoundRegions")
    if not regions:
        raise NodeError(EXPORT_MASK, file=file, error="it has no Sequence of Ultrasound Regions (0018,6011)")
    black = np.ones((rows, columns), dtype=bool)
    for one in regions:  # PS3.3 C.8.5.5.1.1: both corners belong to the region
        black[
            int(one.RegionLocationMinY0) : int(one.RegionLocationMaxY1) + 1,
            int(one.RegionLocationMinX0) : int(one.RegionLocationMaxX1) + 1,
        ] = False
    return black


def _stored(dataset: Dataset, file: str) -> _Plane:
    """The stored values as they lie in the file.

    (frame, row, column), in colour (frame, row, column, sample) or (frame, sample, row, column).
    """
    bits, samples = int(dataset.BitsAllocated), int(dataset.get("SamplesPerPixel", 1))
    if bits not in (8, 16, 32) or str(dataset.PhotometricInterpretation).startswith("YBR_FULL_4"):
        kind = f"{bits} bits, {dataset.PhotometricInterpretation}"
        raise NodeError(EXPORT_MASK, file=file, error=f"pixels of this kind are not masked ({kind})")
    frames, rows, columns = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    shape: tuple[int, ...] = (frames, rows, columns)
    if samples > 1:
        planar = int(dataset.get("PlanarConfiguration", 0)) == 1
        shape = (frames, samples, rows, columns) if planar else (frames, rows, columns, samples)
    count = int(np.prod(shape))
    held = np.frombuffer(dataset.PixelData, dtype=f"u{bits // 8}")
    if len(held) < count:
        raise NodeError(EXPORT_MASK, file=file, error="it has fewer pixels than its header says")
    return held[:count].reshape(shape).copy()


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
