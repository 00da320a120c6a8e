"""What a report says in words: for people and for viewers that show no coded content.

Nothing here names the patient. Positions are in patient space (LPS, mm), signed by the letters that
radiologists use: L, P and H for positive x, y and z, else R, A and F.
"""

from __future__ import annotations

import numpy as np

from dicomnode.report.headers import Heading
from dicomnode.values import Findings, Outcome, PointLps, Region, Segment

_OUTCOMES = {
    Outcome.FINDINGS: "The analysis was done.",
    Outcome.NO_FINDINGS: "The analysis was done and found nothing.",
    Outcome.NOT_ANALYSED: "The study was not analysed. This is not a statement that nothing is there.",
    Outcome.FAILED: "The analysis failed. This is not a statement that nothing is there.",
}


def comments(findings: Findings, heading: Heading) -> list[str]:
    """All that the report says beside measurements: use, outcome, remarks, provenance, repairs, headers."""
    made_by = findings.provenance
    provenance = (
        f"Made by {made_by.engine} {made_by.version} ({made_by.title}), SHA-256 {made_by.engine_digest}, "
        f"with {made_by.runtime}, precision {made_by.precision}, device {made_by.device}, "
        f"dicomnode {made_by.node_version}."
    )
    sources = [repair.text for source in findings.sources for repair in source.repairs]
    return [
        made_by.use,
        _OUTCOMES[findings.outcome],
        *(f"{remark.text} ({remark.code})" if remark.code else remark.text for remark in findings.remarks),
        provenance,
        *(f"Source series: {text}" for text in sources),
        *heading.notes,
    ]


def of_segment(segment: Segment, findings: Findings, heading: Heading) -> str:
    """A segment in a sentence: label, type, side and site, score, and where its centre lies."""
    side = f"{segment.laterality.meaning.lower()} " if segment.laterality else ""
    site = (
        f", {side}{segment.site.meaning.lower()}" if segment.site else (f", {side.strip()}" if side else "")
    )
    score = f", score {100 * segment.score:.1f} %" if segment.score is not None else ""
    where = f", centre {position(segment.centre_lps_mm)}"
    return f"{segment.label}: {segment.type.meaning}{site}{score}{where}{_image(segment, findings, heading)}."


def of_region(region: Region) -> str:
    """A region in a sentence; its points are nowhere else in the report."""
    points = "; ".join(position(point) for point in region.points_lps_mm)
    return f"{region.label}: {region.type.meaning}, {region.kind} at {points}."


def position(point: PointLps) -> str:
    """A point in patient space: "31.5 mm L, 12.0 mm A, 105.3 mm H"."""
    letters = ("LR", "PA", "HF")
    parts = (
        f"{abs(value):.1f} mm {pair[0] if value >= 0 else pair[1]}"
        for value, pair in zip(point, letters, strict=True)
    )
    return ", ".join(parts)


def _image(segment: Segment, findings: Findings, heading: Heading) -> str:
    """The Instance Number that people look for: of the slice with most of the segment's voxels."""
    counts = segment.mask.crop().sum(axis=(1, 2))
    k = int(np.argmax(counts)) + segment.mask.box_kji[0][0]
    frame = findings.sources[0].frames[k]
    number = heading.numbers.get(frame.sop_instance_uid)
    if frame.frame_number is not None:
        return f", largest on frame {frame.frame_number}"
    return "" if number is None else f", largest on image {number}"
