"""A table of features: a row a study or a lesion, a column a feature, and the labels that came along.

Nobody is named: a patient is a key (a hash), a study its UID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from dicomnode.values import Float64
from dicomnode.values.geometry import read_only


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RowKey:
    """Whose features: the patient's key, the study, and the lesion ("" of a row for the whole study).

    lesion: its tracking UID where it has one, else its label and number.
    """

    patient: str
    study_instance_uid: str
    lesion: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureTable:
    """Features with their names, units and rows.

    values: float64 (rows, names), finite. units: one a name, "1" of a pure number, or where none is told.
    labels: columns that came along, a text a row, "" where it is not known. source: what made the features
    ("engine lung 1.0.0 (0123456789ab)", "radiomics 1, bin_width 25, spacing_mm 1"). engine_digest: of an
    engine, else "". Raises ValueError where lengths do not fit, a name or a row stands twice, or a value is
    not finite.
    """

    rows: tuple[RowKey, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Float64
    source: str
    engine_digest: str = ""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != (len(self.rows), len(self.names)):
            raise ValueError(f"{len(self.rows)} rows of {len(self.names)} features, got {values.shape}")
        if len(self.units) != len(self.names):
            raise ValueError(f"{len(self.names)} features have {len(self.units)} units")
        for what, several in (("feature", self.names), ("row", self.rows)):
            if len(set(several)) < len(several):
                raise ValueError(f"a {what} stands twice")
        if not np.isfinite(values).all():
            raise ValueError("FeatureTable.values must be finite")
        for name, texts in self.labels.items():
            if len(texts) != len(self.rows):
                raise ValueError(f"{len(self.rows)} rows have {len(texts)} labels {name!r}")
        object.__setattr__(self, "values", read_only(values))
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each row."""
        return tuple(row.patient for row in self.rows)

    @property
    def of_lesions(self) -> bool:
        """Whether a row is a lesion, and not a whole study."""
        return any(row.lesion for row in self.rows)

    def take(self, rows: Sequence[int]) -> FeatureTable:
        """Return the table of these rows, in this order."""
        return FeatureTable(
            rows=tuple(self.rows[n] for n in rows),
            names=self.names,
            units=self.units,
            values=self.values[list(rows)],
            source=self.source,
            engine_digest=self.engine_digest,
            labels={name: tuple(texts[n] for n in rows) for name, texts in self.labels.items()},
        )
