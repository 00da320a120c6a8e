"""Everything that several people said of the same cases, from a table and from their objects."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.evaluate.data import LabelledData
from dicomnode.evaluate.readers.authors import Authors
from dicomnode.evaluate.readers.columns import ReaderColumns, read_columns
from dicomnode.evaluate.readers.drawn import Outlines
from dicomnode.evaluate.readers.readings import Readings
from dicomnode.evaluate.readers.reported import Reports
from dicomnode.evaluate.truth import labels_for
from dicomnode.values import Progress, no_progress


def gather_readings(
    data: LabelledData,
    columns: Sequence[ReaderColumns] = (),
    order: Sequence[str] = (),
    *,
    machine_labels: bool = False,
    progress: Progress = no_progress,
) -> tuple[Readings, ...]:
    """Gather readings: of the columns, then outlines (SEG, RTSTRUCT), then answers and numbers of reports.

    What machines made and nobody verified is no reading, unless `machine_labels`. Progress: "comparing
    readers", studies. Raises NodeError(READERS_WRONG).
    """
    found: list[Readings] = [read_columns(data, one, order) for one in columns]
    authors, outlines, reports = Authors(), Outlines(), Reports()
    for done, study in enumerate(data.studies):
        progress("comparing readers", done, len(data.studies))
        whole = labels_for(study, None, None, machine_labels=machine_labels).annotations
        numbers = authors.number(whole)
        outlines.take(study, whole, numbers)
        reports.take(study, whole, numbers)
    progress("comparing readers", len(data.studies), len(data.studies))
    return (*found, *outlines.readings(authors), *reports.readings(authors))
