"""What an analysis is called: by its engine, and by a number where an engine takes several series of a study.

So what follows from each (findings, reports, deliveries) is told apart by one name, "lung-ct", "lung-ct:2".
"""

from __future__ import annotations

from typing import Final

_BETWEEN: Final = ":"  # no name of an engine has one


def analysis_name(engine: str, number: int) -> str:
    """Return the name of an engine's n-th analysis of a study, counted from 1."""
    return engine if number == 1 else f"{engine}{_BETWEEN}{number}"


def engine_of(analysis: str) -> str:
    """Return the engine of an analysis."""
    return analysis.partition(_BETWEEN)[0]
