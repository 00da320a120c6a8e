"""Labels of whole studies: a column of the table, else coded answers and numbers of reports (SR)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from dicomnode.engine.adding.labelling import stem_of
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.faults import LABELS_UNFIT, NodeError
from dicomnode.values import Annotation

NEGATIVE: Final = frozenset(
    {"0", "no", "n", "normal", "negative", "none", "absent", "healthy", "false", "benign"}
)
"""Words of a class that is the lack of what is looked for: it gets no output of its own."""

_SAYS_NO: Final = frozenset({"0", "no", "n", "negative", "none", "absent", "false"})

POSITIVE: Final = frozenset({"1", "yes", "y", "positive", "present", "true"})
"""Words of a class that says nothing but that it is so: it is called by its column."""

_MOST_CLASSES: Final = 50


def said_of(study: LabelledStudy, column: str) -> str | None:
    """Return what reports say under a concept of that name: of the latest, verified ones first; None else."""
    able = []
    for annotation in study.annotations:
        found = _said(annotation, column)
        if found is not None:
            when = annotation.made_at.isoformat() if annotation.made_at is not None else ""
            able.append(((annotation.verified, when, annotation.sop_instance_uid), found))
    return max(able)[1] if able else None


def _said(annotation: Annotation, column: str) -> str | None:
    name = stem_of(column)
    for concept, value in annotation.answers:
        if stem_of(concept.meaning) == name:
            return value.meaning
    for measurement in annotation.measurements:
        if stem_of(measurement.concept.meaning) == name or stem_of(measurement.name) == name:
            return repr(measurement.value)
    return None


def known_columns(data: LabelledData) -> list[str]:
    """Return what there is to learn from: columns, and concepts of reports."""
    found = dict.fromkeys(data.columns)
    for study in data.studies:
        for annotation in study.annotations:
            found |= dict.fromkeys(concept.meaning for concept, _ in annotation.answers)
            found |= dict.fromkeys(one.concept.meaning for one in annotation.measurements)
    return list(found)


def classes_of(column: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes: the one that is a lack first, the others by their names.

    Raises NodeError(LABELS_UNFIT) for one class only, for so many that it is a number or a name, and for one
    that is written in several ways (1 and 1.0, Cyst and cyst).
    """
    found = sorted(set(labels), key=lambda label: (label.strip().lower() not in NEGATIVE, label))
    if len(found) < 2:
        reason = f"all that are known say {found[0]!r}" if found else "no study has a label in it"
        raise _unfit(column, reason, "Label studies of every class; empty cells are not known.")
    if len(found) > _MOST_CLASSES:
        reason = f"it has {len(found)} different labels"
        raise _unfit(column, reason, "Numbers are learned by `dicomnode train regress`.")
    plain = [_plain(label) for label in found]
    twice = next((word for word in plain if plain.count(word) > 1), None)
    if twice is not None:
        alike = [repr(label) for label, word in zip(found, plain, strict=True) if word == twice]
        reason = f"{' and '.join(alike)} are one class, written in several ways"
        raise _unfit(column, reason, "Write each class in one way.")
    return tuple(found)


def _plain(label: str) -> str:
    """Return what tells a class from others: a number by its value, words as engine.toml has them."""
    try:
        return repr(float(label))
    except ValueError:
        return stem_of(label) or label.strip()


def class_title(column: str, label: str) -> str:
    """Return how a class is called: by its label, or by the column where the label says yes or no only."""
    word = label.strip().lower()
    if word in POSITIVE:
        return column
    return f"no {column}" if word in _SAYS_NO else label


def number_of(column: str, label: str) -> float:
    """Read a number; NodeError(LABELS_UNFIT)."""
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _unfit(
            column, f"{label!r} is no number", "Correct the cell, or learn classes: `train classify`."
        )
    return value


def _unfit(column: str, reason: str, advice: str) -> NodeError:
    return NodeError(LABELS_UNFIT, column=column, reason=reason, advice=advice)


def require_column(data: LabelledData, column: str, labels: int) -> None:
    """Refuse a column that nothing speaks of: NodeError(LABELS_UNFIT) with those that there are."""
    if not labels:
        known = known_columns(data)
        advice = f"There are: {', '.join(known)}." if known else "Give a table: --labels FILE.csv."
        raise _unfit(column, "no study has a label in it", advice)
