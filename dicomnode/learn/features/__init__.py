"""Tables of features: of studies, as an engine gives them, and of lesions, as they were outlined.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.features.by_engine import rows_by_engine
    from dicomnode.learn.features.gathered import Gathered, RowLeftOut
    from dicomnode.learn.features.of_lesions import LesionPlan, rows_of_lesions
    from dicomnode.learn.features.table import FeatureTable, RowKey
    from dicomnode.learn.features.table_files import read_table, write_table

_HOMES = {
    "by_engine": ("rows_by_engine",),
    "gathered": ("Gathered", "RowLeftOut"),
    "of_lesions": ("LesionPlan", "rows_of_lesions"),
    "table": ("FeatureTable", "RowKey"),
    "table_files": ("read_table", "write_table"),
}

__all__ = [
    "FeatureTable",
    "Gathered",
    "LesionPlan",
    "RowKey",
    "RowLeftOut",
    "read_table",
    "rows_by_engine",
    "rows_of_lesions",
    "write_table",
]

__getattr__ = lazy_face(__name__, _HOMES)
