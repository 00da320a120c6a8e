"""The geometry guard of Parametric Maps: each number, and what it means, read back by who did not write.

The numbers are floats and must be those of the map, by the Real World Value Mapping and by the Pixel Value
Transformation alike: viewers take the one or the other. So must unit, quantity and range.
Source: PS3.3 A.75, C.7.6.16.2.9 (pixel value transformation), C.7.6.16.2.11 (real world value mapping).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from dicomnode.report.guard.fields import ReadPlane, check_planes, check_side, source_header
from dicomnode.report.guard.identity import check_object, equal
from dicomnode.report.guard.reading import Encoded
from dicomnode.report.mismatch.error import differs, guarded
from dicomnode.values import Findings, Float64, ScalarMap

_PARAMETRIC_MAP: Final = "1.2.840.10008.5.1.4.1.1.30"
_UNPAIRED: Final = "U"  # Frame Laterality (0020,9072)


@guarded
def check_maps(contents: Sequence[bytes], findings: Findings, *, patient_id: str | None = None) -> None:
    """Read Parametric Maps and compare each with the map that has its number. Raises MismatchError.

    patient_id: that a message told, None where the source's header says it.
    """
    last = 0
    for content in contents:
        read = dcmread(BytesIO(content))
        check_object(read, findings, _PARAMETRIC_MAP, patient_id)
        number = int(read.InstanceNumber)
        if not last < number <= len(findings.maps):
            raise differs(f"it is of map {number}, the last one was {last} of {len(findings.maps)}")
        last = number
        _check_map(read, content, findings.maps[number - 1], findings)


def _check_map(read: Dataset, content: bytes, one: ScalarMap, findings: Findings) -> None:
    name = repr(one.label)
    equal("frame of reference", read.FrameOfReferenceUID, one.grid.frame_of_reference_uid)
    equal(f"number of frames of {name}", int(read.NumberOfFrames), one.grid.shape_kji[0])
    check_side(read, findings)
    (shared,) = read.SharedFunctionalGroupsSequence
    source = str(source_header(findings, "Laterality").get("Laterality") or _UNPAIRED)
    for anatomy in shared.get("FrameAnatomySequence") or ():
        if anatomy.FrameLaterality not in {_UNPAIRED, source}:
            raise differs(f"its side is {anatomy.FrameLaterality}, and that of its source is not")
    (mapping,) = shared.RealWorldValueMappingSequence
    _check_meaning(mapping, one)
    (rescale,) = shared.PixelValueTransformationSequence
    scales = (
        (float(mapping.RealWorldValueSlope), float(mapping.RealWorldValueIntercept)),
        (float(rescale.RescaleSlope), float(rescale.RescaleIntercept)),
    )
    equal(f"Pixel Value Transformation of {name}", scales[1], scales[0])
    check_planes(_planes(read, content, *scales[0]), one, findings, _apart)


def _apart(values: Float64, wanted: Float64) -> Float64:
    """How far numbers are apart: they are written as they are, and nothing may differ."""
    return np.abs(values - wanted)


def _planes(read: Dataset, content: bytes, slope: float, intercept: float) -> Iterator[ReadPlane]:
    places = Encoded(content).frames()
    groups = read.PerFrameFunctionalGroupsSequence
    for (_, place), own, stored in zip(places, groups, iter_pixels(read, raw=True), strict=True):
        images = [
            image
            for derivation in own.get("DerivationImageSequence") or ()
            for image in derivation.get("SourceImageSequence") or ()
        ]
        in_place = any(image.get("SpatialLocationsPreserved") == "YES" for image in images)
        yield ReadPlane(place, stored.astype(np.float64) * slope + intercept, images, in_place)


def _check_meaning(mapping: Dataset, one: ScalarMap) -> None:
    """Compare unit, quantity and range of the numbers."""
    name = repr(one.label)
    (unit,) = mapping.MeasurementUnitsCodeSequence
    (quantity,) = (item.ConceptCodeSequence[0] for item in mapping.QuantityDefinitionSequence)
    ends = (
        float(mapping.DoubleFloatRealWorldValueFirstValueMapped),
        float(mapping.DoubleFloatRealWorldValueLastValueMapped),
    )
    equal(f"unit of {name}", unit.CodeValue, one.unit.value)
    equal(f"quantity of {name}", quantity.CodeValue, one.type.value)
    equal(f"range of {name}", ends, (float(one.values.min()), float(one.values.max())))
