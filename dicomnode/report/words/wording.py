"""Numbers, places and volumes as people read them; every sentence of a report is made of these.

Positions are in patient space (LPS, mm), signed by the letters that radiologists use: L, P and H for positive
x, y and z, else R, A and F.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.values import (
    Classification,
    Code,
    Findings,
    PointLps,
    Region,
    Segment,
    plain_classes,
    told_attributes,
)
from dicomnode.values.codes import CUBIC_MILLIMETRE, DAY, NO_UNIT, unit_word

_MM3_PER_ML: Final = 1000.0
_MM2_PER_CM2: Final = 100.0
_MANY: Final = 1000.0  # mm2 or mm3, from where on a larger unit is read more easily
_DIGITS: Final = 4
_GROUPED_FROM: Final = 5  # digits
_NO_BREAK_SPACE: Final = "\u00a0"
_SQUARE_MILLIMETRE: Final = Code("mm2", "UCUM", "mm2")
_LARGER: Final = {_SQUARE_MILLIMETRE: (_MM2_PER_CM2, "cm2"), CUBIC_MILLIMETRE: (_MM3_PER_ML, "ml")}


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
    """The volume of a segment, or of a picture its area: "12.3 ml", "120 mm2", "18.9 cm2", "1200 pixels".

    Of a clip the area on the frame with most of it: "up to 18.9 cm2".
    """
    source = findings.sources[0]
    if source.plane is None or source.grid is None:
        return volume_text(volume_mm3(segment, findings))
    pixels = max(int(np.count_nonzero(plane)) for plane in segment.mask.crop())
    most = "up to " if source.grid.shape_kji[0] > 1 else ""
    if source.plane.spacing_ji_mm is None:
        return f"{most}{_grouped(str(pixels))} pixels"
    _, row_mm, column_mm = source.grid.spacing_kji_mm
    return f"{most}{number_text(pixels * row_mm * column_mm, _SQUARE_MILLIMETRE)}"


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
    """A number of four digits with its unit; without one where it has none (UCUM "1").

    Areas and volumes are in cm2 and ml where they have a thousand mm2 or mm3.
    """
    if unit in _LARGER and abs(value) >= _MANY:
        part, word = _LARGER[unit]
        return f"{plain_number(value / part)} {word}"
    words = {NO_UNIT: "", DAY: " days"}
    return f"{plain_number(value)}{words.get(unit, f' {unit_word(unit)}')}"


def plain_number(value: float) -> str:
    """A number with four digits at least, and no exponent: "0.000123", "12.35", "18 912"."""
    if not math.isfinite(value):
        return str(value)
    before_point = math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{max(0, _DIGITS - 1 - before_point)}f}"
    whole, _, part = text.partition(".")
    part = part.rstrip("0")
    return f"{_grouped(whole)}.{part}" if part else _grouped(whole.replace("-0", "0"))


def _grouped(whole: str) -> str:
    """A whole number in groups of three digits from five on; a comma is a decimal point to half the world."""
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return whole if len(digits) < _GROUPED_FROM else sign + f"{int(digits):,}".replace(",", _NO_BREAK_SPACE)


def percent(part: float) -> str:
    """A part of 1: "87.1 %"."""
    return f"{100 * part:.1f} %"


def score_text(score: float, *, calibrated: bool) -> str:
    """How much speaks for a finding: "score 87.1 %", or "calibrated probability 87.1 %"."""
    return f"{'calibrated probability' if calibrated else 'score'} {percent(score)}"


def class_text(one: Classification) -> str:
    """A class of one finding: "solid nodule present, score 87.1 %"."""
    return f"{inside(one.type.meaning)} {answer_text(one)}"


def answer_text(one: Classification) -> str:
    """Whether a finding has a class: "present, score 87.1 %"."""
    answer = "present" if one.present else "absent"
    return f"{answer}, {score_text(one.probability, calibrated=one.calibrated)}"


def attribute_text(name: Code, value: Classification | None) -> str:
    """An attribute of one finding: "composition solid, score 87.1 %", or "composition undetermined"."""
    if value is None:
        return f"{inside(name.meaning)} undetermined"
    return f"{inside(name.meaning)} {value_text(value)}"


def value_text(value: Classification | None) -> str:
    """The value of an attribute: "solid, score 87.1 %", or "undetermined"."""
    if value is None:
        return "undetermined"
    return f"{value.type.meaning}, {score_text(value.probability, calibrated=value.calibrated)}"


def present_classes(found: Segment | Region) -> list[str]:
    """The classes that a finding has, the surest first, for where there is little room; as told at length."""
    present = [one for one in plain_classes(found.classes) if one.present]
    present += [one for _, one in told_attributes(found.classes) if one is not None]
    present.sort(key=lambda one: -one.probability)
    return [
        f"{one.type.meaning}, {score_text(one.probability, calibrated=one.calibrated)}" for one in present
    ]


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
