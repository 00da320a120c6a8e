"""What follows from what: the tasks that a finished task leads to. Decisions without I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from dicomnode.assemble import Stack
from dicomnode.engine import EnginePackage
from dicomnode.faults import NodeError
from dicomnode.journal import NewTask, Note, TaskKind, TaskRecord
from dicomnode.serve.asking.given_priors import waits_for_priors
from dicomnode.serve.deciding.dispatch import Dispatch
from dicomnode.serve.deciding.site_rules import NO_WISH, SiteWish
from dicomnode.serve.naming import analysis_name, engine_of
from dicomnode.settings import Settings
from dicomnode.values import Refusal, SetAside

# Keys of the payload of an analysis, beside series and stack: what a rule of the site, or matching, decided
_MODE: Final = "mode"
_DESTINATIONS: Final = "destinations"
_REFUSAL_CODE: Final = "refusal_code"
_REFUSAL_TEXT: Final = "refusal_text"
_BETWEEN: Final = ","  # no name of a destination has one


def mode_of(settings: Settings, engine: str) -> str:
    """How the engine runs: "live", "shadow" or "off" (also when it is not configured any more)."""
    return next((wanted.mode for wanted in settings.engine if wanted.name == engine), "off")


def analyse_tasks(
    dispatch: Dispatch, study_uid: str, version: int, wish: SiteWish = NO_WISH
) -> list[NewTask]:
    """One analysis for each engine and stack that it chose, or of the one that it wanted in vain.

    The second kind answers "not analysed, because …" by the same way, so that nothing is a special case. What
    the site wishes goes with the task: a later change of dicomnode.toml is one for later studies.
    """
    wanted: list[tuple[EnginePackage, Stack, Refusal | None]] = [
        (choice.package, choice.stack, None) for choice in dispatch.choices
    ]
    wanted += [(one.package, one.stack, one.refusal) for one in dispatch.dismissals]
    site = {_MODE: wish.mode, _DESTINATIONS: _BETWEEN.join(wish.destinations)}
    counts: Counter[str] = Counter()
    tasks: list[NewTask] = []
    for package, stack, refusal in wanted:
        engine = package.manifest.name
        counts[engine] += 1
        task = NewTask(
            kind=TaskKind.ANALYSE,
            study_instance_uid=study_uid,
            study_version=version,
            engine=analysis_name(engine, counts[engine]),
            payload={
                "series_instance_uid": stack.facts.series_instance_uid,
                "stack": stack.facts.stack,
                **{name: value for name, value in site.items() if value},
                **because(refusal),
            },
            priority=wish.priority,
        )
        # What an engine cannot have needs no prior either
        tasks.append(task if refusal is not None else waits_for_priors(package.manifest, task))
    return tasks


def because(refusal: Refusal | None) -> dict[str, str]:
    """Give the part of a payload that says why an engine cannot have its stack."""
    return {} if refusal is None else {_REFUSAL_CODE: refusal.code, _REFUSAL_TEXT: refusal.text}


def refusal_of(task: TaskRecord) -> Refusal | None:
    """Why the engine of an analyse task cannot have its stack; None if it can."""
    code, text = task.payload.get(_REFUSAL_CODE), task.payload.get(_REFUSAL_TEXT)
    return None if code is None else Refusal(code=str(code), text=str(text))


def report_tasks(settings: Settings, of: TaskRecord) -> list[NewTask]:
    """One report for each destination; none for an engine in shadow, whose Findings are only kept.

    A destination that a rule named and that is not there any more gets its task, which then says so.
    """
    if of.engine is None or _mode_for(settings, of) != "live":
        return []
    named = str(of.payload.get(_DESTINATIONS, ""))
    names = named.split(_BETWEEN) if named else [destination.name for destination in settings.destination]
    return [
        NewTask(
            kind=TaskKind.REPORT,
            study_instance_uid=of.study_instance_uid,
            study_version=of.study_version,
            engine=of.engine,
            destination=name,
            priority=of.priority,
        )
        for name in names
    ]


def _mode_for(settings: Settings, of: TaskRecord) -> str:
    """How the engine of an analyse task runs: as the site's rule said, unless it is off altogether."""
    mode = mode_of(settings, engine_of(of.engine or ""))
    return mode if mode == "off" else str(of.payload.get(_MODE, mode))


def rule_notes(wish: SiteWish) -> list[Note]:
    """Tell of each rule of the site that was asked whether it fits, and why."""
    return [
        Note(what="rule.asked", text=answer.text, facts={"rule": answer.name, "fits": answer.fits})
        for answer in wish.answers
    ]


def deliver_task(of: TaskRecord) -> NewTask:
    """The delivery of what a report task made, to the same destination, also where there was one before."""
    return NewTask(
        kind=TaskKind.DELIVER,
        study_instance_uid=of.study_instance_uid,
        study_version=of.study_version,
        engine=of.engine,
        destination=of.destination,
        priority=of.priority,
        again=True,
    )


def confirm_task(of: TaskRecord) -> NewTask:
    """The question whether the destination of a delivery keeps what it stored."""
    return replace(deliver_task(of), kind=TaskKind.CONFIRM)


def report_again(of: TaskRecord) -> NewTask:
    """The results of a delivery, to be made anew for what its destination takes."""
    return replace(deliver_task(of), kind=TaskKind.REPORT)


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
