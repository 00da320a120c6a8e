"""Scores of something else on the same cases, such as a network: a CSV beside the table of features."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from dicomnode.faults import SCORES_WRONG, NodeError
from dicomnode.learn.heads.cases import Cases
from dicomnode.learn.heads.compared import OtherScores

_KEY = "study_instance_uid"
_LESION = "lesion"
_SCORE = "score"


def read_scores(path: Path, name: str, cases: Cases) -> OtherScores:
    """Read scores for all cases.

    Columns: study_instance_uid, lesion where rows are lesions, and `score`, 0 to 1, of the class that is
    looked for, or, of more than two classes, a column for each. Each case once; rows of other studies do not
    matter.
    Raises NodeError(SCORES_WRONG).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, lines = list(reader.fieldnames or ()), list(reader)
        return OtherScores(name=name, title=path.name, probabilities=_placed(columns, lines, cases))
    except OSError as error:
        problem = error.strerror or str(error)
        raise NodeError(SCORES_WRONG, name=name, path=path, problem=problem) from error
    except (ValueError, csv.Error) as error:
        raise NodeError(SCORES_WRONG, name=name, path=path, problem=error) from error


def _placed(columns: list[str], lines: list[dict[str, str | None]], cases: Cases) -> np.ndarray:
    one = cases.positive is not None and len(cases.classes) == 2
    wanted = [_SCORE] if one else list(cases.classes)
    missing = [name for name in (_KEY, *wanted) if name not in columns]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    found: dict[tuple[str, str], list[float]] = {}
    for number, line in enumerate(lines, start=2):
        key = ((line[_KEY] or "").strip(), (line.get(_LESION) or "").strip())
        if key in found:
            raise ValueError(f"line {number} is of a case that stands there already")
        found[key] = [_share(number, line[name]) for name in wanted]
    keys = [(row.study_instance_uid, row.lesion) for row in cases.rows]
    without = sum(key not in found for key in keys)
    if without:
        raise ValueError(f"{without} of {len(keys)} cases have no score")
    scores = np.array([found[key] for key in keys], dtype=np.float64)
    return np.column_stack([1.0 - scores[:, 0], scores[:, 0]]) if one else scores


def _share(line: int, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"line {line} has a score that is no number from 0 to 1")
    return value
