"""The card of a trained engine: what it was made from, how good it is as far as measured, and its limits.

Counts and figures only: no name, no identifier, no date of a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dicomnode.learn.train.job import HeldOut
from dicomnode.learn.train.recipe import Recipe
from dicomnode.values import Refusal

_FEW_PATIENTS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCount:
    """What a part of the data holds."""

    name: str
    patients: int
    cases: int
    synthetic: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What another training gave on the same split. name: how it differs; score: of the validation."""

    name: str
    score: float
    figures: Sequence[HeldOut]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the card tells. left_out, missed: with the reason. notes: sentences of the task.

    versions: of what it was trained with. folds: score of each fold of a cross-validation. beside: another
    training that this one is compared with.
    """

    title: str
    recipe: Recipe
    parts: Sequence[PartCount]
    data_digest: str
    best_epoch: int
    best_score: float
    score_name: str
    epochs: int
    stopped: str
    machine: str
    figures: Sequence[HeldOut]
    left_out: Sequence[Refusal] = ()
    missed: Sequence[Refusal] = ()
    notes: Sequence[str] = ()
    begun_from: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    folds: Sequence[float] = ()
    beside: Beside | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)


def card_text(facts: CardFacts) -> str:
    """Return card.md."""
    recipe = facts.recipe
    lines = [
        f"# {facts.title}",
        "",
        "Trained by `dicomnode train`. Research and engineering. Not for clinical use.",
        "",
    ]
    lines += ["## Data", "", "| part | patients | cases | synthetic |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {one.name} | {one.patients} | {one.cases} | {one.synthetic} |" for one in facts.parts]
    lines += ["", f"Digest of the data: {facts.data_digest}.", *synthetic_lines(facts.parts)]
    if facts.left_out:
        lines += ["", f"{len(facts.left_out)} cases were left out:", "", *_reasons(facts.left_out)]
    lines += ["", *(f"- {note}" for note in facts.notes)] if facts.notes else []
    lines += ["", "## Figures", "", *_figures(facts)]
    lines += _compared(facts, facts.beside) if facts.beside is not None else []
    lines += ["", "## Limits", "", *(f"- {one}" for one in _limits(facts))]
    lines += ["", "## Training", "", *(f"- {one}" for one in _training(facts))]
    lines += ["", "The whole recipe is in recipe.toml, the curves in curves.html and curves.csv.", ""]
    lines += ["```toml", recipe.text.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def synthetic_lines(parts: Sequence[PartCount]) -> list[str]:
    """Say which cases were of nobody; nothing where none was."""
    cases, synthetic = sum(one.cases for one in parts), sum(one.synthetic for one in parts)
    if not synthetic:
        return []
    which = "All cases are" if synthetic == cases else f"{synthetic} of {cases} cases are"
    return ["", f"**{which} synthetic: nobody was imaged. Figures on them say nothing of patients.**"]


def _figures(facts: CardFacts) -> list[str]:
    if not facts.figures:
        return [
            "Nothing was held out, or nothing of it could be judged: how good this engine is, is not known."
        ]
    how = (
        "On the held-out part, by the finished engine as it runs in service, on the grid of the images; "
        "intervals of 95 % by the bootstrap over patients."
    )
    lines = [
        how,
        "",
        "| figure | cases | value | from | to |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for one in facts.figures:
        interval = one.interval
        value = "–" if interval.figure.value is None else f"{interval.figure.value:.3f}"
        ends = ["–" if end is None else f"{end:.3f}" for end in (interval.low, interval.high)]
        lines.append(f"| {one.name} | {one.cases} | {value} | {ends[0]} | {ends[1]} |")
    remarks = dict.fromkeys(remark for one in facts.figures for remark in one.interval.remarks)
    lines += ["", *(f"- {remark}" for remark in remarks)] if remarks else []
    if facts.missed:
        lines += ["", f"{len(facts.missed)} held-out cases could not be judged:", "", *_reasons(facts.missed)]
    return lines


def _compared(facts: CardFacts, beside: Beside) -> list[str]:
    """Return a table of this training and the other one, on the same split."""
    others = {one.name: one for one in beside.figures}
    lines = ["", f"The same training {beside.name}, on the same split:", ""]
    lines += [f"| figure | this engine | {beside.name} |", "| --- | ---: | ---: |"]
    lines.append(f"| {facts.score_name}, of the validation | {facts.best_score:.3f} | {beside.score:.3f} |")
    for one in facts.figures:
        values = [_valued(one), _valued(others[one.name]) if one.name in others else "–"]
        lines.append(f"| {one.name} | {values[0]} | {values[1]} |")
    return lines


def _valued(one: HeldOut) -> str:
    interval = one.interval
    if interval.figure.value is None:
        return "–"
    if interval.low is None or interval.high is None:
        return f"{interval.figure.value:.3f}"
    return f"{interval.figure.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _reasons(refusals: Iterable[Refusal]) -> list[str]:
    counts: dict[str, int] = {}
    for one in refusals:
        reason = one.text.partition("): ")[2] or one.text  # without the folder that the case lies in
        counts[reason] = counts.get(reason, 0) + 1
    return [f"- {count} × {reason}" for reason, count in sorted(counts.items())]


def _limits(facts: CardFacts) -> list[str]:
    limits = [
        "It is meant for images like those it was trained on; engine.toml refuses what headers tell apart."
    ]
    held_out = [one for one in facts.parts if one.name == "test"]
    if not held_out or not held_out[0].patients:
        limits.append("No patient was held out.")
    elif held_out[0].patients < _FEW_PATIENTS:
        limits.append(f"Held out were {held_out[0].patients} patient(s): so few make intervals too narrow.")
    limits.append(
        "Validation and test come from the same source as the training; another scanner may differ."
    )
    return limits


def _training(facts: CardFacts) -> list[str]:
    recipe = facts.recipe
    kept = (
        f"{facts.epochs} epochs of {recipe.epochs}; the weights of epoch {facts.best_epoch} were kept "
        f"({facts.score_name} of the validation {facts.best_score:.4f})"
    )
    lines = [f"task {recipe.task}, network {recipe.net}, seed {recipe.seed}", kept]
    if facts.stopped:
        lines.append(f"stopped early: {facts.stopped}")
    if facts.begun_from:
        lines.append(facts.begun_from)
    if facts.folds:
        mean = sum(facts.folds) / len(facts.folds)
        spread = (sum((one - mean) ** 2 for one in facts.folds) / max(len(facts.folds) - 1, 1)) ** 0.5
        values = ", ".join(f"{one:.4f}" for one in facts.folds)
        lines.append(
            f"cross-validation by patient, {len(facts.folds)} folds: {facts.score_name} {mean:.4f} "
            f"(standard deviation {spread:.4f}; {values})"
        )
    lines.append(f"trained on {facts.machine}; " + ", ".join(f"{k} {v}" for k, v in facts.versions.items()))
    lines += [f"{name}: {value}" for name, value in facts.plan.items()]
    return lines
