"""A table of lesions (CSV): a row a lesion, with its place, and its size and name where they are known.

The form of LUNA16 (seriesuid, coordX, coordY, coordZ, diameter_mm) is one of these; of pictures columns and
rows of pixels may stand instead. What is wrong is told at once, by row; values of keys are never shown.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dicomnode.evaluate.data.labels import KeyKind
from dicomnode.faults import FILE_UNREADABLE, LESIONS_WRONG, NodeError

_SHOWN_PROBLEMS: Final = 20
_LARGEST_BYTES: Final = 64 * 2**20
_KEYS: Final = {
    "sopinstanceuid": KeyKind.INSTANCE,
    "sopuid": KeyKind.INSTANCE,
    "instanceuid": KeyKind.INSTANCE,
    "seriesuid": KeyKind.SERIES,
    "seriesinstanceuid": KeyKind.SERIES,
    "file": KeyKind.FILE,
    "filename": KeyKind.FILE,
    "path": KeyKind.FILE,
}
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "x": ("coordx", "x", "xmm"),
    "y": ("coordy", "y", "ymm"),
    "z": ("coordz", "z", "zmm"),
    "column": ("column", "col"),
    "row": ("row",),
    "diameter_mm": ("diametermm", "diameter"),
    "diameter_px": ("diameterpx", "diameterpixels"),
    "label": ("label", "finding"),
}
_NUMBERS: Final = tuple(name for name in _NAMES if name != "label")
_SORTED_OUT: Final = frozenset({"class", "target", "probability", "score", "islesion"})
_OF_BOXES: Final = frozenset(
    {"width", "height", "w", "h", "xmin", "xmax", "ymin", "ymax", "x1", "x2", "y1", "y2"}
)
_NOT_KNOWN: Final = frozenset({"", "na", "n/a", "nan", "null"})
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRow:
    """One row. number: as a person counts lines, the header is 1. key: never shown.

    place_mm: x, y, z in LPS mm; of a picture without z, in the plane of its pixels. pixel: column and row,
    the first pixel is (0, 0). Without both the row says that there is no lesion. diameter_mm, diameter_px:
    None where it is not known.
    """

    number: int
    key: str = field(repr=False)
    place_mm: tuple[float, float, float | None] | None = None
    pixel: tuple[float, float] | None = None
    diameter_mm: float | None = None
    diameter_px: float | None = None
    label: str = ""

    @property
    def is_none(self) -> bool:
        """Whether it says that there is none."""
        return self.place_mm is None and self.pixel is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTable:
    """A whole table. kind: what its keys name. named: whether it has a column of labels."""

    path: Path
    kind: KeyKind
    rows: tuple[LesionRow, ...]
    named: bool


def read_lesions(path: Path) -> LesionTable:
    """Read a table. Raises NodeError(LESIONS_WRONG) with all problems, NodeError(FILE_UNREADABLE)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NodeError(FILE_UNREADABLE, path=path, error=error.strerror or error) from error
    if len(content) > _LARGEST_BYTES:
        raise wrong_lesions(path, [f"it has {len(content)} bytes, more than {_LARGEST_BYTES}"])
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        lines = list(_lines(text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise wrong_lesions(path, [f"it is no CSV in UTF-8 ({type(error).__name__})"]) from error
    if not lines:
        raise wrong_lesions(path, ["it is empty: the first row names the columns"])
    header = _Header.of(lines[0][1])
    if header.problems:
        raise wrong_lesions(path, header.problems)
    rows, problems = [], []
    for number, cells in lines[1:]:
        try:
            rows.append(header.row(number, cells))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    if not rows and not problems:
        problems.append("it has no row but the header")
    if problems:
        raise wrong_lesions(path, problems)
    return LesionTable(path=path, kind=header.kind, rows=tuple(rows), named="label" in header.columns)


def wrong_lesions(path: Path, problems: Sequence[str]) -> NodeError:
    """Make the failure that tells of all problems of a table, the first ones in full."""
    shown = list(problems[:_SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    told = shown[0] if len(shown) == 1 else "\n  " + "\n  ".join(shown)
    return NodeError(LESIONS_WRONG, path=path, count=len(problems), problems=told)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row that is not empty with the line that it ends on."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if delimiter == ";":
            stripped = [
                cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in stripped
            ]
        if any(stripped):
            yield reader.line_num, stripped


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """Where keys, numbers and labels stand. width: how many columns there are."""

    kind: KeyKind
    key_at: int
    columns: Mapping[str, int]
    width: int
    problems: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> _Header:
        plain = [re.sub(r"[\s_\-]", "", name).casefold() for name in names]
        problems = []
        keys = sorted((list(KeyKind).index(_KEYS[one]), n) for n, one in enumerate(plain) if one in _KEYS)
        if not keys:
            problems.append("row 1: no column of keys; seriesuid, SOPInstanceUID or file is needed")
        columns: dict[str, int] = {}
        for name, words in _NAMES.items():
            at = [n for n, one in enumerate(plain) if one in words]
            if len(at) > 1:
                problems.append(f"row 1: several columns are {name}")
            columns |= {name: at[0]} if at else {}
        if not ({"x", "y"} <= set(columns) or {"column", "row"} <= set(columns)):
            problems.append("row 1: no place; coordX, coordY, coordZ or column, row are needed")
        problems += _misleading(plain, names)
        kind, key_at = (list(KeyKind)[keys[0][0]], keys[0][1]) if keys else (KeyKind.SERIES, 0)
        return cls(kind=kind, key_at=key_at, columns=columns, width=len(names), problems=tuple(problems))

    def row(self, number: int, cells: Sequence[str]) -> LesionRow:
        """Read a row; ValueError says what is wrong with it."""
        if any(cells[self.width :]):
            raise ValueError("it has more cells than there are columns")
        key = self._cell(cells, self.key_at)
        if not key:
            raise ValueError("it has no key")
        found = {name: self._number(name, cells) for name in _NUMBERS}
        for name in ("diameter_mm", "diameter_px"):
            if (size := found[name]) is not None and size <= 0:
                raise ValueError(f"{name} is not above 0")
        place, pixel = _place(found), _pixel(found)
        sizes = [found["diameter_mm"], found["diameter_px"]]
        if place is None and pixel is None and sizes != [None, None]:
            raise ValueError("it has a size and no place; of what has no lesion both are empty")
        if place is not None and pixel is not None:
            raise ValueError("it has its place twice, in mm and in pixels")
        return LesionRow(
            number=number,
            key=key,
            place_mm=place,
            pixel=pixel,
            diameter_mm=sizes[0],
            diameter_px=sizes[1],
            label=self._cell(cells, self.columns["label"]) if "label" in self.columns else "",
        )

    def _number(self, name: str, cells: Sequence[str]) -> float | None:
        text = self._cell(cells, self.columns[name]) if name in self.columns else ""
        if text.casefold() in _NOT_KNOWN:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{name} is no number")
        return value

    def _cell(self, cells: Sequence[str], at: int) -> str:
        return cells[at] if at < len(cells) else ""


def _misleading(plain: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what is wrong with columns that would be passed over, and change what the rows mean.

    LUNA16's candidates.csv lists what is no nodule as well (class 0); boxes give a corner for a place.
    """
    told = []
    for one, name in zip(plain, names, strict=True):
        if one in _SORTED_OUT:
            told.append(
                f"row 1: {name} is not read; leave rows that are no lesions out, and then the column. A "
                "column that says what a lesion is is called label"
            )
    boxes = [name for one, name in zip(plain, names, strict=True) if one in _OF_BOXES]
    if boxes:
        told.append(
            f"row 1: boxes ({', '.join(boxes)}) are not read; give the middle of each, and diameter_mm or "
            "diameter_px"
        )
    return told


def _place(found: Mapping[str, float | None]) -> tuple[float, float, float | None] | None:
    x, y, z = found["x"], found["y"], found["z"]
    if x is None and y is None and z is None:
        return None
    if x is None or y is None:
        raise ValueError("its place is not whole")
    return x, y, z


def _pixel(found: Mapping[str, float | None]) -> tuple[float, float] | None:
    column, row = found["column"], found["row"]
    if column is None and row is None:
        return None
    if column is None or row is None:
        raise ValueError("its place is not whole")
    return column, row
