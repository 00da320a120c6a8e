"""A table of features: a row a case, a column a feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dicomnode.evaluate.outcomes import CaseName
from dicomnode.values.geometry import Float64, read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureTable:
    """Features of cases. values: float64 (cases, features), finite. names: of the features.

    thumbnails: uint8 (cases, 16, 16) of the middle slices, fine: (cases, 64, 64) of the same; None where
    there are none.
    Raises ValueError where shapes do not fit, and on a value that is not finite.
    """

    cases: tuple[CaseName, ...]
    names: tuple[str, ...]
    values: Float64
    thumbnails: np.typing.NDArray[np.uint8] | None = None
    fine: np.typing.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.shape != (len(self.cases), len(self.names)):
            raise ValueError(f"{len(self.cases)} cases of {len(self.names)} features, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("FeatureTable.values must be finite")
        for pictures in (self.thumbnails, self.fine):
            if pictures is not None and pictures.shape[:1] != (len(self.cases),):
                raise ValueError(f"{len(self.cases)} cases, but {pictures.shape[0]} thumbnails")
        object.__setattr__(self, "values", read_only(values))

    @property
    def patients(self) -> list[str]:
        """Of each case, whose it is: a key."""
        return [case.patient for case in self.cases]

    def standardised(self) -> Float64:
        """Each feature with mean 0 and standard deviation 1 (cases, kept), without those that never vary."""
        spread = self.values.std(axis=0)
        # Rounding makes the spread of equal numbers not quite 0
        kept = spread > 1e-12 * np.maximum(np.abs(self.values).max(axis=0, initial=0.0), 1e-300)
        made: Float64 = (self.values[:, kept] - self.values[:, kept].mean(axis=0)) / spread[kept]
        return made


def table_of(
    cases: Sequence[CaseName],
    rows: Sequence[tuple[tuple[str, ...], Float64]],
    thumbnails: Sequence[np.typing.NDArray[np.uint8]] = (),
    fine: Sequence[np.typing.NDArray[np.uint8]] = (),
) -> FeatureTable:
    """Put the features of cases together: names and numbers (features,) of each, the same names for all.

    Raises ValueError without a case, and where the names differ.
    """
    if not rows or len({names for names, _ in rows}) != 1:
        raise ValueError("a table needs the same features of each case, and a case")
    return FeatureTable(
        cases=tuple(cases),
        names=rows[0][0],
        values=np.stack([numbers for _, numbers in rows]),
        thumbnails=np.stack(list(thumbnails)) if len(thumbnails) else None,
        fine=np.stack(list(fine)) if len(fine) else None,
    )
