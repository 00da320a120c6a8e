"""What a head is trained on: features of cases with a class each, and whose they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.faults import LABEL_COLUMN_WRONG, TOO_FEW_PATIENTS, NodeError
from dicomnode.learn.features.table import FeatureTable, RowKey
from dicomnode.values.geometry import read_only

Float32 = NDArray[np.float32]
Truth = NDArray[np.intp]

_YES: Final = ("1", "1.0", "yes", "true", "present", "positive")
_MOST_CLASSES: Final = 20  # more of them are numbers, and no classes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """Features with a class each.

    values: float32 (cases, names): what an engine gives in service, so that both see the same numbers. truth:
    int (cases,), indices of `classes`. positive: the class that is looked for, of two the last one; None
    where no class is more than another.
    """

    rows: tuple[RowKey, ...]
    names: tuple[str, ...]
    values: Float32
    truth: Truth
    classes: tuple[str, ...]
    positive: str | None

    def __post_init__(self) -> None:
        read_only(self.values)
        read_only(self.truth)

    @property
    def patients(self) -> NDArray[np.str_]:
        """The patient of each case."""
        return np.array([row.patient for row in self.rows], dtype=np.str_)

    def require_patients(self, folds: int) -> None:
        """Refuse classes that are in fewer patients than there are parts: NodeError(TOO_FEW_PATIENTS)."""
        for index, name in enumerate(self.classes):
            found = len(set(self.patients[self.truth == index]))
            if found < folds:
                raise NodeError(
                    TOO_FEW_PATIENTS, what=f"The class {name}", found=found, folds=folds, needed=folds
                )


def cases_of(
    table: FeatureTable, column: str, path: Path, positive: str | None = None, least: int = 2
) -> Cases:
    """Take the rows whose label in `column` is known; `path` is told in faults.

    positive: the class that is looked for; of two classes the one that means yes, unless it is named. least:
    classes that there must be; a detector does with the normal one. Raises NodeError(LABEL_COLUMN_WRONG).
    """
    if column not in table.labels:
        known = ", ".join(table.labels) or "none"
        raise _wrong(column, path, f"there is no such column; those that came along: {known}")
    texts = [text.strip() for text in table.labels[column]]
    # In the order of their keys: which part a case is in must not hang on the order of a file
    known_rows = sorted((n for n, text in enumerate(texts) if text), key=lambda n: table.rows[n])
    counts = Counter(texts[n] for n in known_rows)
    classes = tuple(sorted(counts))
    if len(classes) < least:
        problem = f"its {len(known_rows)} known rows have {len(classes)} classes: {least} are needed"
        raise _wrong(column, path, problem)
    if len(classes) > _MOST_CLASSES:
        raise _wrong(column, path, f"it has {len(classes)} classes, and {_MOST_CLASSES} are the most")
    chosen = _positive(classes, positive, column, path) if least > 1 else None
    if len(classes) == 2 and chosen == classes[0]:
        classes = (classes[1], classes[0])  # what is looked for comes last, as channel 1 of the network
    index = {name: n for n, name in enumerate(classes)}
    return Cases(
        rows=tuple(table.rows[n] for n in known_rows),
        names=table.names,
        values=table.values[known_rows].astype(np.float32),
        truth=np.array([index[texts[n]] for n in known_rows], dtype=np.intp),
        classes=classes,
        positive=chosen,
    )


def means_yes(name: str) -> bool:
    """Whether a class is a word for yes, which says nothing without its column."""
    return name.casefold() in _YES


def _positive(classes: tuple[str, ...], wanted: str | None, column: str, path: Path) -> str | None:
    if wanted is not None:
        if wanted not in classes:
            raise _wrong(column, path, f"none of its rows is {wanted!r}, they are {', '.join(classes)}")
        return wanted
    if len(classes) > 2:
        return None
    yes = [name for name in classes if means_yes(name)]
    if len(yes) != 1:
        raise _wrong(column, path, f"which of {classes[0]!r} and {classes[1]!r} is looked for is not said")
    return yes[0]


def _wrong(column: str, path: Path, problem: str) -> NodeError:
    return NodeError(LABEL_COLUMN_WRONG, column=repr(column), path=path, problem=problem)
