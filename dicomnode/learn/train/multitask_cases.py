"""Cases of several questions: stacks with outlines, and stacks that labels of whole studies speak of.

A study may know some of the answers only. Its labels go with the stack that is outlined; a study without
outlines gives the stack that an engine would take in service. A label of a series or an instance stays with
its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomnode.engine import Manifest
from dicomnode.engine.adding.labelling import stem_of
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.faults import NOTHING_TO_LEARN, QUESTIONS_UNFIT, NodeError
from dicomnode.learn.train.cases import (
    Case,
    Found,
    form_of,
    labelled_cases,
    of_usual_form,
    outlined_cases,
    usual_form,
)
from dicomnode.learn.train.plan import rules_of, start_of
from dicomnode.learn.train.questions import Question, class_question, told_apart
from dicomnode.learn.train.structures import Structure, structures_of
from dicomnode.learn.train.told import number_of, require_column, said_of
from dicomnode.values import Code, Refusal

MAP: Final = "map"
"""Name of the outlines among the questions."""

_MOST_STRATA: Final = 9  # of answers, one more for who has none of them; of more nothing would be stratified


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAnswers:
    """What is asked. structures: names of what is outlined; columns: of classes; numbers: columns and units.

    Raises NodeError(QUESTIONS_UNFIT) for fewer than two questions, where all outlines are one, and for a
    question that is asked twice.
    """

    structures: Sequence[str] = ()
    columns: Sequence[str] = ()
    numbers: Sequence[tuple[str, Code]] = ()

    def __post_init__(self) -> None:
        names = [*self.columns, *(column for column, _ in self.numbers)]
        stems = Counter(stem_of(name) for name in names)
        twice = [name for name in names if stems[stem_of(name)] > 1]
        if twice:
            reason = f"{' and '.join(dict.fromkeys(twice))}: a column is asked twice, or two are named alike"
            raise _unfit(reason, "Name each column once.")
        if len(names) + bool(self.structures) < 2:
            advice = "One alone is learned by `train segment`, `train classify` or `train regress`."
            raise _unfit("there are fewer than two", f"Name more: --structure, --column, --number. {advice}")

    @property
    def asked(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.columns, *(column for column, _ in self.numbers))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """Cases, and the questions with what is known of them. rare: answers, the rarest first."""

    cases: tuple[Case, ...]
    structures: tuple[Structure, ...]
    questions: tuple[Question, ...]
    left_out: tuple[Refusal, ...]
    rare: tuple[str, ...]


def gather(data: LabelledData, wanted: WantedAnswers) -> Gathered:
    """Find cases and what is known of them; NodeError: NOTHING_TO_LEARN, LABELS_UNFIT."""
    known = with_said(data, wanted.asked)
    outlined, structures = _outlined(known, wanted.structures)
    told = _told(known, wanted.asked, outlined.cases)
    merged = _merged([*outlined.cases, *told.cases])
    _require(data, wanted.asked, merged)
    found = of_usual_form(merged, (*outlined.left_out, *told.left_out))
    _require(data, wanted.asked, found.cases)
    questions = _questions(found.cases, wanted)
    answers = Counter(answer for case in found.cases for answer in answers_of(case, structures, questions))
    return Gathered(
        cases=found.cases,
        structures=structures,
        questions=questions,
        left_out=tuple({one.text: one for one in found.left_out}.values()),
        rare=tuple(sorted(answers, key=lambda one: (answers[one], one)))[:_MOST_STRATA],
    )


def answers_of(case: Case, structures: Sequence[Structure], questions: Sequence[Question]) -> list[str]:
    """Return what is known of a case, in words: structures there and not there, and classes."""
    known = [(structures[number].name, not mask.is_empty) for number, mask in sorted(case.truths.items())]
    said = [(one.column, case.labels[one.column]) for one in questions if _tells_class(one, case.labels)]
    return [f"{name}: {answer}" for name, answer in (*known, *said)]


def _tells_class(question: Question, labels: Mapping[str, str]) -> bool:
    return not question.is_number and question.column in labels


def with_said(data: LabelledData, columns: Sequence[str]) -> LabelledData:
    """Give studies what reports say under columns that the table does not have."""
    missing = [column for column in columns if column not in data.columns]
    studies = []
    for study in data.studies:
        said = {column: label for column in missing if (label := said_of(study, column)) is not None}
        studies.append(replace(study, row={**study.row, **said}) if said else study)
    return replace(data, studies=tuple(studies))


def _outlined(data: LabelledData, names: Sequence[str]) -> tuple[Found, tuple[Structure, ...]]:
    """Return cases with outlines of the structures that are named; nothing without a name."""
    if not names:
        return Found(cases=()), ()
    annotations = [study.annotations for study in data.studies]
    structures = structures_of(annotations, names)
    if len(structures) < len(set(names)):
        known = ", ".join(one.name for one in structures_of(annotations))
        reason = f"not all of {', '.join(names)} are outlined"
        advice = f"Outlined are: {known or 'none'}."
        raise NodeError(NOTHING_TO_LEARN, task="segments", reason=reason, advice=advice)
    found = outlined_cases(data, structures)
    nowhere = set(range(len(structures))) - {number for case in found.cases for number in case.truths}
    if nowhere:
        reason = f"{', '.join(structures[n].name for n in sorted(nowhere))}: outlined on other images alone"
        advice = "Learn what is outlined on images of another kind by itself."
        raise NodeError(NOTHING_TO_LEARN, task="segments", reason=reason, advice=advice)
    return found, structures


def _told(known: LabelledData, columns: Sequence[str], outlined: Sequence[Case]) -> Found:
    """Return the stacks that labels speak of, of the kind of those with outlines, else the usual kind."""
    seen = {case.stack.headers[0].study_instance_uid for case in outlined}
    every = [case for column in columns for case in labelled_cases(known, column).cases]
    like = outlined or _of_form(every)
    if not like:
        return Found(cases=())
    start = start_of(form_of(like[0].stack), *rules_of(like))
    fresh = [study for study in known.studies if study.study.study_instance_uid not in seen]
    rest = [study for study in known.studies if study.study.study_instance_uid in seen]
    new = list(_cases(known, fresh, columns, start))
    apart = [case for found in _cases(known, rest, columns, start) for case in found.cases]
    by_uid = {study.study.study_instance_uid: study for study in rest}
    own = [case for case in apart if _is_own(case, by_uid, columns)]
    return Found(
        cases=(*(case for found in new for case in found.cases), *own),
        left_out=tuple(one for found in new for one in found.left_out),
    )


def _of_form(cases: Sequence[Case]) -> Sequence[Case]:
    usual = usual_form(cases) if cases else None
    return [case for case in cases if form_of(case.stack) == usual]


def _cases(
    known: LabelledData, studies: Sequence[LabelledStudy], columns: Sequence[str], start: Manifest
) -> Iterable[Found]:
    some = replace(known, studies=tuple(studies))
    return (labelled_cases(some, column, start) for column in columns)


def _is_own(case: Case, studies: Mapping[str, LabelledStudy], columns: Sequence[str]) -> bool:
    """Tell whether a stack has a label that is not the study's."""
    row = studies[case.stack.headers[0].study_instance_uid].row
    return any(case.labels.get(column) != row.get(column) for column in columns)


def _merged(cases: Sequence[Case]) -> list[Case]:
    """Return each stack once, with all that is known of it."""
    found: dict[tuple[str, int], Case] = {}
    for case in cases:
        key = (case.stack.facts.series_instance_uid, case.stack.facts.stack)
        before = found.get(key)
        found[key] = case if before is None else replace(before, labels={**case.labels, **before.labels})
    return list(found.values())


def _require(data: LabelledData, columns: Sequence[str], cases: Sequence[Case]) -> None:
    for column in columns:
        require_column(data, column, sum(column in case.labels for case in cases))


def _questions(cases: Sequence[Case], wanted: WantedAnswers) -> tuple[Question, ...]:
    questions = []
    for column in wanted.columns:
        labels = [case.labels[column] for case in cases if column in case.labels]
        questions.append(class_question(column, labels))
    for column, unit in wanted.numbers:
        for case in cases:
            if column in case.labels:
                number_of(column, case.labels[column])
        questions.append(Question(column=column, unit=unit))
    return told_apart(questions)


def _unfit(reason: str, advice: str) -> NodeError:
    return NodeError(QUESTIONS_UNFIT, reason=reason, advice=advice)
