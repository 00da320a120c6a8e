"""The true class, and the true number, of a case: from a table, or from the coded answers of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dicomnode.evaluate.truth.lesions import true_lesions
from dicomnode.evaluate.truth.outlines import speaks_of
from dicomnode.evaluate.truth.trust import Labels
from dicomnode.evaluate.truth.wanted import By, Wanted
from dicomnode.evaluate.truth.words import coded_yes_no, names_class, number, same_word, yes_no
from dicomnode.values import Code

T = TypeVar("T", bool, str, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueAnswer(Generic[T]):
    """What is true, how it was matched, and whence ("column malignant"). problem: why it cannot be used."""

    value: T | None
    by: By
    source: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with one of several classes as the answer: its outputs, and the names of all classes.

    wanted: outputs of the classes that the engine reports, classes: all names in the order of the network.
    said: columns that a person named for any of them.
    """

    wanted: tuple[Wanted, ...]
    classes: tuple[str, ...]

    @property
    def said(self) -> tuple[str, ...]:
        """What a person named for any of the outputs."""
        return tuple(dict.fromkeys(label for one in self.wanted for label in one.said))


def true_yes(wanted: Wanted, labels: Labels, others: Sequence[str] = ()) -> TrueAnswer[bool] | None:
    """Tell whether a case is of a class; None where no label says it.

    A column of its name holds yes or no; any column that a person named, or that is called by the class, may
    hold the class itself. others: names of the classes that exclude it ("benign"). Of reports: an answer yes
    or no to its concept, or the concept itself as an answer, or a finding of its type with a place.
    """
    column = wanted.column(tuple(labels.row))
    if column is not None:
        name, by = column
        cell, source = labels.row[name], f"column {name}"
        value = yes_no(cell)
        if value is None and any(names_class(name, cell, word) for word in (wanted.label, *wanted.words)):
            value = True
        elif value is None and any(names_class(name, cell, other) for other in others):
            value = False
        problem = "" if value is not None else f"{source} has neither yes nor no, nor a class of the engine"
        return TrueAnswer(value=value, by=by, source=source, problem=problem)
    coded = list(_coded(wanted, labels))
    if coded:
        return _agreed([TrueAnswer(value=value, by=by, source=source) for value, by, source in coded])
    for one in _column_of_classes((wanted.label, *others), labels):
        value = names_class(one, labels.row[one], wanted.label)
        return TrueAnswer(value=value, by=By.LABEL, source=f"column {one}")
    lesions = true_lesions(wanted, labels) if wanted.spec.type is not None else None
    if lesions is None:
        return None
    return TrueAnswer(value=bool(lesions.lesions), by=lesions.by, source=lesions.source)


def _agreed(answers: Sequence[TrueAnswer[T]]) -> TrueAnswer[T]:
    """Return what all reports say; where they differ nothing is known: which is right nobody has said."""
    first = answers[0]
    if all(one.value == first.value for one in answers):
        return first
    return TrueAnswer(value=None, by=first.by, source=first.source, problem=f"{first.source} differ")


def _coded(wanted: Wanted, labels: Labels) -> Iterator[tuple[bool, By, str]]:
    for annotation in (one for one in labels.annotations if speaks_of(one, labels)):
        for concept, value in annotation.answers:
            by = wanted.fits(concept.meaning, concept)
            said = coded_yes_no(value)
            if by is not None and said is not None:
                yield said, by, f"answers to {concept}"
            elif wanted.spec.type is not None and value == wanted.spec.concept:
                yield True, By.CODE, f"answers to {concept}"


def true_class(asked: Asked, labels: Labels) -> TrueAnswer[str] | None:
    """Return which of several classes a case is of; None where no label says it.

    A column that a person named, or one that holds classes of the engine, or yes or no in a column for each
    class of which one says yes. Of reports: an answer that is the code of a class.
    """
    columns = [one for one in labels.row if any(same_word(one, said) for said in asked.said)]
    by = By.SAID if asked.said else By.LABEL
    for name in columns or _column_of_classes(asked.classes, labels):
        known = [one for one in asked.classes if names_class(name, labels.row[name], one)]
        problem = "" if known else f"column {name} has a class that the engine does not know"
        value = known[0] if known else None
        return TrueAnswer(value=value, by=by, source=f"column {name}", problem=problem)
    one_hot = {one: _says(labels, one) for one in asked.classes}
    yes = [one for one, said in one_hot.items() if said]
    if len(yes) == 1:
        return TrueAnswer(value=yes[0], by=By.LABEL, source="a column for each class")
    said = [
        TrueAnswer(value=one.label, by=By.CODE, source=f"answers to {concept}")
        for annotation in labels.annotations
        if speaks_of(annotation, labels)
        for concept, answer in annotation.answers
        for one in asked.wanted
        if one.spec.type is not None and answer == one.spec.concept
    ]
    return _agreed(said) if said else None


def _says(labels: Labels, name: str) -> bool:
    cells = [labels.row[column] for column in labels.row if same_word(column, name)]
    return bool(cells) and yes_no(cells[0]) is True


def _column_of_classes(classes: Sequence[str], labels: Labels) -> list[str]:
    """Return the columns whose cell is one of the classes: there must be one only, else it is a guess."""
    if len(classes) < 2:
        return []
    found = [
        name for name, cell in labels.row.items() if any(names_class(name, cell, one) for one in classes)
    ]
    return found if len(found) == 1 else []


def true_number(wanted: Wanted, unit: Code, labels: Labels) -> TrueAnswer[float] | None:
    """Return the true number of a case, in `unit`; None where no label says it.

    A column's numbers are taken for that unit: a table does not say it. A measurement of a report counts
    where its unit is that one; numbers in another unit are a problem, and are not converted. So are different
    numbers of several reports.
    """
    column = wanted.column(tuple(labels.row))
    if column is not None:
        name, by = column
        value = number(labels.row[name])
        problem = "" if value is not None else f"column {name} has a cell that is no number"
        return TrueAnswer(value=value, by=by, source=f"column {name}", problem=problem)
    said: list[TrueAnswer[float]] = []
    for annotation in (one for one in labels.annotations if speaks_of(one, labels)):
        # Groups of no place stand in the measurements of the whole already
        placed = (one for one in annotation.regions if one.kind is not None or one.segment is not None)
        regions = [*annotation.measurements, *(m for one in placed for m in one.measurements)]
        fitting = [(one, how) for one in regions if (how := wanted.fits(one.concept.meaning, one.concept))]
        if len(fitting) != 1:
            continue  # of several lesions each has its own: which is meant cannot be told
        measured, by = fitting[0]
        source = f"measurements of {measured.concept}"
        if measured.unit == unit:
            said.append(TrueAnswer(value=measured.value, by=by, source=source))
            continue
        problem = f"{source} are in {measured.unit.value}, the engine's in {unit.value}"
        return TrueAnswer(value=None, by=by, source=source, problem=problem)
    return _agreed(said) if said else None
