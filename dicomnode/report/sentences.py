"""What a report says in words: for people and for viewers that show no coded content.

Nothing here names the patient. What was found stands in `conclusion`; here is where to look, and what the
report says beside it.
"""

from __future__ import annotations

import numpy as np

from dicomnode.report.headers import Heading
from dicomnode.report.wording import percent, place_text, size_text
from dicomnode.values import Findings, Region, Segment


def comments(findings: Findings, heading: Heading) -> list[str]:
    """All that the report says beside what was found: remarks, use, provenance, repairs, headers."""
    made_by = findings.provenance
    provenance = (
        f"Made by {made_by.engine} {made_by.version} ({made_by.title}), SHA-256 {made_by.engine_digest}, "
        f"with {made_by.runtime}, precision {made_by.precision}, device {made_by.device}, "
        f"dicomnode {made_by.node_version}."
    )
    sources = [repair.text for source in findings.sources for repair in source.repairs]
    return [
        *(f"{remark.text} ({remark.code})" if remark.code else remark.text for remark in findings.remarks),
        made_by.use,
        provenance,
        *(f"Source series: {text}" for text in sources),
        *heading.notes,
    ]


def of_segment(segment: Segment, findings: Findings, heading: Heading) -> str:
    """A segment in a sentence: label, type, side and site, size, score, and where its centre lies."""
    size = f", {size_text(segment, findings)}"
    if segment.long_axis_lps_mm is not None:
        size += f", long axis {np.linalg.norm(np.subtract(*segment.long_axis_lps_mm)):.1f} mm"
    score = f", score {percent(segment.score)}" if segment.score is not None else ""
    where = f", centre {place_text(segment.centre_lps_mm, findings)}{_image(segment, findings, heading)}"
    return f"{segment.label}: {segment.type.meaning}{site_text(segment)}{size}{score}{where}."


def of_region(region: Region, findings: Findings) -> str:
    """A region in a sentence; its points are nowhere else in the report."""
    points = "; ".join(place_text(point, findings) for point in region.points_lps_mm)
    score = f", score {percent(region.score)}" if region.score is not None else ""
    return f"{region.label}: {region.type.meaning}{site_text(region)}{score}, {region.kind} at {points}."


def site_text(found: Segment | Region) -> str:
    """Where it lies, after a comma: ", right lung", ", right", or nothing."""
    side = found.laterality.meaning.lower() if found.laterality else ""
    site = found.site.meaning.lower() if found.site else ""
    words = f"{side} {site}".strip()
    return f", {words}" if words else ""


def _image(segment: Segment, findings: Findings, heading: Heading) -> str:
    """The Instance Number that people look for: of the slice with most of the segment's voxels."""
    counts = segment.mask.crop().sum(axis=(1, 2))
    k = int(np.argmax(counts)) + segment.mask.box_kji[0][0]
    frame = findings.sources[0].frames[k]
    number = heading.numbers.get(frame.sop_instance_uid)
    if frame.frame_number is not None:
        return f", largest on frame {frame.frame_number}"
    return "" if number is None else f", largest on image {number}"
