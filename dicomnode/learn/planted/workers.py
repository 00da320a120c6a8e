"""Where `Workers` were before other trainings had them: see `dicomnode.learn.drawn.workers`."""

from dicomnode.learn.drawn.workers import Failed, Workers

__all__ = ["Failed", "Workers"]
