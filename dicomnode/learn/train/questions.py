"""Questions on whole studies that one network answers: classes and numbers, each with what is known of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dicomnode.engine.adding.labelling import code_table, concept_of, stem_of
from dicomnode.learn.train.package import STEP
from dicomnode.learn.train.told import NEGATIVE, class_title, classes_of, number_of
from dicomnode.values import Code
from dicomnode.values.codes import NO_UNIT

_BEYOND: Final = 0.5  # of the span of the training part: what lies further is not plausible


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """What a number is measured by while it trains: (number - centre) / spread."""

    centre: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Standard:
        """Mean and standard deviation of numbers; a spread of 0 becomes 1, as without any."""
        if not values:
            return cls()
        mean = math.fsum(values) / len(values)
        spread = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / len(values))
        return cls(centre=float(f"{mean:.6g}"), spread=float(f"{spread:.6g}") or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A column of the table, or a concept of reports.

    labels: its classes as they stand in the table, in the order of the network's outputs, and titles: how
    they are called; both () of a number. unit: of a number (UCUM).
    """

    column: str
    labels: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    unit: Code = NO_UNIT

    @property
    def is_number(self) -> bool:
        """Whether it is answered by a number, and not by a class."""
        return not self.labels

    @property
    def stem(self) -> str:
        """Its name as engine.toml has it."""
        return stem_of(self.column)

    @property
    def head(self) -> str:
        """Name of its [[step.head]]."""
        return f"row-{self.stem}"

    @property
    def output(self) -> str:
        """Name of its output of the network."""
        return f"row_{self.stem.replace('-', '_')}"

    @property
    def width(self) -> int:
        """Numbers of its row."""
        return max(len(self.labels), 1)

    def answer(self, labels: Mapping[str, str]) -> float:
        """Return number or place of the class; NaN: nobody has said. Raises NodeError(LABELS_UNFIT)."""
        label = labels.get(self.column)
        if label is None:
            return math.nan
        return number_of(self.column, label) if self.is_number else float(self.labels.index(label))

    def head_table(self, temperature: float) -> dict[str, Any]:
        """Return its [[step.head]]. temperature: of classes."""
        made: dict[str, Any] = {"name": self.head, "output": self.output}
        if self.is_number:
            return made | {"interpret": "regression"}
        how = {"activation": "softmax", "temperature": temperature, "names": list(self.titles)}
        return made | {"interpret": "classes", "classes": how}

    def class_outputs(self, *, calibrated: bool) -> list[dict[str, Any]]:
        """Return the [[output]] tables of classes: all but the first where that is a lack."""
        return [
            {
                "classification": stem_of(title),
                "step": STEP,
                "head": self.head,
                "channel": channel,
                "type": code_table(concept_of(title)),
                "calibrated": calibrated,
            }
            for channel, (label, title) in enumerate(zip(self.labels, self.titles, strict=True))
            if channel or label.strip().lower() not in NEGATIVE
        ]

    def number_output(self, standard: Standard, values: Sequence[float]) -> dict[str, Any]:
        """Return the [[output]] table of a number. values: those that were learned from; () of none."""
        low, high = min(values, default=standard.centre), max(values, default=standard.centre)
        beyond = round(_BEYOND * max(high - low, standard.spread), 6)
        return {
            "measurement": self.stem,
            "step": STEP,
            "head": self.head,
            "channel": 0,
            "type": code_table(concept_of(self.column)),
            "unit": code_table(self.unit),
            "scale": standard.spread,
            "offset": standard.centre,
            "plausible": [round(low - beyond, 6), round(high + beyond, 6)],
        }


def class_question(column: str, labels: Sequence[str]) -> Question:
    """Make a question of the labels that are known; NodeError(LABELS_UNFIT)."""
    classes = classes_of(column, labels)
    if len(classes) == 2:
        titles = tuple(class_title(column, one) for one in classes)
    else:
        titles = tuple(_title(column, one) for one in classes)
    return Question(column=column, labels=classes, titles=titles)


def _title(column: str, label: str) -> str:
    """Return how one of several classes is called: grade 2 of the column grade, and melanoma as it is."""
    says_something = any(one.isalpha() for one in label) and class_title(column, label) == label
    return label if says_something else f"{column} {label}"


def told_apart(questions: Sequence[Question]) -> tuple[Question, ...]:
    """Name classes of one title in several questions by their columns, too."""
    counts = Counter(stem_of(title) for one in questions for title in one.titles)
    return tuple(
        replace(one, titles=tuple(_apart(one.column, title, counts) for title in one.titles))
        for one in questions
    )


def _apart(column: str, title: str, counts: Counter[str]) -> str:
    return title if counts[stem_of(title)] == 1 else f"{column} {title}"
