"""What a report says in words: for people and for viewers that show no coded content.

Nothing here names the patient. What was found stands in `conclusion`; here is where to look, and what the
report says beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from pydicom.uid import (
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicomnode.report.concepts import VOLUME
from dicomnode.report.fields.left_out import left_out
from dicomnode.report.heading.headers import Heading
from dicomnode.report.heading.identity import mark_of
from dicomnode.report.sr.measured import measured_of, rounded
from dicomnode.report.sr.picture_regions import frames_text
from dicomnode.report.volume_regions import on_slice
from dicomnode.report.words.wording import (
    attribute_text,
    class_text,
    inside,
    joined,
    number_text,
    place_text,
    score_text,
    sentence,
    size_text,
)
from dicomnode.values import (
    Change,
    Findings,
    Measurement,
    Region,
    RegionKind,
    Segment,
    plain_classes,
    told_attributes,
)
from dicomnode.values.codes import HOUNSFIELD

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        SegmentationStorage: "segmentation",
        "1.2.840.10008.5.1.4.1.1.66.7": "label map",
        GrayscaleSoftcopyPresentationStateStorage: "presentation state",
        SecondaryCaptureImageStorage: "secondary capture",
        MultiFrameTrueColorSecondaryCaptureImageStorage: "secondary capture",
        ParametricMapStorage: "parametric map",
        RTStructureSetStorage: "structure set",
        EncapsulatedPDFStorage: "document",
        KeyObjectSelectionDocumentStorage: "selection of key images",
    }
)


def comments(findings: Findings, heading: Heading) -> list[str]:
    """All that the report says beside what was found: remarks, use, provenance, repairs, headers."""
    made_by = findings.provenance
    provenance = (
        f"Made by {made_by.engine} {made_by.version} ({made_by.title}), SHA-256 {made_by.engine_digest}, "
        f"with {made_by.runtime}, precision {made_by.precision}, device {made_by.device}, "
        f"dicomnode {made_by.node_version}."
    )
    told = [*remarks(findings), *_not_calibrated(findings)]
    return [*told, mark_of(findings), provenance, *of_sources(findings, heading)]


def remarks(findings: Findings) -> list[str]:
    """The remarks of the findings, each with its row of the table of faults; and what no object holds."""
    told = [f"{remark.text} ({remark.code})" if remark.code else remark.text for remark in findings.remarks]
    return [*told, *left_out(findings)]


def _not_calibrated(findings: Findings) -> list[str]:
    """What stands as a probability in a report, and is no more than what a network gave."""
    given = list(findings.classifications)
    given += [one for found in findings.segments for one in found.classes]
    given += [one for found in findings.regions for one in found.classes]
    names = list(dict.fromkeys(inside(one.type.meaning) for one in given if not one.calibrated))
    return [f"Not calibrated: the probability of {joined(names)} is a score of the network."] if names else []


def of_sources(findings: Findings, heading: Heading) -> list[str]:
    """What was mended of the images, and left out or assumed of their headers."""
    repairs = [repair.text for source in findings.sources for repair in source.repairs]
    return [*(f"Source series: {text}" for text in repairs), *heading.notes]


def of_segment(segment: Segment, findings: Findings, heading: Heading) -> str:
    """A segment in a sentence: what and where it is, its numbers, and the image that shows it best."""
    best = _image(largest_slice(segment), findings, heading)
    frames = frames_text(segment, findings)
    shown = f"{f', {frames}' if frames else ''}{f', largest {best}' if best else ''}"
    centre = f", centre {place_text(segment.centre_lps_mm, findings)}"
    return f"{_named(segment)}{_numbers(segment, findings)}{_score(segment)}{shown}{centre}."


def of_organ(segment: Segment, findings: Findings) -> str:
    """An organ in a sentence: its numbers. Where it lies, everybody knows."""
    side = f"{segment.laterality.meaning} " if segment.laterality else ""
    name = sentence(f"{side}{inside(segment.type.meaning)}").rstrip(".")
    return f"{segment.label}: {name}{_numbers(segment, findings)}{_score(segment)}."


def of_region(region: Region, findings: Findings, heading: Heading) -> str:
    """A region in a sentence: what it is, its numbers, the image that shows it, and its points."""
    numbers = "".join(f", {_number(one)}" for one in region.measurements)
    grid, image = findings.sources[0].grid, ""
    if grid is not None and findings.sources[0].plane is None and (found := on_slice(region, grid)):
        image = _image(found.k, findings, heading)
    shown = f", {image}" if image else ""
    return f"{_named(region)}{numbers}{_score(region)}{shown}, {_shape(region, findings)}."


def made_with(sop_class_uids: Sequence[str]) -> str:
    """Name the other objects of the same findings, for viewers that show the content only; may be empty."""
    counts = Counter(_WORDS.get(uid, "derived image") for uid in sop_class_uids)
    named = [f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items()]
    return f"Made with this report: {joined(named)}." if named else ""


def _shape(region: Region, findings: Findings) -> str:
    """The shape and its points; a box by its size and middle, as people speak of it."""
    places = [place_text(point, findings) for point in region.points_lps_mm]
    if region.kind is not RegionKind.BOX:
        return f"{region.kind} at {'; '.join(places)}"
    if findings.sources[0].plane is not None:
        return f"box from {' to '.join(places)}"
    low, high = np.array(region.points_lps_mm)
    x, y, z = (float(one) for one in (low + high) / 2.0)
    size = " × ".join(f"{one:.1f}" for one in high - low)
    return f"box of {size} mm around {place_text((x, y, z), findings)}"


def _named(found: Segment | Region) -> str:
    return f"{found.label}: {found.type.meaning}{site_text(found)}"


def _numbers(segment: Segment, findings: Findings) -> str:
    """All that was measured, the size first: it has the unit that people use for such a size."""
    others = [one for one in measured_of(segment, findings) if one.concept != VOLUME]
    return "".join(f", {text}" for text in (size_text(segment, findings), *map(_number, others)))


def _number(one: Measurement) -> str:
    """A measurement within a sentence: "long axis 12.3 mm", "mean -812.3 HU"."""
    derived = f"{one.derivation.meaning.lower()} " if one.derivation else ""
    # With its unit, everybody knows of what
    concept = "" if derived and one.unit == HOUNSFIELD else f"{inside(one.concept.meaning)} "
    return f"{derived}{concept}{number_text(rounded(one.value, one.unit), one.unit)}"


def _score(found: Segment | Region) -> str:
    """The score of a finding, its classes, and its attributes."""
    score = [] if found.score is None else [score_text(found.score, calibrated=found.calibrated)]
    classes = [class_text(one) for one in plain_classes(found.classes)]
    classes += [attribute_text(name, value) for name, value in told_attributes(found.classes)]
    return "".join(f", {text}" for text in (*score, *classes))


def site_text(found: Segment | Region | Change) -> str:
    """Where it lies, after a comma: ", right lung", ", right", or nothing."""
    side = found.laterality.meaning.lower() if found.laterality else ""
    site = found.site.meaning.lower() if found.site else ""
    words = f"{side} {site}".strip()
    return f", {words}" if words else ""


def largest_slice(segment: Segment) -> int:
    """The slice with most of the segment's voxels."""
    counts = segment.mask.crop().sum(axis=(1, 2))
    return int(np.argmax(counts)) + segment.mask.box_kji[0][0]


def _image(k: int, findings: Findings, heading: Heading) -> str:
    """Slice `k` by the number that people look for, its Instance Number or frame; empty without one."""
    frame = findings.sources[0].frames[k]
    number = heading.numbers.get(frame.sop_instance_uid)
    if frame.frame_number is not None:
        return f"on frame {frame.frame_number}"
    return "" if number is None else f"on image {number}"
