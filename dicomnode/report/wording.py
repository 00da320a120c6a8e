"""Numbers, places and volumes as people read them; every sentence of a report is made of these.

Positions are in patient space (LPS, mm), signed by the letters that radiologists use: L, P and H for positive
x, y and z, else R, A and F.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.values import Code, Findings, PointLps, Segment
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT

_MM3_PER_ML: Final = 1000.0


def position(point: PointLps) -> str:
    """A point in patient space: "31.5 mm L, 12.0 mm A, 105.3 mm H"."""
    letters = ("LR", "PA", "HF")
    parts = (
        f"{abs(value):.1f} mm {pair[0] if value >= 0 else pair[1]}"
        for value, pair in zip(point, letters, strict=True)
    )
    return ", ".join(parts)


def place_text(point: PointLps, findings: Findings) -> str:
    """A point of the first source: in patient space, or of a picture by column and row, counted from 1."""
    source = findings.sources[0]
    if source.plane is None or source.grid is None:
        return position(point)
    frame, row, column = source.grid.to_index_kji(point)
    text = f"column {column + 1:.1f}, row {row + 1:.1f}"
    return f"{text} of frame {round(frame) + 1}" if source.grid.shape_kji[0] > 1 else text


def size_text(segment: Segment, findings: Findings) -> str:
    """The volume of a segment, or of a picture its area: "12.3 ml", "120 mm2", "1200 pixels"."""
    source = findings.sources[0]
    if source.plane is None or source.grid is None:
        return volume_text(volume_mm3(segment, findings))
    if source.plane.spacing_ji_mm is None or source.grid.shape_kji[0] > 1:
        return f"{segment.mask.count} pixels"
    return f"{segment.mask.count * source.grid.voxel_mm3:.4g} mm2"


def volume_mm3(segment: Segment, findings: Findings) -> float:
    """Volume of the voxels of a segment."""
    grid = findings.sources[0].grid
    return segment.mask.count * grid.voxel_mm3 if grid is not None else 0.0


def volume_text(volume_mm3: float) -> str:
    """A volume with about three digits: "2345 ml", "12.3 ml", "1.23 ml", "123 mm3"."""
    millilitres = volume_mm3 / _MM3_PER_ML
    for at_least, digits in ((100.0, 0), (10.0, 1), (1.0, 2)):
        if millilitres >= at_least:
            return f"{millilitres:.{digits}f} ml"
    return f"{volume_mm3:.{0 if volume_mm3 >= 10 else 1}f} mm3"


def number_text(value: float, unit: Code) -> str:
    """A number of four digits with its unit; without one where it has none (UCUM "1")."""
    words = {NO_UNIT: "", HOUNSFIELD: " HU"}
    return f"{value:.4g}{words.get(unit, f' {unit.value}')}"


def percent(part: float) -> str:
    """A part of 1: "87.1 %"."""
    return f"{100 * part:.1f} %"


def joined(names: Sequence[str]) -> str:
    """Names in a row: "a, b and c"."""
    return " and ".join(one for one in (", ".join(names[:-1]), *names[-1:]) if one)


def sentence(text: str) -> str:
    """A text with a capital at its start and a full stop at its end."""
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def inside(text: str) -> str:
    """A text within a sentence: its first letter is small, unless the word is an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
