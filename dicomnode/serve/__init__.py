"""The service: when what happens. `Supervisor` runs it; `walk` does the same work without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.serve.analysis import Occasion
    from dicomnode.serve.benching import measure_in_child, volumes_for
    from dicomnode.serve.logs import set_up_logging
    from dicomnode.serve.notify import Notifier
    from dicomnode.serve.supervisor import Supervisor
    from dicomnode.serve.trial import EngineResult, FolderWalk, StudyWalk, VolumeSummary, WalkPlan, walk

_HOMES = {
    "analysis": ("Occasion",),
    "benching": ("measure_in_child", "volumes_for"),
    "logs": ("set_up_logging",),
    "notify": ("Notifier",),
    "supervisor": ("Supervisor",),
    "trial": ("EngineResult", "FolderWalk", "StudyWalk", "VolumeSummary", "WalkPlan", "walk"),
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
    "measure_in_child",
    "set_up_logging",
    "volumes_for",
    "walk",
]

__getattr__ = lazy_face(__name__, _HOMES)
