"""What the card of an engine says of the types of its nodules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomnode.engine import EnginePackage
from dicomnode.learn.drawn.card import Made, bullets, cells, how_made, with_ends
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TypesCard:
    """What a card tells. given: the engine that finds nodules. lessons, calibrated: what was learned from.

    unmeasured: lesions that it found in all chests, and of which no row of numbers could be made.
    """

    given: EnginePackage
    lessons: Lessons
    calibrated: Lessons
    softmax: Softmax
    table: TypeTable
    unmeasured: int


def section_of(made: Made, order: TypesOrder, told: TypesCard, content: bytes) -> str:
    """Return what is to be said of types. content: the trees."""
    lines = [
        HEADING,
        "",
        (
            f"`{PROFILE.label}` gives {len(PROFILE.names)} numbers of each outline and of what is around it, "
            f"{order.trees} extremely randomised trees the type. Below a probability of {order.sure:g} none "
            "is said: the composition is undetermined."
        ),
        "",
        *_learned(order, told),
        "",
        *_answers(order, told.table),
        "",
        *_figures(told.table),
        "",
        *_said(told.table),
        "",
        *bullets(_LIMITS),
        "",
        "How the types were made:",
        "",
        *bullets(how_made(made, content, "set of trees")),
    ]
    return "\n".join(lines) + "\n"


def with_section(card: str, section: str) -> str:
    """Return a card that says this of types: in the place of what it said of them, else at its end."""
    before, _, said = f"\n{card}".partition(f"\n{HEADING}\n")
    _, heading, after = said.partition("\n## ")
    return f"{before.strip()}\n\n{section}{heading}{after}"


def _learned(order: TypesOrder, told: TypesCard) -> list[str]:
    seeds, given = order.seeds, told.given
    usual = ", ".join(f"{kind} {100 * USUAL[kind]:.0f} %" for kind in KINDS)
    trained, calibrated = seeds.trained, seeds.calibrated
    lines = [
        (
            f"Learned from {len(told.lessons.types)} nodules ({_of_each(told.lessons)}) that "
            f"{given.manifest.name} {given.manifest.version} (digest {given.digest}) found in "
            f"{order.chests} drawn chests (seeds {trained.start} to {trained.stop - 1}; at most {NODULES} "
            f"nodules each, from 4 to 25 mm, all diseases), down to {LEARNED_PART:g} of its threshold. "
            "No real scan. Nobody labelled anything."
        ),
    ]
    if told.softmax.fitted:
        lines.append(
            f"Probabilities were fitted on {len(told.calibrated.types)} nodules "
            f"({_of_each(told.calibrated)}) of {len(calibrated)} other chests (seeds {calibrated.start} to "
            f"{calibrated.stop - 1}), for nodules as frequent as this: {usual}; about as readers of "
            "LIDC-IDRI called 1391 nodules, but that of cavities is a guess."
        )
    else:
        lines.append(
            "Too few of each type were found to fit probabilities to: they are the trees' own shares."
        )
    if told.unmeasured:
        lines.append(f"{told.unmeasured} lesions gave no numbers; they are in no line of this.")
    return lines


def _of_each(lessons: Lessons) -> str:
    return ", ".join(f"{int((lessons.types == n).sum())} {kind}" for n, kind in enumerate(KINDS))


def _answers(order: TypesOrder, table: TypeTable) -> list[str]:
    held_out = order.seeds.judged
    lines = [
        (
            f"Judged on {table.patients} chests of held-out seeds ({held_out.start} to {held_out.stop - 1}); "
            "of nodules that it found, what was said:"
        ),
        "",
        f"| true type | planted | found | {' | '.join(KINDS)} | not sure |",
        f"| --- | {' | '.join(['---:'] * (len(KINDS) + 3))} |",
    ]
    for n, kind in enumerate(KINDS):
        row = table.answers[n]
        said = " | ".join(str(int(one)) for one in (*row[: len(KINDS)], row[NOT_SURE]))
        lines.append(f"| {kind} | {table.planted[n]} | {int(row.sum())} | {said} |")
    return lines


def _figures(table: TypeTable) -> list[str]:
    lines = ["| share | of | value | from | to |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {one.name} | {one.interval.figure.whole} | {cells(one.interval)} |" for one in table.lines]
    return [*lines, "", "Intervals of 95 %, by the bootstrap over chests; exact ones of a share of 0 or 1."]


def _said(table: TypeTable) -> list[str]:
    lines = []
    if table.usual is not None:
        right, sure = table.usual
        lines.append(
            f"Types as frequent as usual, {with_ends(right)} of what it says is right; on average it says a "
            f"probability of {sure:.3f}."
        )
    if table.alarms:
        lines.append(
            f"Of {table.alarms} candidates that lie on no nodule {table.alarms_typed} were given a type all "
            "the same."
        )
    return lines
