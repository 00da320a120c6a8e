"""The service: when what happens. `Supervisor` runs it; `walk` does the same work without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.serve.analysing.occasion import Occasion
    from dicomnode.serve.logs import set_up_logging
    from dicomnode.serve.naming import engine_of
    from dicomnode.serve.once.answering import Answering, AnsweringPlan
    from dicomnode.serve.once.benching import measure_in_child, volumes_for
    from dicomnode.serve.once.kept import KeptResult, kept_results
    from dicomnode.serve.once.makers import learn_makers
    from dicomnode.serve.once.trial import EngineResult, FolderWalk, StudyWalk, VolumeSummary, WalkPlan, walk
    from dicomnode.serve.process.notify import Notifier
    from dicomnode.serve.supervisor import Supervisor
    from dicomnode.serve.work.decoding import decoder_limits

_HOMES = {
    "analysing.occasion": ("Occasion",),
    "once.answering": ("Answering", "AnsweringPlan"),
    "once.benching": ("measure_in_child", "volumes_for"),
    "once.kept": ("KeptResult", "kept_results"),
    "once.makers": ("learn_makers",),
    "logs": ("set_up_logging",),
    "naming": ("engine_of",),
    "process.notify": ("Notifier",),
    "supervisor": ("Supervisor",),
    "work.decoding": ("decoder_limits",),
    "once.trial": ("EngineResult", "FolderWalk", "StudyWalk", "VolumeSummary", "WalkPlan", "walk"),
}

__all__ = [
    "Answering",
    "AnsweringPlan",
    "EngineResult",
    "FolderWalk",
    "KeptResult",
    "Notifier",
    "Occasion",
    "StudyWalk",
    "Supervisor",
    "VolumeSummary",
    "WalkPlan",
    "decoder_limits",
    "engine_of",
    "kept_results",
    "learn_makers",
    "measure_in_child",
    "set_up_logging",
    "volumes_for",
    "walk",
]

__getattr__ = lazy_face(__name__, _HOMES)
