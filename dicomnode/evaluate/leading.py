"""What leads a report: what is missed, and why the accuracy may hide it.

An accuracy of 98 % can stand beside a matrix in which one of eighteen sick is found. Here the accuracy never
comes first, warnings come before it, and printed numbers are held against the matrix beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from dicomnode.evaluate.classification import ClassFigures, ClassificationReport
from dicomnode.evaluate.figures import Figure

MISSED: Final = 0.5
"""A recall below this is a warning: more are missed than found."""

HIDDEN: Final = 0.2
"""So is a recall that lies this far below the accuracy: who reads that alone expects something else."""

FEW: Final = 30
"""So are fewer cases of a class: at 30, one case more or less moves the recall by 0.03."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A number that a document prints: its name ("accuracy", "support" …), its class, and its very text.

    The text says how exactly it is meant: 0.9802 is anything that rounds to it, and so is "98.02 %".
    Raises ValueError on a text that is no number.
    """

    name: str
    text: str
    label: str | None = None

    def __post_init__(self) -> None:
        try:
            number = Decimal(self._digits)
        except InvalidOperation:
            raise ValueError(f"the printed {self.name} is no number: {self.text!r}") from None
        if not number.is_finite():
            raise ValueError(f"the printed {self.name} is no number: {self.text!r}")

    @property
    def _digits(self) -> str:
        return self.text.strip().removesuffix("%").strip()

    @property
    def value(self) -> float:
        """The number; percent as a part of 1."""
        return float(Decimal(self._digits).scaleb(-self._shift))

    @property
    def half_step(self) -> float:
        """Half a unit of its last decimal."""
        exponent = int(Decimal(self._digits).as_tuple().exponent)
        return 0.5 * 10.0 ** (exponent - self._shift)

    @property
    def _shift(self) -> int:
        return 2 if self.text.strip().endswith("%") else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A printed number that the matrix beside it does not give; computed: what it gives."""

    printed: Printed
    computed: Figure

    @property
    def shown(self) -> str:
        """What the matrix gives, as it is written: counts whole, figures with their counts."""
        exact = self.computed.value
        return f"{exact:.0f}" if exact is not None and self.printed.name in _COUNTS else self.computed.text

    @property
    def text(self) -> str:
        """One sentence."""
        return (
            f"The printed {self.computed.title}, {self.printed.text}, contradicts the matrix: {self.shown}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The order in which a report speaks.

    lead: the recall of what is looked for, else the lowest recall of a class. warnings: sentences that stand
    beside it. then: all other figures, the accuracy last, with what calling everything one class would give.
    at: what the lead was bought with, and says nothing without: the false alarms of a sensitivity.
    """

    lead: Figure
    warnings: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    then: tuple[Figure, ...]
    at: Figure | None = None

    @property
    def text(self) -> str:
        """The lead, and at what it was reached."""
        return self.lead.text if self.at is None else f"{self.lead.text} at {self.at.text} {self.at.title}"

    def lines(self) -> tuple[str, ...]:
        """The whole headline in sentences, in order."""
        first = f"{self.lead.title}: {self.text}"
        told = [first, *self.warnings, *(one.text for one in self.contradictions)]
        return (*told, *(f"{figure.title}: {figure.text}" for figure in self.then))


def headline(report: ClassificationReport, printed: Sequence[Printed] = ()) -> Headline:
    """Put a report in order: what is missed, warnings, printed numbers that are wrong, then the rest.

    printed: what a document prints beside this matrix. Raises ValueError as `contradictions`.
    """
    leading = _leading(report)
    rest = tuple(figure for figure in report.figures() if figure is not leading.recall)
    return Headline(
        lead=leading.recall,
        warnings=tuple(_warnings(report, leading)),
        contradictions=contradictions(report, printed),
        then=rest,
    )


_COUNTS: Final = ("support", "called", "total")


def _unknown(one: Printed, known: set[tuple[str, str | None]]) -> str:
    """Say what stands in the report in place of what is not there."""
    labels = sorted({label for name, label in known if name == one.name and label is not None})
    if labels:
        wanted = "needs a label" if one.label is None else f"is not known of {one.label!r}"
        return f"{one.name!r} {wanted}; the labels are {', '.join(labels)}"
    if any(name == one.name for name, _ in known):
        return f"{one.name!r} is of all cases: it has no label"
    return f"the report has no {one.name!r}; it has {', '.join(sorted({name for name, _ in known}))}"


def contradictions(report: ClassificationReport, printed: Sequence[Printed]) -> tuple[Contradiction, ...]:
    """Find the printed numbers that the matrix does not give, beyond their rounding.

    Names: those of the figures, and "support" (row sum), "called" (column sum) and "total".
    Raises ValueError on a name, or a class, that the report does not have.
    """
    known = {(figure.name, figure.label): figure for figure in (*report.figures(), *_sums(report))}
    found = []
    for one in printed:
        figure = known.get((one.name, one.label))
        if figure is None:
            raise ValueError(_unknown(one, set(known)))
        # Half of the last printed decimal, and what the representation of both in binary can add
        if figure.value is None or abs(figure.value - one.value) > one.half_step * (1 + 1e-9):
            found.append(Contradiction(printed=one, computed=figure))
    return tuple(found)


def _sums(report: ClassificationReport) -> list[Figure]:
    matrix = report.matrix
    sums = [Figure(name="total", value=float(matrix.total))]
    for name, counts in (("support", matrix.support), ("called", matrix.called)):
        pairs = zip(matrix.labels, counts, strict=True)
        sums += [Figure(name=name, label=label, value=float(count)) for label, count in pairs]
    return sums


def _leading(report: ClassificationReport) -> ClassFigures:
    if report.matrix.positive is not None:
        return report.of(report.matrix.positive)
    return min(report.classes, key=lambda one: 2.0 if one.recall.value is None else one.recall.value)


def _warnings(report: ClassificationReport, leading: ClassFigures) -> list[str]:
    asked = report.classes if report.matrix.positive is None else (leading,)
    warnings = _missed(report, leading) + _blind(report) + _for_nothing(asked)
    for one in report.classes:
        if 0 < one.support < FEW:
            warnings.append(f"Only {one.support} cases are {one.label}: its figures may be far off.")
    undefined = [figure for figure in report.figures() if figure.value is None]
    return warnings + [f"There is no {figure.title}: {figure.reason}." for figure in undefined]


def _missed(report: ClassificationReport, leading: ClassFigures) -> list[str]:
    """Classes that are mostly missed, the leading one first; then what the accuracy hides."""
    accuracy, told = report.accuracy.value, []
    for one in (leading, *(other for other in report.classes if other is not leading)):
        recall = one.recall.value
        if recall is None or accuracy is None:
            continue
        if recall < MISSED:
            hits, missed = one.recall.part, one.support - (one.recall.part or 0)
            of = f"Of {one.support} cases that are {one.label}, "
            looked_for = report.matrix.positive
            if looked_for in {None, one.label}:
                told.append(f"{of}{hits} were found, {missed} were missed.")
            else:  # nobody looks for those who have nothing
                told.append(f"{of}{missed} were called something else.")
        if accuracy - recall > HIDDEN:
            told.append(f"The accuracy ({accuracy:.3f}) hides the recall of {one.label} ({recall:.3f}).")
    return told


def _blind(report: ClassificationReport) -> list[str]:
    """An accuracy that is no better than not looking."""
    accuracy, most = report.accuracy.value, report.accuracy_without_looking.value
    if accuracy is None or most is None or accuracy > most:
        return []
    frequent = report.matrix.labels[report.matrix.support.index(max(report.matrix.support))]
    blindly = f"Calling every case {frequent} would be right in {most:.3f} of the cases"
    return [f"{blindly}: an accuracy of {accuracy:.3f} is no better than not looking."]


def _for_nothing(classes: Sequence[ClassFigures]) -> list[str]:
    """Classes that a case is of no more often when it was called so."""
    told = []
    for one in classes:
        precision, prevalence = one.precision.value, one.prevalence.value
        if precision is not None and prevalence is not None and precision <= prevalence < 1:
            so = f"Of the cases called {one.label}, {precision:.3f} are so; of all cases {prevalence:.3f} are"
            told.append(f"{so}: being called {one.label} says nothing for it.")
    return told
