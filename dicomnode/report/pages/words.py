"""What the pages say, apart from how they look: the same words on captures and in the document.

Nothing here comes from the attributes of patient or study: no name, no ID, no date, no accession number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.report import concepts as c
from dicomnode.report.drawing.colours import coloured
from dicomnode.report.drawing.scene import box_of
from dicomnode.report.heading.identity import FOR_A_LOOK, Imprint, mark_of
from dicomnode.report.pages.typeface import REPLACED, WHY_REPLACED, writable
from dicomnode.report.sr.measured import measured_of, rounded
from dicomnode.report.words.changes import change_sentences, change_word
from dicomnode.report.words.conclusion import conclusion
from dicomnode.report.words.sentences import remarks, site_text
from dicomnode.report.words.wording import (
    answer_text,
    inside,
    joined,
    number_text,
    percent,
    place_text,
    size_text,
    value_text,
)
from dicomnode.values import (
    FindingKind,
    Findings,
    Measurement,
    Region,
    Segment,
    plain_classes,
    told_attributes,
)
from dicomnode.values.codes import HOUNSFIELD, MILLIMETRE
from dicomnode.values.colours import Rgb, next_colour

Found = Segment | Region

NOT_REVIEWED: Final = "Made by software. Not reviewed by a person."
_MEAN: Final = "373098007"  # SCT, CID 7464


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of findings. cells: one a heading. colour: what it is drawn in."""

    found: Found
    colour: Rgb
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The table of findings: lesions first, the surest before the others. texts: columns to the left."""

    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    texts: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Every text of the pages, in letters that can be written.

    marks: what it may be used for. changes: of lesions since an earlier study. lesions: what gets a page of
    its own, in this order.
    """

    title: str
    engine: str
    marks: tuple[str, ...]
    conclusion: tuple[str, ...]
    changes: tuple[str, ...]
    remarks: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    table: Table
    lesions: tuple[Found, ...]

    @property
    def replaced(self) -> str:
        """A sentence where letters had to be replaced, else nothing."""
        said = (self.title, *self.conclusion, *self.changes, *self.remarks)
        cells = (cell for row in self.table.rows for cell in row.cells)
        return WHY_REPLACED if any(REPLACED in text for text in (*said, *cells)) else ""


def words_of(imprint: Imprint) -> Words:
    """Put together what the pages say."""
    findings, made_by = imprint.findings, imprint.findings.provenance
    return Words(
        title=writable(made_by.title),
        engine=writable(f"{made_by.engine} {made_by.version}"),
        marks=tuple(writable(mark) for mark in _marks(imprint)),
        conclusion=tuple(writable(text) for text in conclusion(findings, imprint.heading.numbers)),
        changes=tuple(writable(text) for text in change_sentences(findings)),
        remarks=tuple(writable(text) for text in remarks(findings)),
        provenance=tuple((name, writable(value)) for name, value in _provenance(findings)),
        table=_table(imprint),
        lesions=tuple(lesions_of(findings)),
    )


def slice_name(imprint: Imprint, k: int) -> str:
    """What people call slice or frame k of the first source: "image 12", "frame 3", "slice 5"."""
    frames = imprint.findings.sources[0].frames
    frame = frames[min(max(k, 0), len(frames) - 1)]
    if frame.frame_number is not None:
        return f"frame {frame.frame_number}"
    number = imprint.heading.numbers.get(frame.sop_instance_uid)
    return f"slice {k + 1}" if number is None else f"image {number}"


def key_slice(found: Found, findings: Findings) -> int:
    """The slice or frame with most of a segment, or through the middle of a region."""
    if isinstance(found, Segment):
        return found.mask.box_kji[0][0] + int(np.argmax(found.mask.crop().sum(axis=(1, 2))))
    grid = findings.sources[0].grid
    assert grid is not None  # a region lies on something
    return int(np.clip(round(sum(box_of(found, grid)[0]) / 2), 0, grid.shape_kji[0] - 1))


def headline(found: Found) -> str:
    """What it is and where: "Nodule, left lung"."""
    return writable(f"{found.type.meaning}{site_text(found)}")


def numbers_of(found: Found, imprint: Imprint) -> list[tuple[str, str]]:
    """Every number of a finding with its name, then where it lies."""
    findings = imprint.findings
    told: list[tuple[str, str]] = []
    if found.score is not None:
        told.append(("Calibrated probability" if found.calibrated else "Score", percent(found.score)))
    told += [(one.type.meaning, answer_text(one)) for one in plain_classes(found.classes)]
    told += [(name.meaning, value_text(value)) for name, value in told_attributes(found.classes)]
    if isinstance(found, Segment):
        told.append((_size_name(findings), size_text(found, findings)))
        # The size is told already, in the unit that people use for such a size
        others = [one for one in measured_of(found, findings) if one.concept != c.VOLUME]
        told += [_told(one, findings) for one in others]
        told.append(("Centre", place_text(found.centre_lps_mm, findings)))
    else:
        told += [_told(one, findings) for one in found.measurements]
        told.append(_place(found, findings))
    if len(findings.sources[0].frames) > 1:
        told.append(("Largest on", slice_name(imprint, key_slice(found, findings))))
    return [(writable(name), writable(value)) for name, value in told]


