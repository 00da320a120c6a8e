"""Which labels of a study are taken for the truth: what people drew or verified, and nothing replaces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from dicomnode.assemble import Stack
from dicomnode.evaluate.data.studies import LabelledStudy
from dicomnode.values import Annotation, Grid, MadeBy

_MACHINE: Final = (MadeBy.MACHINE,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """What is said of one case: a stack of a study, on its grid.

    annotations: those that count. series_instance_uid, stack: which one, "" for the study as a whole. grid:
    that the engine's masks are in, None where it has none. row: labels of the table by column. by_machines:
    how many objects were left out, since nobody verified them.
    """

    annotations: tuple[Annotation, ...]
    series_instance_uid: str
    stack: int
    grid: Grid | None
    row: Mapping[str, str]
    by_machines: int = 0


def labels_for(
    study: LabelledStudy, stack: Stack | None, grid: Grid | None, *, machine_labels: bool = False
) -> Labels:
    """Gather what is said of a stack, of the whole study where there is none.

    Objects that another one takes the place of do not count. What a machine made and nobody verified is no
    truth: it may be this engine's own answer. It counts with `machine_labels`. What is known of a phantom
    counts; on images that a generator drew nothing is known, and engines are engines.
    """
    replaced = {uid for one in study.annotations for uid in one.predecessors}
    there = [one for one in study.annotations if one.sop_instance_uid not in replaced]
    trusted = [one if machine_labels else _by_people(one) for one in there]
    return Labels(
        annotations=tuple(one for one in trusted if one is not None),
        series_instance_uid="" if stack is None else stack.facts.series_instance_uid,
        stack=0 if stack is None else stack.facts.stack,
        grid=grid,
        row=study.row if stack is None else study.labels_of(stack),
        by_machines=sum(one is None for one in trusted),
    )


def _by_people(annotation: Annotation, but: Collection[MadeBy] = _MACHINE) -> Annotation | None:
    """Return what people had a hand in of an object, None where that is nothing. but: what is left out."""
    if annotation.verified:
        return annotation
    if not annotation.segments:
        return None if annotation.made_by in but else annotation
    kept = tuple(one for one in annotation.segments if one.made_by not in but)
    return replace(annotation, segments=kept) if kept else None


def only_by_people(study: LabelledStudy, accepted: Collection[str] = ()) -> LabelledStudy:
    """Leave what people had a hand in, of phantoms, too. accepted: UIDs of what somebody said yes to."""
    said = [
        replace(one, verified=True) if one.sop_instance_uid in accepted else one for one in study.annotations
    ]
    kept = (_by_people(one, (*_MACHINE, MadeBy.KNOWN)) for one in said)
    return replace(study, annotations=tuple(one for one in kept if one is not None))
