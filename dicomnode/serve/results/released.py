"""Results that are held until a person lets them go."""

from __future__ import annotations

from dicomnode.journal import RELEASED_BY, TaskRecord, is_of_retraction


def is_released(task: TaskRecord) -> bool:
    """Whether what a deliver task sends may go: a person let it, or it only takes results back."""
    return bool(task.payload.get(RELEASED_BY)) or is_of_retraction(task.engine)
