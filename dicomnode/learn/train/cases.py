"""From labelled studies to cases: one stack each, with the truth that is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dicomnode.assemble import Stack, load_picture, load_volume
from dicomnode.engine import Manifest, match
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.truth import labels_for
from dicomnode.faults import CASE_LEFT_OUT, NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.stand_ins import standing_in
from dicomnode.learn.train.structures import Structure, outlined
from dicomnode.values import Grid, Mask, Picture, Refusal, Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One stack to learn from.

    truths: mask of each structure by its number, on `grid`; what nobody has said is not there. labels: of the
    stack, by column. place: folder of its files within the data, for messages. synthetic: nobody was imaged.
    beside: further series, by the name of the input. said: attributes that a table gives, by keyword.
    """

    patient: str
    stack: Stack
    place: str
    synthetic: bool
    truths: Mapping[int, Mask] = field(default_factory=dict)
    grid: Grid | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, Stack] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> str:
        """How the case is called in messages: its folder, and how many files; no identity."""
        return f"{self.place or 'data'}, {len(self.stack.files)} files"

    def load(self) -> Volume | Picture:
        """Decode it. Raises NodeError as `load_volume`."""
        images = _loaded(self.stack)
        return standing_in(images, self.said) if self.said else images

    def load_beside(self) -> dict[str, Volume | Picture]:
        """Decode the further series, by the name of the input. Raises NodeError as `load_volume`."""
        return {name: _loaded(stack) for name, stack in self.beside.items()}

    def left_out(self, why: Refusal | NodeError) -> Refusal:
        """Say that it is left out."""
        refusal = why.refusal if isinstance(why, NodeError) else why
        reason = f"{refusal.code} {refusal.text}".rstrip(".")
        return CASE_LEFT_OUT.refusal(case=self.files, reason=reason)


def _loaded(stack: Stack) -> Volume | Picture:
    return load_volume(stack) if stack.kind == "volume" else load_picture(stack)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Cases to learn from, and what of the labels is none, each with the reason."""

    cases: tuple[Case, ...]
    left_out: tuple[Refusal, ...] = ()


def trusted(data: LabelledData, *, machine_labels: bool) -> tuple[LabelledData, int]:
    """Return the data with the annotations that are taken for the truth, and how many objects are not.

    By the same rule as an evaluation (`labels_for`): what a machine made and nobody verified may be an
    engine's own answer. It counts with `machine_labels`.
    """
    studies, by_machines = [], 0
    for study in data.studies:
        labels = labels_for(study, None, None, machine_labels=machine_labels)
        studies.append(replace(study, annotations=labels.annotations))
        by_machines += labels.by_machines
    return replace(data, studies=tuple(studies)), by_machines


def outlined_cases(data: LabelledData, structures: Sequence[Structure]) -> Found:
    """Return the stacks that have any of the structures outlined, of one kind and modality: the usual one.

    Structures of one study that are outlined on several series make a case of each. Raises
    NodeError(NOTHING_TO_LEARN).
    """
    left_out: list[Refusal] = []
    cases = [case for study in data.studies for case in _outlined(study, structures, left_out)]
    if not cases:
        raise NodeError(
            NOTHING_TO_LEARN,
            task="segments",
            reason=f"none of {len(data.studies)} studies has outlines (SEG, RTSTRUCT) on its images",
            advice="Put SEG or RTSTRUCT objects beside the images that they were drawn on; what a machine "
            "made and nobody verified counts with --machine-labels.",
        )
    return of_usual_form(cases, left_out)


def of_usual_form(cases: Sequence[Case], left_out: Sequence[Refusal]) -> Found:
    """Return the cases of the usual kind and modality; the others are left out with that reason."""
    usual = usual_form(cases)
    kind, modality = usual
    others = [case for case in cases if form_of(case.stack) != usual]
    reason = f"it is no {kind} of {modality or 'unknown modality'}, as most are"
    told = [CASE_LEFT_OUT.refusal(case=case.files, reason=reason) for case in others]
    kept = tuple(case for case in cases if form_of(case.stack) == usual)
    return Found(cases=kept, left_out=(*left_out, *told))


def _outlined(study: LabelledStudy, structures: Sequence[Structure], left_out: list[Refusal]) -> list[Case]:
    by_stack: dict[tuple[str, int], tuple[Stack, Grid, dict[int, Mask]]] = {}
    for number, (annotation, mask) in outlined(study.annotations, structures).items():
        for stack in study.stacks:
            grid = annotation.grid
            if grid is None or not lies_on(grid, stack, annotation.of_series):
                continue
            key = (stack.facts.series_instance_uid, stack.facts.stack)
            by_stack.setdefault(key, (stack, grid, {}))[2][number] = mask
            break
        else:
            reason = f"{structures[number].name} is outlined on images that make no volume or picture"
            left_out.append(CASE_LEFT_OUT.refusal(case=study.place or "data", reason=reason))
    return [
        Case(
            patient=study.patient,
            stack=stack,
            place=study.place,
            synthetic=study.synthetic,
            truths=truths,
            grid=grid,
            labels=study.labels_of(stack),
        )
        for stack, grid, truths in by_stack.values()
    ]


def lies_on(grid: Grid, stack: Stack, of_series: str) -> bool:
    """Tell whether outlines on `grid`, which speak of a series, are drawn on the slices of a stack."""
    if stack.facts.refusal is not None or stack.facts.series_instance_uid != of_series:
        return False
    if stack.placement is None:
        first = stack.headers[0]
        return grid.shape_kji[1:] == (first.rows, first.columns)
    return stack.placement.grid.same_as(grid)


def labelled_cases(data: LabelledData, column: str, manifest: Manifest | None = None) -> Found:
    """Return of each study that has a label in `column` the stack that an engine would take.

    manifest: of the engine in the making; without one, of the usual modality and kind the stack with the most
    slices. A label of a series or an instance makes a case of that stack.
    """
    cases: list[Case] = []
    left_out: list[Refusal] = []
    for study in data.studies:
        stacks = [one for one in study.stacks if one.facts.refusal is None]
        own = [one for one in stacks if study.labels_of(one).get(column) != study.row.get(column)]
        own = own or (_taken(stacks, manifest) if column in study.row else [])
        if not own and column in study.row:
            reason = "no series of it is of the kind that is learned from"
            left_out.append(CASE_LEFT_OUT.refusal(case=study.place or "data", reason=reason))
        cases += [
            Case(
                patient=study.patient,
                stack=stack,
                place=study.place,
                synthetic=study.synthetic,
                labels=study.labels_of(stack),
            )
            for stack in own
            if column in study.labels_of(stack)
        ]
    return Found(cases=tuple(cases), left_out=tuple(left_out))


def _taken(stacks: Sequence[Stack], manifest: Manifest | None) -> list[Stack]:
    if manifest is None:
        return list(stacks)
    chosen = {
        (one.series_instance_uid, one.stack)
        for one in match(manifest, [stack.facts for stack in stacks])
        if one.chosen
    }
    return [one for one in stacks if (one.facts.series_instance_uid, one.facts.stack) in chosen]


def form_of(stack: Stack) -> tuple[str, str]:
    """Return kind and modality of a stack."""
    return stack.kind, str(stack.facts.tags.get("Modality", ""))


def usual_form(cases: Sequence[Case]) -> tuple[str, str]:
    """Return the kind and modality that most patients have; of equals the first by its name."""
    pairs = {(case.patient, form_of(case.stack)) for case in cases}
    counts = Counter(form for _, form in pairs)
    return min(counts, key=lambda form: (-counts[form], form))
