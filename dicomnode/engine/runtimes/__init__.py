"""Runtimes behind one contract: what can run a network on this machine, and a session that runs it."""

from __future__ import annotations

from dicomnode.engine.runtimes.choose import RUNTIMES, choose_runtime, survey
from dicomnode.engine.runtimes.contract import (
    Capability,
    Network,
    Reason,
    Runtime,
    Session,
    TensorSpec,
)

__all__ = [
    "RUNTIMES",
    "Capability",
    "Network",
    "Reason",
    "Runtime",
    "Session",
    "TensorSpec",
    "choose_runtime",
    "survey",
]
