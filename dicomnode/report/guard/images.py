"""The geometry guard of derived images: places, order and values of a series, read back by who did not write.

Values are read as viewers read them: rescaled, and by the Real World Value Mapping where there is one. Both
must be those of the engine within half a step, and a step no more than a thousandth of the largest value.
Source: PS3.3 C.7.6.2 (image plane), C.11.1 (modality LUT), C.7.6.16.2.11 (real world value mapping).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from dicomnode.report.guard.fields import ReadPlane, check_planes, check_side, source_header
from dicomnode.report.guard.identity import check_object, equal
from dicomnode.report.guard.source import place_of
from dicomnode.report.mismatch.error import differs, guarded
from dicomnode.values import DerivedImage, Findings, Float64
from dicomnode.values.codes import HOUNSFIELD

_MR: Final = "1.2.840.10008.5.1.4.1.1.4"
_CLASS_OF: Final = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": _MR, "PT": "1.2.840.10008.5.1.4.1.1.128"}
_LOWEST, _HIGHEST = -32768, 32767  # signed pixels of 16 bits
_FINEST: Final = 1000  # steps from 0 to the largest value, at least
_ROUNDING: Final = 1 + 1e-3  # of half a step


@guarded
def check_images(
    contents: Sequence[bytes], findings: Findings, image: DerivedImage, *, patient_id: str | None = None
) -> None:
    """Read the images of a series, in their order, and compare them with a derived image of the findings.

    patient_id: that a message told, None where the source's header says it. Raises MismatchError.
    """
    modality = str(source_header(findings, "Modality").get("Modality") or "")
    series: set[str] = set()
    instances: set[str] = set()
    scale = _Scale(image)

    def planes() -> Iterator[ReadPlane]:
        for number, content in enumerate(contents, start=1):
            read = dcmread(BytesIO(content))
            check_object(read, findings, _CLASS_OF.get(modality, ""), patient_id)
            equal("frame of reference", read.FrameOfReferenceUID, image.grid.frame_of_reference_uid)
            equal("Instance Number", int(read.InstanceNumber), number)
            check_side(read, findings)
            series.add(str(read.SeriesInstanceUID))
            instances.add(str(read.SOPInstanceUID))
            yield _plane(read, scale)

    check_planes(planes(), image, findings, scale.off)
    equal("number of series and images", (len(series), len(instances)), (1, len(contents)))


@dataclass(slots=True, eq=False)
class _Scale:
    """What the stored numbers of a derived image mean. slope, intercept: of the image that was read last."""

    image: DerivedImage
    slope: float = 1.0
    intercept: float = 0.0

    def read(self, read: Dataset) -> None:
        """Take the meaning of an image's numbers, which all that it says must agree in."""
        own, unit = self.image, self.image.unit
        mappings = read.get("RealWorldValueMappingSequence") or ()
        said = [(float(one.RealWorldValueSlope), float(one.RealWorldValueIntercept)) for one in mappings]
        equal(f"rescale of {own.label!r}", "RescaleSlope" in read, read.SOPClassUID != _MR)
        if "RescaleSlope" in read:
            said.append((float(read.RescaleSlope), float(read.RescaleIntercept)))
        if "RescaleType" in read:
            equal(f"unit of {own.label!r}", read.RescaleType == "HU", unit == HOUNSFIELD)
        if len(set(said)) > 1:
            raise differs(f"rescale and mapping of {own.label!r} are not the same: {said}")
        units = [item.CodeValue for one in mappings for item in one.MeasurementUnitsCodeSequence]
        equal(f"unit of {own.label!r}", units, [] if unit == HOUNSFIELD else [unit.value])
        self.slope, self.intercept = said[0] if said else (1.0, 0.0)
        self._check_fine()

    def _check_fine(self) -> None:
        own = self.image
        largest = max(abs(float(own.values.min())), abs(float(own.values.max())))
        coarse = self.slope != 1.0 if own.unit == HOUNSFIELD else _FINEST * self.slope > largest > 0
        if self.slope <= 0 or coarse:
            raise differs(f"values of {own.label!r} are in steps of {self.slope:g}")

    def off(self, values: Float64, wanted: Float64) -> Float64:
        """How far values are off by more than half a step; of Hounsfield units the farthest are clipped."""
        if self.image.unit == HOUNSFIELD:
            low, high = (self.slope * end + self.intercept for end in (_LOWEST, _HIGHEST))
            wanted = np.clip(wanted, low, high)
        return np.abs(values - wanted) - self.slope / 2 * _ROUNDING


def _plane(read: Dataset, scale: _Scale) -> ReadPlane:
    scale.read(read)
    (stored,) = iter_pixels(read, raw=True)
    images = read.get("SourceImageSequence") or ()
    if not images:
        raise differs("it names no image of its source")
    in_place = any(one.get("SpatialLocationsPreserved") == "YES" for one in images)
    return ReadPlane(place_of(read), stored * scale.slope + scale.intercept, images, in_place)
