"""Keys of the JSON files of an nnU-Net result, each read as what it must be: their maker may be hostile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


class UnfitError(ValueError):
    """The plans want something that the node has no form for, or are no plans; the text says what."""


def subtable(table: Json, key: str) -> dict[str, Any]:
    """Return the object under a key, empty where there is none; raises UnfitError for anything else."""
    value = table.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnfitError(f"{key} is {short(value)}, not an object")
    return dict(value)


def items(table: Json, key: str) -> list[Any]:
    """Return a list with something in it; raises UnfitError, as all functions here."""
    value = table.get(key)
    if not isinstance(value, list) or not value:
        raise UnfitError(f"{key} is {short(value)}, not a list")
    return value


def whole(table: Json, key: str, most: int) -> int:
    """Return a whole number from 1 to `most`."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UnfitError(f"{key} is {short(value)}, not a whole number from 1 to {most}")
    return value


def counts(table: Json, key: str, most: int) -> tuple[int, ...]:
    """Return a list of such numbers."""
    return tuple(whole({key: value}, key, most) for value in items(table, key))


def positive(table: Json, key: str) -> tuple[float, ...]:
    """Return a list of numbers above 0."""
    values = items(table, key)
    if not all(isinstance(n, (int, float)) and 0 < n < math.inf for n in values):
        raise UnfitError(f"{key} is {short(values)}, not numbers above 0")
    return tuple(float(n) for n in values)


def each(table: Json, key: str, count: int, most: int) -> tuple[int, ...]:
    """Read one number a stage; a single number holds for all."""
    value = table.get(key)
    values = [value] * count if isinstance(value, int) else value
    if not isinstance(values, list) or len(values) != count:
        raise UnfitError(f"{key} is {short(value)}, not {count} numbers")
    return counts({key: values}, key, most)


def each_axis(table: Json, key: str, count: int, axes: int) -> tuple[tuple[int, ...], ...]:
    """Read a length along each axis for each stage; a single number holds for all."""
    value = table.get(key)
    values = [value] * count if isinstance(value, int) else value
    if not isinstance(values, list) or len(values) != count:
        raise UnfitError(f"{key} is {short(value)}, not a list of {count}")
    rows = [[one] * axes if isinstance(one, int) else one for one in values]
    if not all(isinstance(row, list) and len(row) == axes for row in rows):
        raise UnfitError(f"{key} is {short(value)}, not {axes} numbers for each of {count}")
    return tuple(counts({key: row}, key, 32) for row in rows)


def number(table: Json, key: str, default: float) -> float:
    """Return a finite number; raises UnfitError."""
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UnfitError(f"{key} is {short(value)}, not a number")
    return float(value)


def short(value: object) -> str:
    """Write a value as it stands there, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
