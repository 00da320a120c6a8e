"""Rows on their way into a table, and what gave none, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dicomnode.learn.features.table import FeatureTable, RowKey
from dicomnode.values import Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLeftOut:
    """A study, or a lesion of it, that gave no row. reason: a sentence without names of persons."""

    study_instance_uid: str
    lesion: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeRow:
    """One row: its features, float64 (names,), and the labels that are known of it."""

    key: RowKey
    values: Float64
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeOf:
    """What all rows of a table share, as `FeatureTable` has it."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    source: str
    engine_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """A table, sorted by its rows, and what gave no row."""

    table: FeatureTable
    left_out: tuple[RowLeftOut, ...] = field(default=())


def gathered(rows: Sequence[MadeRow], left_out: Sequence[RowLeftOut], made_of: MadeOf) -> Gathered:
    """Make a table of rows; of several with one key the first stays, the others are left out and said."""
    kept: dict[RowKey, MadeRow] = {}
    told = list(left_out)
    for row in rows:
        if kept.setdefault(row.key, row) is not row:
            reason = "there is a row of it already: another object or series speaks of the same"
            told.append(
                RowLeftOut(
                    study_instance_uid=row.key.study_instance_uid, lesion=row.key.lesion, reason=reason
                )
            )
    ordered = [kept[key] for key in sorted(kept)]
    columns = sorted({name for row in ordered for name in row.labels})
    table = FeatureTable(
        rows=tuple(row.key for row in ordered),
        names=made_of.names,
        units=made_of.units,
        values=np.array([row.values for row in ordered], dtype=np.float64).reshape(
            len(ordered), len(made_of.names)
        ),
        source=made_of.source,
        engine_digest=made_of.engine_digest,
        labels={name: tuple(row.labels.get(name, "") for row in ordered) for name in columns},
    )
    return Gathered(table=table, left_out=tuple(told))
