"""The judgement of an engine on labelled studies: each is answered, matched with its labels, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from dicomnode.assemble import Stack
from dicomnode.engine import Classes, EnginePackage, Head, Manifest, OutputSpec, SequenceHow
from dicomnode.evaluate.data import LabelledData, LabelledStudy, Part
from dicomnode.evaluate.evaluation import FEW_PATIENTS, CaseRun, DataFacts, EngineFacts, Evaluation, RunState
from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassificationResult,
    DetectionResult,
    RegressionResult,
    Result,
    SegmentationResult,
)
from dicomnode.evaluate.running.answering import Answer, Answerer, Case
from dicomnode.evaluate.running.classes import ClassCollector, YesNoCollector
from dicomnode.evaluate.running.collecting import Collector
from dicomnode.evaluate.running.drawn import Drawn
from dicomnode.evaluate.running.measured import NumberCollector
from dicomnode.evaluate.running.of_lesions import of_each_lesion
from dicomnode.evaluate.running.outlines import OutlineCollector
from dicomnode.evaluate.running.places import PlaceCollector
from dicomnode.evaluate.truth import Asked, Wanted, labels_for, wanted_outputs
from dicomnode.faults import FAULTS, LABELS_BY_MACHINES, NOTHING_JUDGED, NodeError
from dicomnode.values import Grid, Progress, no_progress
from dicomnode.values.codes import NO_UNIT

_NOT_READ: Final = frozenset(code for code in FAULTS if code.startswith("DN-700"))  # labels that were not
_NOT_JUDGED: Final = {
    "map": "maps are not judged",
    "image": "images made of the input are not judged",
    "features": "features are not judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How to judge.

    said: counterparts by hand, as `said_counterparts` gives. machine_labels: whether labels that machines
    made count. part: of the split that the data is, "" for all; parts: studies of each. made_at: time-zone
    aware.
    """

    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    machine_labels: bool = False
    resampling: Resampling = field(default_factory=Resampling)
    part: str = ""
    parts: tuple[tuple[str, int], ...] = ()
    node_version: str = ""
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """An evaluation, and what pictures of its cases are drawn from."""

    evaluation: Evaluation
    drawn: tuple[Drawn, ...]


def judge(
    data: LabelledData, answerer: Answerer, how: Judging, progress: Progress = no_progress
) -> Evaluated:
    """Have every study answered, and judge all answers.

    Progress: "analysing studies", then "drawing patients" (of the bootstrap, results).
    Raises NodeError: NOTHING_JUDGED where no output of the engine has a truth in the data, LABELS_BY_MACHINES
    where the only ones are a machine's, what `answerer` raises, and EVALUATE_MISSING.
    """
    package = answerer.package
    collectors, left_out = collectors_for(package.manifest, how.said)
    seen = _Seen()
    for done, study in enumerate(data.studies):
        progress("analysing studies", done, len(data.studies))
        answers = answerer(study.study, no_progress)
        cases = [_case(study, answer, machine_labels=how.machine_labels) for answer in answers]
        seen.take(cases)
        beside = _beside(study, cases, machine_labels=how.machine_labels)
        for one in collectors:
            one.take_study(cases, beside)
    progress("analysing studies", len(data.studies), len(data.studies))
    judged = [one for one in collectors if one.count]
    for one in judged:
        one.few_in_all = len(data.patients) < FEW_PATIENTS
    if not judged:
        if seen.by_machines:
            raise NodeError(LABELS_BY_MACHINES, count=seen.by_machines)
        raise NodeError(NOTHING_JUDGED, engine=package.manifest.name, problem=_why_none(collectors, data))
    results = _results(judged, how.resampling, progress)
    return Evaluated(
        evaluation=Evaluation(
            engine=engine_facts(package, seen),
            data=data_facts(data, how),
            runs=tuple(seen.runs),
            unmatched=(*left_out, *_without_truth(collectors)),
            alarms=(*_learnt_from(how), *_not_read(data), *_never_answered(collectors)),
            remarks=_remarks(data, how, seen),
            resampling=how.resampling,
            node_version=how.node_version,
            made_at=how.made_at,
            **by_task(results),
        ),
        drawn=tuple(one for collector in judged for one in collector.drawn),
    )


def _results(judged: Sequence[Collector[Any]], resampling: Resampling, progress: Progress) -> list[Result]:
    results: list[Result] = []
    for done, one in enumerate(judged):
        progress("drawing patients", done, len(judged))
        results.append(one.result(resampling))
    progress("drawing patients", len(judged), len(judged))
    return results


def by_task(results: Sequence[Result]) -> dict[str, Any]:
    """Sort results into the fields of an Evaluation."""
    kinds: dict[str, type[Any]] = {
        "segmentations": SegmentationResult,
        "detections": DetectionResult,
        "classifications": ClassificationResult,
        "regressions": RegressionResult,
    }
    return {name: tuple(one for one in results if isinstance(one, kind)) for name, kind in kinds.items()}


