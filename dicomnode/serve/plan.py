"""What follows from what: the tasks that a finished task leads to. Decisions without I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dicomnode.faults import NodeError
from dicomnode.journal import NewTask, Note, TaskKind, TaskRecord
from dicomnode.serve.dispatch import Dispatch
from dicomnode.settings import Settings
from dicomnode.values import SetAside


def mode_of(settings: Settings, engine: str) -> str:
    """How the engine runs: "live", "shadow" or "off" (also when it is not configured any more)."""
    return next((wanted.mode for wanted in settings.engine if wanted.name == engine), "off")


def analyse_tasks(dispatch: Dispatch, study_uid: str, version: int) -> list[NewTask]:
    """One analysis for each engine: of the stack that was chosen, or of the one that it wanted in vain.

    The second kind answers "not analysed, because …" by the same way, so that nothing is a special case.
    """
    wanted = [(choice.package, choice.stack) for choice in dispatch.choices]
    wanted += [(dismissal.package, dismissal.stack) for dismissal in dispatch.dismissals]
    return [
        NewTask(
            kind=TaskKind.ANALYSE,
            study_instance_uid=study_uid,
            study_version=version,
            engine=package.manifest.name,
            payload={
                "series_instance_uid": stack.facts.series_instance_uid,
                "stack": stack.facts.stack,
            },
        )
        for package, stack in wanted
    ]


def report_tasks(settings: Settings, of: TaskRecord) -> list[NewTask]:
    """One report for each destination; none for an engine in shadow, whose Findings are only kept."""
    if of.engine is None or mode_of(settings, of.engine) != "live":
        return []
    return [
        NewTask(
            kind=TaskKind.REPORT,
            study_instance_uid=of.study_instance_uid,
            study_version=of.study_version,
            engine=of.engine,
            destination=destination.name,
        )
        for destination in settings.destination
    ]


def deliver_task(of: TaskRecord) -> NewTask:
    """The delivery of what a report task made, to the same destination."""
    return NewTask(
        kind=TaskKind.DELIVER,
        study_instance_uid=of.study_instance_uid,
        study_version=of.study_version,
        engine=of.engine,
        destination=of.destination,
    )


def set_aside_notes(items: Sequence[SetAside]) -> list[Note]:
    """Tell what no volume uses: one sentence a reason, however many instances it concerns."""
    counts: Counter[tuple[str, str]] = Counter((item.code, item.text) for item in items)
    return [
        Note(
            what="instances.set_aside",
            text=f"{count} image(s) or object(s) set aside: {text} ({code})",
            facts={"code": code, "instances": count},
        )
        for (code, text), count in counts.items()
    ]


def left_out_notes(broken: Mapping[str, NodeError]) -> list[Note]:
    """Tell which engines could not be asked, and why."""
    return [
        Note(
            what="engine.failed",
            text=f"Engine {name} could not be loaded and was not asked: "
            f"{error.fault.text(**error.values)} ({error.fault.code})",
            facts={"engine": name, "code": error.fault.code},
        )
        for name, error in broken.items()
    ]
