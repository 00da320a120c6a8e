"""The table of labels that goes with an export: the same labels, of studies that nobody knows any more."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Final

from dicomnode.evaluate.data import read_labels
from dicomnode.evaluate.data.labels import KeyKind, LabelRow, LabelTable
from dicomnode.faults import EXPORT_LABELS, FILE_NOT_WRITTEN, NodeError
from dicomnode.learn.deidentify.keys import ExportKey
from dicomnode.learn.deidentify.second_look import dates_in, look_at_text
from dicomnode.learn.deidentify.writing import Exported
from dicomnode.store import SharedDisk, write_whole

_OF_AGE: Final = re.compile(r"(?<![a-z])age(?![a-z])", re.IGNORECASE)
_AGE_IN_YEARS: Final = re.compile(r"(\d{1,3}(?:\.\d*)?)\s*[Yy]?")
_OLDEST: Final = 89


def read_table(path: Path) -> LabelTable:
    """Read the table before anything is written.

    Raises NodeError: EXPORT_LABELS, LABELS_WRONG, FILE_UNREADABLE.
    """
    table = read_labels(path)
    if table.kind is KeyKind.FILE:
        problem = "its keys are names of files, which an export does not keep; give it a column of UIDs"
        raise NodeError(EXPORT_LABELS, path=path, error=problem)
    return table


def export_labels(table: LabelTable, path: Path, exported: Exported, key: ExportKey, out: Path) -> int:
    """Write labels.csv, keyed by the new UIDs; return how many rows it has. path: the source, for messages.

    Columns that say who the patient is were not read. Raises NodeError: EXPORT_LABELS where a cell or the
    name of a column still tells of a patient or holds a date, FILE_NOT_WRITTEN.
    """
    by_study = table.kind is KeyKind.ACCESSION
    header = [KeyKind.STUDY if by_study else table.kind, *table.columns]
    if _tells("\n".join(table.columns), exported):
        raise NodeError(
            EXPORT_LABELS, path=path, error="the name of a column tells who a patient is, or when"
        )
    rows: list[list[str]] = []
    for row in table.rows:
        new = _new_key(row, table.kind, exported, key, path)
        if new is None:
            continue
        cells = [new, *(row.values.get(column, "") for column in table.columns)]
        if _tells("\n".join(cells[1:]), exported):
            problem = f"row {row.number} tells who a patient is, or when"
            raise NodeError(EXPORT_LABELS, path=path, error=problem)
        rows.append([new, *map(_capped, table.columns, cells[1:])])
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([header, *rows])
    try:
        write_whole(SharedDisk(), out / "labels.csv", written.getvalue().encode())
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=out / "labels.csv", error=error.strerror or error) from error
    return len(rows)


def _tells(text: str, exported: Exported) -> bool:
    """Tell whether a text names a patient, or any day: dates of a table are not moved."""
    written = text.encode()
    return bool(dates_in(written)) or any(look_at_text(written, traces) for traces in exported.traces)


def _capped(column: str, cell: str) -> str:
    """Write 90 for an age above 89, as the images do (45 CFR 164.514(b)(2)(i)(C))."""
    age = _AGE_IN_YEARS.fullmatch(cell) if _OF_AGE.search(column) else None
    return str(_OLDEST + 1) if age is not None and float(age[1]) > _OLDEST else cell


def _new_key(row: LabelRow, kind: KeyKind, exported: Exported, key: ExportKey, path: Path) -> str | None:
    """The key in the export; None for what is not in it: whom its cells may name nobody knows."""
    if kind is KeyKind.ACCESSION:
        found = exported.of_accession.get(row.key, set())
        if len(found) > 1:
            problem = f"row {row.number}: {len(found)} studies have its accession number; give study UIDs"
            raise NodeError(EXPORT_LABELS, path=path, error=problem)
        return next(iter(found), None)
    if kind is KeyKind.STUDY:
        return exported.studies.get(row.key)
    new = key.uid(row.key)
    return new if new in exported.things else None
