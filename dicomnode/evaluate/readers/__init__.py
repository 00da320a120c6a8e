"""How far readers agree, among themselves and beside an engine. They are numbered, never named.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.evaluate.readers.agreeing import readers_report
    from dicomnode.evaluate.readers.beside import readers_beside
    from dicomnode.evaluate.readers.columns import ReaderColumns, reader_columns, without_columns
    from dicomnode.evaluate.readers.company import Company, InCompany
    from dicomnode.evaluate.readers.documents import readers_document
    from dicomnode.evaluate.readers.gathering import gather_readings
    from dicomnode.evaluate.readers.readings import ReadClasses, ReadNumbers, ReadOutlines
    from dicomnode.evaluate.readers.results import ReadersReport, ReadersResult

_HOMES = {
    "agreeing": ("readers_report",),
    "beside": ("readers_beside",),
    "company": ("Company", "InCompany"),
    "columns": ("ReaderColumns", "reader_columns", "without_columns"),
    "documents": ("readers_document",),
    "gathering": ("gather_readings",),
    "readings": ("ReadClasses", "ReadNumbers", "ReadOutlines"),
    "results": ("ReadersReport", "ReadersResult"),
}

__all__ = [
    "Company",
    "InCompany",
    "ReadClasses",
    "ReadNumbers",
    "ReadOutlines",
    "ReaderColumns",
    "ReadersReport",
    "ReadersResult",
    "gather_readings",
    "reader_columns",
    "readers_beside",
    "readers_document",
    "readers_report",
    "without_columns",
]

__getattr__ = lazy_face(__name__, _HOMES)
