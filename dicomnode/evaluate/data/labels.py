"""A table of labels (CSV): a column of keys, the other columns labels or numbers, empty cells not known.

Spreadsheets write it with a byte order mark, with semicolons and decimal commas, with empty rows at the end;
all of that is read. What is wrong is told at once, by row and column: values of keys are never shown.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

from dicomnode.faults import FILE_UNREADABLE, LABELS_WRONG, NodeError

LARGEST_TABLE_BYTES: Final = 256 * 2**20
_SHOWN_PROBLEMS: Final = 20
_DELIMITERS: Final = (",", ";", "\t")
_NOT_KNOWN: Final = frozenset({"", "na", "n/a", "nan", "null"})
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # or a decimal comma: nobody can tell
# Columns that say who the patient is: they are not read. Compared without case, spaces, hyphens, underscores.
_OF_THE_PATIENT: Final = frozenset(
    {
        "patientid",
        "patientname",
        "patientsname",
        "patientbirthdate",
        "patientsbirthdate",
        "patientaddress",
        "issuerofpatientid",
        "otherpatientids",
        "patient",
        "birthdate",
        "dateofbirth",
        "dob",
        "mrn",
        "name",
        "surname",
        "lastname",
        "firstname",
        "givenname",
        "familyname",
        "fullname",
        "nhsnumber",
        "socialsecuritynumber",
        "ssn",
        "phone",
        "telephone",
        "email",
        "address",
    }
)


class KeyKind(StrEnum):
    """What a key names; the most telling first: of several such columns it is the one that is used."""

    INSTANCE = "SOPInstanceUID"
    SERIES = "SeriesInstanceUID"
    FILE = "file"
    STUDY = "StudyInstanceUID"
    ACCESSION = "AccessionNumber"


_KEYS: Final = {
    "sopinstanceuid": KeyKind.INSTANCE,
    "instanceuid": KeyKind.INSTANCE,
    "seriesinstanceuid": KeyKind.SERIES,
    "seriesuid": KeyKind.SERIES,
    "file": KeyKind.FILE,
    "filename": KeyKind.FILE,
    "path": KeyKind.FILE,
    "studyinstanceuid": KeyKind.STUDY,
    "studyuid": KeyKind.STUDY,
    "accessionnumber": KeyKind.ACCESSION,
    "accession": KeyKind.ACCESSION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One row. number: as a person counts lines, the header is 1. key: never shown.

    values: label by column; what is not known is not there.
    """

    number: int
    key: str = field(repr=False)
    values: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """A whole table. name: of the file. left_out: columns of further keys, or that say who the patient is."""

    name: str
    kind: KeyKind
    columns: tuple[str, ...]
    rows: tuple[LabelRow, ...]
    left_out: tuple[str, ...] = ()


