"""What the card of an engine says of the types of its nodules."""

from __future__ import annotations

from typing import Final

from dicomnode.evaluate import Interval
from dicomnode.learn.types.chests import KINDS, NODULES, USUAL
from dicomnode.learn.types.figures import NOT_SURE, TypeTable
from dicomnode.learn.types.forest import Lessons, Softmax
from dicomnode.learn.types.found import PROFILE
from dicomnode.learn.types.order import LEARNED_PART, TypesOrder

HEADING: Final = "## The type of each nodule"
_LIMITS: Final = (
    "All figures are of nodules planted into phantoms, and found. Nothing is said of patients.",
    (
        "Phantoms have five clean types. A patient's nodule may have two (a cavity in a part-solid one), or "
        "fat, of which nothing was learned."
    ),
    "A type is said of whatever is found, also of what is no nodule: there it means nothing.",
    (
        "It follows from the HU within and around the outline: thick slices, contrast medium and sharp "
        "kernels change them."
    ),
)


def card_text(before: str, order: TypesOrder, made: tuple[Lessons, Softmax, TypeTable], size: int) -> str:
    """Return the card of the given engine with what is to be said of types; what it said of them makes way.

    size: bytes of the forest.
    """
    lessons, softmax, table = made
    lines = [
        HEADING,
        "",
        (
            f"`{PROFILE.label}` gives {len(PROFILE.names)} numbers of each outline and of what is around it, "
            f"{order.trees} extremely randomised trees ({size / 1e6:.2f} MB) the type. Below a probability "
            f"of {order.sure:g} none is said: the composition is undetermined."
        ),
        "",
        *_learned(order, lessons, softmax),
        "",
        *_answers(table),
        "",
        *_figures(table),
        "",
        *_said(table),
        "",
        *(f"- {one}" for one in _LIMITS),
        "",
        *_made(order),
    ]
    return before.partition(f"\n{HEADING}")[0].rstrip() + "\n\n" + "\n".join(lines) + "\n"


def _learned(order: TypesOrder, lessons: Lessons, softmax: Softmax) -> list[str]:
    counts = [int((lessons.types == n).sum()) for n in range(len(KINDS))]
    of_each = ", ".join(f"{count} {kind}" for kind, count in zip(KINDS, counts, strict=True))
    usual = ", ".join(f"{kind} {100 * USUAL[kind]:.0f} %" for kind in KINDS)
    lines = [
        (
            f"Learned from {len(lessons.types)} nodules ({of_each}) that the engine found in {order.chests} "
            f"drawn chests (seeds {order.trained.start} to {order.trained.stop - 1}; {NODULES} nodules each, "
            f"from 4 to 25 mm, all diseases), down to {LEARNED_PART:g} of its threshold. No real scan. "
            "Nobody labelled anything."
        ),
    ]
    if softmax.fitted:
        lines.append(
            f"Probabilities were fitted on {order.judged} others (seeds from {order.calibrated.start}), for "
            f"nodules as frequent as this: {usual}."
        )
    else:
        lines.append(
            "Too few of each type were found to fit probabilities to: they are the trees' own shares."
        )
    return lines


def _answers(table: TypeTable) -> list[str]:
    lines = [
        f"Judged on {table.patients} chests of held-out seeds; of nodules that it found, what was said:",
        "",
        f"| true type | planted | found | {' | '.join(KINDS)} | not sure |",
        f"| --- | {' | '.join(['---:'] * (len(KINDS) + 3))} |",
    ]
    for n, kind in enumerate(KINDS):
        row = table.answers[n]
        cells = " | ".join(str(int(one)) for one in (*row[: len(KINDS)], row[NOT_SURE]))
        lines.append(f"| {kind} | {table.planted[n]} | {int(row.sum())} | {cells} |")
    return lines


def _figures(table: TypeTable) -> list[str]:
    lines = ["| share | of | value | from | to |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {one.name} | {one.interval.figure.whole} | {_cells(one.interval)} |" for one in table.lines]
    return [*lines, "", "Intervals of 95 %, by the bootstrap over chests."]


def _cells(interval: Interval) -> str:
    values = (interval.figure.value, interval.low, interval.high)
    return " | ".join("–" if one is None else f"{one:.3f}" for one in values)


def _said(table: TypeTable) -> list[str]:
    lines = []
    if table.usual is not None:
        right, sure = table.usual
        lines.append(
            f"Types as frequent as usual, {right:.3f} of what it says is right; on average it says a "
            f"probability of {sure:.3f}."
        )
    if table.alarms:
        lines.append(
            f"Of {table.alarms} candidates that lie on no nodule {table.alarms_typed} were given a type all "
            "the same."
        )
    return lines


def _made(order: TypesOrder) -> list[str]:
    command = (
        f"dicomnode train lung-types --engine {order.engine.name} --out {order.out.name} "
        f"--chests {order.chests} --judged {order.judged} --trees {order.trees} --sure {order.sure:g} "
        f"--seed {order.seed}"
    )
    made_on = f"{order.machine or 'an unnamed machine'}, {order.made_at:%Y-%m-%d %H:%M} UTC"
    text = f"Made by `{command}`, on {made_on}; the same command on the same engine gives the same trees."
    return [text]
