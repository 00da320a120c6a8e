"""Yes, no and numbers, as tables and coded answers write them."""

from __future__ import annotations

import math
from typing import Final

from dicomnode.evaluate.truth.wanted import plain
from dicomnode.values import Code

_YES: Final = frozenset({"1", "1.0", "yes", "y", "true", "t", "present", "positive", "pos", "+"})
_NO: Final = frozenset({"0", "0.0", "no", "n", "false", "f", "absent", "negative", "neg", "none"})

# PS3.16 CID 230 (Yes-No), CID 240 (Present-Absent), and positive and negative
_CODED_YES: Final = frozenset({("373066001", "SCT"), ("52101004", "SCT"), ("10828004", "SCT")})
_CODED_NO: Final = frozenset(
    {("373067005", "SCT"), ("272519000", "SCT"), ("2667000", "SCT"), ("260385009", "SCT")}
)


def yes_no(text: str) -> bool | None:
    """Read a yes or a no; None for anything else."""
    word = text.strip().casefold()
    if word in _YES:
        return True
    return False if word in _NO else None


def says_no(text: str) -> bool:
    """Tell whether a label says that there is none."""
    return yes_no(text) is False


def coded_yes_no(value: Code) -> bool | None:
    """Read a coded yes or no; None for any other code."""
    if (value.value, value.scheme) in _CODED_YES:
        return True
    return False if (value.value, value.scheme) in _CODED_NO else None


def number(text: str) -> float | None:
    """Read a finite number; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def same_word(text: str, label: str) -> bool:
    """Tell whether a cell of a table names a class."""
    return plain(text) == plain(label)


def names_class(column: str, cell: str, name: str) -> bool:
    """Tell whether a cell names a class: by itself, or with its column before it ("grade 2")."""
    return same_word(cell, name) or same_word(f"{column} {cell}", name)
