"""From a volume to findings: prepare it, run the steps of an engine, measure what they found.

Names are loaded when first used: they need numpy, scipy and a runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomnode.analyse.algorithms import ALGORITHMS
    from dicomnode.analyse.analyst import Analysis, Analyst
    from dicomnode.analyse.interpret import INTERPRETATIONS

_HOMES = {
    "algorithms": ("ALGORITHMS",),
    "analyst": ("Analysis", "Analyst"),
    "interpret": ("INTERPRETATIONS",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["ALGORITHMS", "INTERPRETATIONS", "Analysis", "Analyst"]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
