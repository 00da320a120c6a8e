"""Tables of features with a known answer, for the tests of heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dicomnode.learn.features import FeatureTable, RowKey
from dicomnode.learn.heads import Cases, Search, cases_of

PATH = Path("table.csv")
QUICK = Search(folds=3, inner=2, trees=10)


def table(
    patients: int = 24, each: int = 2, classes: int = 2, signal: float = 3.0, seed: int = 0
) -> FeatureTable:
    """Rows of patients, `each` of them, of one class a patient; the first two features tell it."""
    rng = np.random.default_rng(seed)
    count = patients * each
    whose = np.repeat(np.arange(patients), each)
    truth = whose % classes
    values = rng.normal(0.0, 1.0, (count, 6)) * [1.0, 500.0, 0.01, 1.0, 1e4, 1.0]
    values[:, 0] += signal * truth
    values[:, 1] -= 500.0 * signal * truth
    rows = [RowKey(patient=f"p{whose[n]:03}", study_instance_uid=f"1.2.{n + 1:03}") for n in range(count)]
    return FeatureTable(
        rows=tuple(rows),
        names=tuple(f"f{n}" for n in range(6)),
        units=("1",) * 6,
        values=values.astype(np.float32),
        source="a test",
        labels={"sick": tuple(["no", "yes", "maybe"][one] for one in truth)},
    )


def cases(**how: object) -> Cases:
    """The same as cases of the label "sick"."""
    return cases_of(table(**how), "sick", PATH)  # type: ignore[arg-type]