def _place(region: Region, findings: Findings) -> tuple[str, str]:
    points = region.points_lps_mm
    if len(points) > _FEW:
        x, y, z = (float(part) for part in np.mean(points, axis=0))
        return f"{len(points)} points around", place_text((x, y, z), findings)
    name = "Place" if len(points) == 1 else "Corners"
    return name, "; ".join(place_text(point, findings) for point in points)


def colours_of(findings: Findings) -> dict[str, Rgb]:
    """The colour that each finding is drawn in, by its label: as in pictures."""
    segments = coloured(findings.segments)
    of_regions = next_colour([one.colour_rgb for one in segments])
    return {one.label: of_regions for one in findings.regions} | {
        one.label: one.colour_rgb for one in segments
    }


# ── Who says it ───────────────────────────────────────────────────────────────────────────────────
def _marks(imprint: Imprint) -> list[str]:
    """What it may be used for: what every object says, and of a look that it is one."""
    look = [FOR_A_LOOK] if imprint.for_a_look else []
    return [*look, mark_of(imprint.findings)]


def _provenance(findings: Findings) -> list[tuple[str, str]]:
    made_by = findings.provenance
    images = sum(len({frame.sop_instance_uid for frame in one.frames}) for one in findings.sources)
    series = len({one.series_instance_uid for one in findings.sources})
    return [
        ("Engine", f"{made_by.engine} {made_by.version}, {made_by.title}"),
        ("Package", f"SHA-256 {made_by.engine_digest}"),
        ("Ran on", f"{made_by.runtime}, precision {made_by.precision}, {made_by.device}"),
        ("Node", f"dicomnode {made_by.node_version}"),
        ("Looked at", f"{_count(images, 'image')} of {series} series"),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# ── What was found ────────────────────────────────────────────────────────────────────────────────
_FEW: Final = 6  # points are told one by one


def lesions_of(findings: Findings) -> list[Found]:
    """Lesions and regions: the highest score first, of equal scores the largest."""
    lesions: list[Found] = [one for one in findings.segments if one.kind is FindingKind.LESION]
    return sorted([*lesions, *findings.regions], key=lambda one: (-(one.score or 0.0), -_voxels(one)))


def _voxels(found: Found) -> int:
    return found.mask.count if isinstance(found, Segment) else 0


def _table(imprint: Imprint) -> Table:
    findings = imprint.findings
    rest = [one for one in findings.segments if one.kind is not FindingKind.LESION]
    listed: Sequence[Found] = [*lesions_of(findings), *rest]
    # Organs are where they always are
    lesions = lesions_of(findings) if len(findings.sources[0].frames) > 1 else []
    columns: list[tuple[str, Callable[[Found], str]]] = [
        ("Finding", lambda one: one.label),
        ("What and where", headline),
        (_size_name(findings), lambda one: _size(one, findings)),
        ("Change", lambda one: change_word(one, findings)),
        ("Long axis", lambda one: _axis(one, findings)),
        ("Mean", lambda one: _mean(one, findings)),
        ("Score", lambda one: "" if one.score is None else percent(one.score)),
        ("Class", lambda one: joined([each.type.meaning for each in one.classes if each.present])),
        ("Seen on", lambda one: slice_name(imprint, key_slice(one, findings)) if one in lesions else ""),
    ]
    # A column that says nothing of anything takes no room
    kept = [
        (name, cell) for n, (name, cell) in enumerate(columns) if n < 2 or any(cell(one) for one in listed)
    ]
    colours = colours_of(findings)
    return Table(
        headings=tuple(name for name, _ in kept),
        rows=tuple(
            Row(one, colours[one.label], tuple(writable(cell(one)) for _, cell in kept)) for one in listed
        ),
    )


def _size_name(findings: Findings) -> str:
    return "Volume" if findings.sources[0].plane is None else "Area"


def _size(found: Found, findings: Findings) -> str:
    return size_text(found, findings) if isinstance(found, Segment) else ""


def _axis(found: Found, findings: Findings) -> str:
    if not isinstance(found, Segment):
        return ""
    axes = [one for one in measured_of(found, findings) if one.concept == c.LONG_AXIS]
    return _number(axes[0], findings) if axes else ""


def _mean(found: Found, findings: Findings) -> str:
    means = [one for one in found.measurements if one.derivation and one.derivation.value == _MEAN]
    return _number(means[0], findings) if means else ""


def _told(one: Measurement, findings: Findings) -> tuple[str, str]:
    if one.derivation is None:
        return one.concept.meaning, _number(one, findings)
    # With its unit, everybody knows of what
    concept = "" if one.unit == HOUNSFIELD else f" {inside(one.concept.meaning)}"
    return f"{one.derivation.meaning}{concept}", _number(one, findings)


def _number(one: Measurement, findings: Findings) -> str:
    """A measurement in the digits that the report has; of a picture without a spacing mm are its pixels."""
    plane = findings.sources[0].plane
    if one.unit == MILLIMETRE and plane is not None and plane.spacing_ji_mm is None:
        return f"{rounded(one.value, one.unit):g} pixels"
    return number_text(rounded(one.value, one.unit), one.unit)
