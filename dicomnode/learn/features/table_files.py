"""A table of features as CSV, for people and other programs, and as JSON, with all that it says."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicomnode.faults import FEATURE_TABLE_WRONG, FILE_NOT_WRITTEN, NodeError
from dicomnode.learn.features.table import FeatureTable, RowKey

SCHEMA: Final = 1
_KEYS: Final = ("patient", "study_instance_uid", "lesion")
_LABEL: Final = "label:"
_FEATURE: Final = re.compile(r"(?P<name>[^\[\]]+) \[(?P<unit>.+)\]")
_SOURCE: Final = "# "


def write_table(table: FeatureTable, path: Path) -> None:
    """Write a table as what the name of the file ends in: .csv or .json.

    CSV: a comment with the source, then a header: patient, study_instance_uid, lesion, `label:NAME` …,
    `NAME [unit]` …; numbers with all their digits. Raises NodeError(FILE_NOT_WRITTEN, FEATURE_TABLE_WRONG).
    """
    text = json.dumps(table_document(table), indent=1) + "\n" if _is_json(path) else _csv(table)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or str(error)) from error


def table_document(table: FeatureTable) -> dict[str, Any]:
    """Return the JSON of a table."""
    return {
        "schema": SCHEMA,
        "source": table.source,
        "engine_digest": table.engine_digest,
        "names": list(table.names),
        "units": list(table.units),
        "labels": {name: list(texts) for name, texts in table.labels.items()},
        "rows": [
            {
                "patient": row.patient,
                "study_instance_uid": row.study_instance_uid,
                "lesion": row.lesion or None,
                "values": values.tolist(),
            }
            for row, values in zip(table.rows, table.values, strict=True)
        ],
    }


def read_table(path: Path) -> FeatureTable:
    """Read a table that `write_table` wrote, or one of another program of the same form.

    Raises NodeError(FEATURE_TABLE_WRONG) with the first thing that is wrong, and its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _of_json(json.loads(text)) if _is_json(path) else _of_csv(text)
    except OSError as error:
        raise NodeError(FEATURE_TABLE_WRONG, path=path, problem=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise NodeError(FEATURE_TABLE_WRONG, path=path, problem="it is not in UTF-8") from error
    except KeyError as error:
        raise NodeError(FEATURE_TABLE_WRONG, path=path, problem=f"it has no {error}") from error
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise NodeError(FEATURE_TABLE_WRONG, path=path, problem=error) from error


def _is_json(path: Path) -> bool:
    if path.suffix.lower() not in {".json", ".csv"}:
        raise NodeError(FEATURE_TABLE_WRONG, path=path, problem="its name ends neither in .csv nor in .json")
    return path.suffix.lower() == ".json"


def _csv(table: FeatureTable) -> str:
    out = io.StringIO()
    out.write(f"{_SOURCE}{table.source}; engine_digest={table.engine_digest}\n")
    writer = csv.writer(out, lineterminator="\n")
    features = [f"{name} [{unit}]" for name, unit in zip(table.names, table.units, strict=True)]
    writer.writerow([*_KEYS, *(f"{_LABEL}{name}" for name in table.labels), *features])
    for n, (row, values) in enumerate(zip(table.rows, table.values, strict=True)):
        labels = [texts[n] for texts in table.labels.values()]
        numbers = [repr(float(value)) for value in values]
        writer.writerow([row.patient, row.study_instance_uid, row.lesion, *labels, *numbers])
    return out.getvalue()


def _of_csv(text: str) -> FeatureTable:
    source, digest = "", ""
    first, _, rest = text.partition("\n")
    if first.startswith(_SOURCE):
        source, _, digest = first.removeprefix(_SOURCE).strip().partition("; engine_digest=")
        text = rest
    lines = list(csv.reader(io.StringIO(text)))
    if not lines or tuple(lines[0][: len(_KEYS)]) != _KEYS:
        raise ValueError(f"its header does not begin with {', '.join(_KEYS)}")
    header, body = lines[0], [line for line in lines[1:] if line]
    for number, line in enumerate(body, start=1):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells, its header {len(header)}")
    # People type labels in where a spreadsheet has room: behind the features
    named = dict(enumerate(header[len(_KEYS) :], start=len(_KEYS)))
    labels = {
        name.removeprefix(_LABEL): tuple(line[at] for line in body)
        for at, name in named.items()
        if name.startswith(_LABEL)
    }
    features = {at: _feature(name) for at, name in named.items() if not name.startswith(_LABEL)}
    values = [_numbers(number, [line[at] for at in features]) for number, line in enumerate(body, start=1)]
    return FeatureTable(
        rows=tuple(RowKey(patient=a, study_instance_uid=b, lesion=c) for a, b, c, *_ in body),
        names=tuple(found["name"] for found in features.values()),
        units=tuple(found["unit"] for found in features.values()),
        values=np.array(values, dtype=np.float64).reshape(len(body), len(features)),
        source=source,
        engine_digest=digest,
        labels=labels,
    )


def _feature(column: str) -> re.Match[str]:
    found = _FEATURE.fullmatch(column)
    if found is None:
        raise ValueError(
            f"the column {column!r} is no feature with a unit, such as 'shape_volume [mm3]', and no label, "
            f"such as '{_LABEL}malignant'"
        )
    return found


def _numbers(row: int, cells: Sequence[str]) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        raise ValueError(f"row {row} has a cell that is no number") from None


def _of_json(document: Any) -> FeatureTable:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"it is no object with schema {SCHEMA}")
    rows, names = document["rows"], document["names"]
    return FeatureTable(
        rows=tuple(
            RowKey(
                patient=str(row["patient"]),
                study_instance_uid=str(row["study_instance_uid"]),
                lesion=str(row["lesion"] or ""),
            )
            for row in rows
        ),
        names=tuple(str(name) for name in names),
        units=tuple(str(unit) for unit in document["units"]),
        values=np.array([row["values"] for row in rows], dtype=np.float64).reshape(len(rows), len(names)),
        source=str(document["source"]),
        engine_digest=str(document["engine_digest"]),
        labels={str(name): tuple(map(str, texts)) for name, texts in document["labels"].items()},
    )
