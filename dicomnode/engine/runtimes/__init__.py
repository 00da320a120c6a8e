"""Runtimes behind one contract: what can run a network on this machine, and a session that runs it.

Names are loaded when first used: a process that tries one network needs one runtime of them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.runtimes.choose import REFERENCE, RUNTIMES, Candidate, candidates, survey
    from dicomnode.engine.runtimes.contract import (
        Capability,
        Network,
        Reason,
        Runtime,
        Session,
        TensorSpec,
        best_batch_of,
        cuda_of,
    )
    from dicomnode.engine.runtimes.wish import RuntimeWish, wish_of

_HOMES = {
    "choose": ("REFERENCE", "RUNTIMES", "Candidate", "candidates", "survey"),
    "contract": (
        "Capability",
        "Network",
        "Reason",
        "Runtime",
        "Session",
        "TensorSpec",
        "best_batch_of",
        "cuda_of",
    ),
    "wish": ("RuntimeWish", "wish_of"),
}

__all__ = [
    "REFERENCE",
    "RUNTIMES",
    "Candidate",
    "Capability",
    "Network",
    "Reason",
    "Runtime",
    "RuntimeWish",
    "Session",
    "TensorSpec",
    "best_batch_of",
    "candidates",
    "cuda_of",
    "survey",
    "wish_of",
]

__getattr__ = lazy_face(__name__, _HOMES)