@dataclass(slots=True)
class _Seen:
    """What was met on the way: every case, where the engine ran, and labels that were left out."""

    runs: list[CaseRun] = field(default_factory=list)
    runtimes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    by_machines: int = 0

    def take(self, cases: Sequence[Case]) -> None:
        self.runs += [case.run for case in cases]
        for case in cases:
            if case.findings is not None and case.findings.provenance.runtime != "none":
                made = case.findings.provenance
                self.runtimes[made.runtime, made.precision, made.device] += 1
        self.by_machines += max((case.labels.by_machines for case in cases), default=0)


def engine_facts(package: EnginePackage, seen: _Seen) -> EngineFacts:
    """Say which engine was judged, and where it ran (all the ways that it did)."""
    manifest = package.manifest
    ways = sorted(seen.runtimes)
    runtime, precision, device = ("; ".join(dict.fromkeys(way[n] for way in ways)) for n in range(3))
    return EngineFacts(
        name=manifest.name,
        version=manifest.version,
        title=manifest.title,
        use=manifest.use,
        digest=package.digest,
        runtime=runtime,
        precision=precision,
        device=device,
    )


def collectors_for(
    manifest: Manifest, said: Mapping[str, tuple[str, ...]]
) -> tuple[list[Collector[Any]], list[str]]:
    """Make a collector for each output that is judged, two for lesions; and a sentence on each other one."""
    collectors: list[Collector[Any]] = []
    left_out: list[str] = []
    wanted = wanted_outputs(manifest, said)
    asked_before: set[str] = set()
    for one in wanted:
        what = one.spec.what
        if what in _NOT_JUDGED:
            left_out.append(f"{one.label}: {_NOT_JUDGED[what]}.")
        elif what == "measurement" and manifest.each_of(one.spec) is not None:
            left_out.append(f"{one.label}: numbers of single lesions are not judged.")
        elif what == "measurement":
            unit = NO_UNIT if one.spec.unit is None else one.spec.unit.coded
            collectors.append(NumberCollector(one, unit))
        elif what == "classification":
            asked = _asked(manifest, one, wanted)
            of_classes: YesNoCollector | ClassCollector
            if asked is None:
                of_classes = YesNoCollector(one, _excluded(manifest, one))
            elif one.label not in asked_before:
                asked_before |= {other.label for other in asked.wanted}
                of_classes = ClassCollector(asked)
            else:
                continue
            of_classes.of_each = of_each_lesion(manifest, one, wanted)
            collectors.append(of_classes)
        else:
            collectors += [PlaceCollector(one)] if one.is_lesion else []
            collectors += [OutlineCollector(one)] if what == "segment" else []
    return collectors, left_out


def _head_of(manifest: Manifest, spec: OutputSpec) -> Head:
    return manifest.step_named(spec.step).head_named(spec.head)


def _names(head: Head) -> tuple[str, ...]:
    """Names of all classes where one excludes the others, () where they do not or have none."""
    how: Classes | SequenceHow | None = head.classes if head.interpret == "classes" else head.sequence
    if head.interpret == "classes":
        how = how or Classes()
    if head.interpret not in {"classes", "sequence"} or how is None or how.activation != "softmax":
        return ()
    return how.names


def _asked(manifest: Manifest, one: Wanted, wanted: Sequence[Wanted]) -> Asked | None:
    """Return the question that an output is one of several answers to; None where it is one by itself.

    Two classes of which one is reported are a question with yes or no.
    """
    head = _head_of(manifest, one.spec)
    outputs = manifest.of_head(one.spec.step, one.spec.head)
    of_head = tuple(other for other in wanted if any(other.spec is spec for spec in outputs))
    names = list(_names(head))
    if not names:
        return None
    if len(names) == 2 and len(of_head) == 1:
        return None
    for other in of_head:
        channel = manifest.channel_of(other.spec)
        if channel < len(names):
            names[channel] = other.label
    if len(set(names)) != len(names):
        return None
    return Asked(wanted=of_head, classes=tuple(names))


def _excluded(manifest: Manifest, one: Wanted) -> tuple[str, ...]:
    """Names of the other classes of a question with yes or no."""
    names = _names(_head_of(manifest, one.spec))
    channel = manifest.channel_of(one.spec)
    return tuple(name for n, name in enumerate(names) if n != channel)


def _case(study: LabelledStudy, answer: Answer, *, machine_labels: bool) -> Case:
    stack = answer.stack
    found = answer.findings
    grid = found.sources[0].grid if found is not None else None
    if grid is None:  # of what was not answered the truth is sought where labels put it
        stack, grid = next(_spoken_of(study), (stack, None))
    labels = labels_for(study, stack, grid, machine_labels=machine_labels)
    return Case(name=_name(study, answer.stack), labels=labels, answer=answer)


def _name(study: LabelledStudy, stack: Stack | None) -> CaseName:
    return CaseName(
        patient=study.patient,
        study_instance_uid=study.study.study_instance_uid,
        series_instance_uid="" if stack is None else stack.facts.series_instance_uid,
        place=study.place,
    )


