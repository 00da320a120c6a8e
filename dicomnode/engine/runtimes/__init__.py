"""Runtimes behind one contract: what can run a network on this machine, and a session that runs it."""

from __future__ import annotations

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
