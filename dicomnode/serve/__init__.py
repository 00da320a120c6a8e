"""The service: when what happens. `Supervisor` runs it; `walk` does the same work without it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomnode.serve.analysis import Occasion
    from dicomnode.serve.logs import set_up_logging
    from dicomnode.serve.notify import Notifier
    from dicomnode.serve.supervisor import Supervisor
    from dicomnode.serve.trial import EngineResult, FolderWalk, StudyWalk, VolumeSummary, WalkPlan, walk

_HOME_OF = {
    "EngineResult": "trial",
    "FolderWalk": "trial",
    "Notifier": "notify",
    "Occasion": "analysis",
    "StudyWalk": "trial",
    "Supervisor": "supervisor",
    "VolumeSummary": "trial",
    "WalkPlan": "trial",
    "set_up_logging": "logs",
    "walk": "trial",
}

__all__ = [
    "EngineResult",
    "FolderWalk",
    "Notifier",
    "Occasion",
    "StudyWalk",
    "Supervisor",
    "VolumeSummary",
    "WalkPlan",
    "set_up_logging",
    "walk",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