def _beside(study: LabelledStudy, cases: Sequence[Case], *, machine_labels: bool) -> list[Case]:
    """Return cases without an answer of the stacks that labels speak of, and the engine did not take."""
    asked = {(case.labels.series_instance_uid, case.labels.stack) for case in cases}
    beside: list[Case] = []
    for stack, grid in _spoken_of(study):
        key = stack.facts.series_instance_uid, stack.facts.stack
        if key not in asked:
            asked.add(key)
            answer = Answer(stack=stack, findings=None, state=RunState.NOT_WANTED)
            labels = labels_for(study, stack, grid, machine_labels=machine_labels)
            beside.append(Case(name=_name(study, stack), labels=labels, answer=answer))
    return beside


def _spoken_of(study: LabelledStudy) -> Iterator[tuple[Stack, Grid | None]]:
    """Give the stacks that objects speak of, with their grids, outlines first; then those of the table."""
    for one in sorted(study.annotations, key=lambda one: one.grid is None):
        for stack in study.stacks:
            same = stack.facts.series_instance_uid == one.of_series
            if same and one.of_stack in (None, stack.facts.stack):
                yield stack, one.grid
    for told in study.told:
        yield from ((stack, None) for stack in study.stacks if told.speaks_of(stack))


def data_facts(data: LabelledData, how: Judging) -> DataFacts:
    """Say which studies were judged."""
    return DataFacts(
        studies=len(data.studies),
        patients=len(data.patients),
        synthetic=sum(study.synthetic for study in data.studies),
        part=how.part,
        parts=how.parts,
        annotations=sum(len(study.annotations) for study in data.studies),
        labels=data.labels,
        set_aside=Counter(one.code for one in data.set_aside),
        digest=data.digest,
    )


def _without_truth(collectors: Sequence[Collector[Any]]) -> tuple[str, ...]:
    labels = {one.wanted.label for one in collectors if one.count or one.unanswered}
    missing = dict.fromkeys(one.wanted.label for one in collectors if one.wanted.label not in labels)
    return tuple(f"{label}: no label of the data answers it; it is not judged." for label in missing)


def _never_answered(collectors: Sequence[Collector[Any]]) -> list[str]:
    return [
        f"{one.wanted.label}: {counted(len(one.unanswered), 'case')} with a truth, and no answer to any: "
        f"there is no figure of this {one.task}."
        for one in collectors
        if one.unanswered and not one.count
    ]


def _not_read(data: LabelledData) -> list[str]:
    codes = sorted(Counter(one.code for one in data.set_aside if one.code in _NOT_READ).items())
    if not codes:
        return []
    told = ", ".join(f"{count} {code}" for code, count in codes)
    return [f"Labels that could not be read or placed, and are in no figure: {told}."]


def _learnt_from(how: Judging) -> list[str]:
    """Say that an engine may have learnt from what it is judged by."""
    studies = dict(how.parts)
    if how.part in (Part.TRAIN, Part.VALIDATION):
        count = studies.get(how.part, 0)
    elif not how.part:
        count = studies.get(Part.TRAIN, 0) + studies.get(Part.VALIDATION, 0)
    else:
        count = 0
    if not count:
        return []
    text = (
        f"{counted(count, 'study', 'studies')} of these are for training: an engine that was trained on this "
        "split knows them, and its figures are too good. Judge it with --part test."
    )
    return [text]


def _remarks(data: LabelledData, how: Judging, seen: _Seen) -> tuple[str, ...]:
    told = []
    if seen.by_machines:
        told.append(
            f"Not taken for the truth: {counted(seen.by_machines, 'object')} that machines made and nobody "
            "verified."
        )
    if how.machine_labels:
        told.append("Labels that machines made count as the truth here, as it was asked for.")
    synthetic = sum(study.synthetic for study in data.studies)
    if synthetic:
        told.append(
            f"{synthetic} of {len(data.studies)} studies are synthetic: they say nothing of how it does on "
            "patients."
        )
    if data.left_out:
        told.append(f"Columns of {data.labels} that were not read: {', '.join(data.left_out)}.")
    if data.set_aside:
        told.append(f"{len(data.set_aside)} files or rows are of no study that was judged; they are counted.")
    return tuple(told)


def _why_none(collectors: Sequence[Collector[Any]], data: LabelledData) -> str:
    wanted = ", ".join(dict.fromkeys(one.wanted.label for one in collectors)) or "nothing that is judged"
    objects = [one for study in data.studies for one in study.annotations]
    spoken = sorted({segment.label for one in objects for segment in one.segments})[:8]
    there = [f"segment {label!r}" for label in spoken]
    there += [f"column {column!r}" for column in data.columns[:8]]
    labels = ", ".join(there) or "none"
    unanswered = max((len(one.unanswered) for one in collectors), default=0)
    without = f"; {counted(unanswered, 'case')} with a truth without an answer" if unanswered else ""
    not_read = [one.text for one in data.set_aside if one.code in _NOT_READ]
    aside = (
        f"; {counted(len(not_read), 'object')} set aside, such as: {not_read[0].rstrip('.')}"
        if not_read
        else ""
    )
    return f"it gives {wanted}; labels are {labels}{without}{aside}"
