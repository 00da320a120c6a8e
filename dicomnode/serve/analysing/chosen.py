"""The stack that an analysis was given, read again of what the store has."""

from __future__ import annotations

from dicomnode.assemble import Stack, read_studies
from dicomnode.faults import BUG, NodeError
from dicomnode.journal import Journal, TaskRecord


def stacks_of(task: TaskRecord, journal: Journal, *, every: bool = False) -> tuple[Stack, list[Stack]]:
    """Return the stack of an analysis, and the other ones of its series, or of `every` series.

    Raises NodeError: FILE_UNREADABLE, BUG where the stack is not there any more.
    """
    series_uid, number = task.payload["series_instance_uid"], task.payload["stack"]
    files = [
        instance.path
        for instance in journal.instances(task.study_instance_uid)
        if every or instance.series_instance_uid == series_uid
    ]
    reading = read_studies(files)
    stacks = [stack for study in reading.studies for series in study.series for stack in series.stacks]
    for stack in stacks:
        if (stack.facts.series_instance_uid, stack.facts.stack) == (series_uid, number):
            return stack, [one for one in stacks if one is not stack]
    raise NodeError(
        BUG, where="analyse", error=f"stack {number} of series {series_uid} is not there any more"
    )
