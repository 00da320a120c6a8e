"""labels.csv: one row a study, keyed by Study Instance UID; nothing else in it names a study."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Final

KEY: Final = "StudyInstanceUID"
NAME: Final = "labels.csv"


def labels_csv(rows: Sequence[tuple[str, Mapping[str, str]]]) -> bytes:
    """Write the table of (Study Instance UID, columns), in UTF-8; all rows have the same columns."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([KEY, *rows[0][1]])
    for uid, row in rows:
        writer.writerow([uid, *row.values()])
    return text.getvalue().encode()