def read_labels(path: Path) -> LabelTable:
    """Read a table. Raises NodeError(LABELS_WRONG) with all problems, NodeError(FILE_UNREADABLE)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NodeError(FILE_UNREADABLE, path=path, error=error.strerror or error) from error
    if len(content) > LARGEST_TABLE_BYTES:
        _refuse(path, [f"it has {len(content)} bytes, more than {LARGEST_TABLE_BYTES}"])
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        _refuse(path, [f"row {line}: no UTF-8 text (save the table as CSV in UTF-8)"])
    if "\0" in text:
        _refuse(path, ["it is no text: it holds zero bytes"])
    return _table(path, text)


def _table(path: Path, text: str) -> LabelTable:
    delimiter = _delimiter(text)
    rows = _lines(path, text, delimiter)
    header = next(rows, None)
    if header is None:
        _refuse(path, ["it is empty: the first row names the columns"])
    names = [name.strip() for name in header[1]]
    problems = _wrong_header(names)
    kinds = {index: _KEYS[plain] for index, name in enumerate(names) if (plain := _plain(name)) in _KEYS}
    if not kinds:
        problems.append(f"row 1: no column of keys; one of {', '.join(KeyKind)} is needed")
    if problems:
        _refuse(path, problems)
    key_at = min(kinds, key=lambda index: (list(KeyKind).index(kinds[index]), index))
    hidden = {index for index, name in enumerate(names) if _plain(name) in _OF_THE_PATIENT} | set(kinds)
    labels = {index: name for index, name in enumerate(names) if index not in hidden and name}
    read = _Reader(len(names), key_at, labels, commas_part=delimiter == ",")
    for number, cells in rows:
        read.row(number, cells)
    if not read.rows and not read.problems:
        read.problems.append("it has no row but the header")
    if read.problems:
        _refuse(path, read.problems)
    return LabelTable(
        name=path.name,
        kind=kinds[key_at],
        columns=tuple(labels.values()),
        rows=tuple(read.rows),
        left_out=tuple(names[index] for index in sorted(hidden - {key_at})),
    )


class _Reader:
    """Takes rows as they come, and what is wrong with them."""

    def __init__(self, width: int, key_at: int, labels: Mapping[int, str], *, commas_part: bool) -> None:
        self.rows: list[LabelRow] = []
        self.problems: list[str] = []
        self._width, self._key_at, self._labels = width, key_at, labels
        self._commas_part = commas_part
        self._seen: dict[str, int] = {}

    def row(self, number: int, cells: Sequence[str]) -> None:
        if not any(cell.strip() for cell in cells):
            return  # spreadsheets end in such rows
        if len(cells) > self._width and any(cell.strip() for cell in cells[self._width :]):
            self.problems.append(f"row {number}: {len(cells)} cells, the header has {self._width}")
            return
        key = cells[self._key_at].strip() if self._key_at < len(cells) else ""
        if not key:
            self.problems.append(f"row {number}: it has no key")
            return
        earlier = self._seen.setdefault(key, number)
        if earlier != number:
            self.problems.append(f"row {number}: the same key as row {earlier}")
            return
        values = {
            name: self._value(cells[index].strip())
            for index, name in self._labels.items()
            if index < len(cells) and cells[index].strip().casefold() not in _NOT_KNOWN
        }
        self.rows.append(LabelRow(number=number, key=key, values=values))

    def _value(self, text: str) -> str:
        """Return a cell with a decimal point for a decimal comma.

        Where commas part the cells, one within quotes may part thousands: "1,500" stays as it is, and is no
        number to who asks for one.
        """
        if not _DECIMAL_COMMA.fullmatch(text) or (self._commas_part and _THOUSANDS.fullmatch(text)):
            return text
        return text.replace(",", ".")


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row with the line that it ends on; raises NodeError(LABELS_WRONG) where it is no CSV."""
    # Not `splitlines`: it parts rows at characters that spreadsheets leave within cells, such as U+2028
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        _refuse(path, [f"row {reader.line_num}: no CSV ({error})"])


def _delimiter(text: str) -> str:
    """Return what parts the cells of the header; of several the most frequent one."""
    first = text.split("\n", 1)[0]
    return max(_DELIMITERS, key=first.count)


def _wrong_header(names: Sequence[str]) -> list[str]:
    known: dict[str, int] = {}
    problems = []
    for column, name in enumerate(names, start=1):
        if name and (first := known.setdefault(name.casefold(), column)) != column:
            problems.append(f"row 1: columns {first} and {column} have one name")
    return problems


def _plain(name: str) -> str:
    return re.sub(r"[\s_'’\-]", "", name).casefold()


def _refuse(path: Path, problems: Sequence[str]) -> NoReturn:
    raise wrong_labels(path, problems)


def wrong_labels(path: Path, problems: Sequence[str]) -> NodeError:
    """Make the failure that tells of all problems of a table, the first ones in full."""
    shown = list(problems[:_SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    told = shown[0] if len(shown) == 1 else "\n  " + "\n  ".join(shown)
    return NodeError(LABELS_WRONG, path=path, count=len(problems), problems=told)
