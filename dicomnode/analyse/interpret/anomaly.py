"""How far a case is from normal ones: a score, where it stands among those of normal cases, and a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dicomnode.analyse.interpret.contract import Field, Outputs, Reading, UnreadableError
from dicomnode.analyse.interpret.fields import field_of, only_seen
from dicomnode.analyse.interpret.rows import pooled_top
from dicomnode.engine import Anomaly, Head


def anomaly(outputs: Outputs, head: Head) -> Reading:
    """Give the score (values), the part of normal cases that lie below it (probabilities), and the map."""
    how = head.anomaly
    if how is None:
        raise UnreadableError("engine.toml has no [step.anomaly]")
    field = _map(outputs, how)
    score = _score(outputs, how, field)
    place = place_among(score, how.normals)
    return Reading(
        probabilities=np.array([place]), values=np.array([score]), threshold=how.quantile, field=field
    )


def place_among(score: float, normals: Sequence[float]) -> float:
    """Return the part of normal cases that lie below a score. normals: their quantiles, ascending.

    Between two quantiles linearly; beyond them all or none lie below. Of equal quantiles the lowest counts: a
    score that many normal cases have lies above none of them.
    """
    levels, first = np.unique(np.asarray(normals, dtype=np.float64), return_index=True)
    parts = np.linspace(0.0, 1.0, len(normals))
    if score in levels:
        return float(parts[first[np.searchsorted(levels, score)]])
    return float(np.interp(score, normals, parts))


def _map(outputs: Outputs, how: Anomaly) -> Field | None:
    if how.map is not None:
        return field_of(outputs, outputs.map_of(how.map))
    if how.reconstruction is None:
        return None
    made = outputs.map_of(how.reconstruction)
    apart = np.abs(made - only_seen(outputs, made)).mean(axis=0, keepdims=True)
    return field_of(outputs, apart)


def _score(outputs: Outputs, how: Anomaly, field: Field | None) -> float:
    if how.score is not None:
        row = outputs.row(how.score)
        if row.size != 1:
            raise UnreadableError(f"output {how.score!r} has {row.size} numbers, a score is one")
        return float(row[0])
    if field is None:
        raise UnreadableError("there is neither a score nor a map")
    values = field.values.astype(np.float64).reshape(-1, 1)
    if how.pool == "mean":
        return float(values.mean())
    return float(values.max() if how.pool == "max" else pooled_top(values, how.top_part)[0])
