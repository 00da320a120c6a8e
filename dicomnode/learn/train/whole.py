"""What classes and numbers have in common: cases by a label, inputs of one size, a network with a row."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from dicomnode.evaluate.data import LabelledData
from dicomnode.faults import PREPARATION_FAILED, NodeError
from dicomnode.learn.train.augment import flips_of, speaks_of_side
from dicomnode.learn.train.cases import Case, Found, form_of, labelled_cases, of_usual_form
from dicomnode.learn.train.cines import plan_cines
from dicomnode.learn.train.fused import fused_network
from dicomnode.learn.train.fusion import first_of, fused, with_attributes, with_series
from dicomnode.learn.train.looking import look_at_all
from dicomnode.learn.train.plan import Plan, plan_pictures, plan_volumes, rules_of, start_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample, digests_of, fed
from dicomnode.learn.train.told import require_column, said_of
from dicomnode.values import Progress, Refusal


def cases_with(data: LabelledData, column: str, recipe: Recipe) -> Found:
    """Return a case of each study that has a label: the stacks that an engine would take in service.

    A label that no table has is looked for in the reports. Raises NodeError(LABELS_UNFIT) where nobody says
    anything.
    """
    known = data
    if column not in data.columns:
        said = {study.study.study_instance_uid: said_of(study, column) for study in data.studies}
        studies = [
            replace(study, row={**study.row, column: label})
            for study in data.studies
            if (label := said[study.study.study_instance_uid]) is not None
        ]
        require_column(data, column, len(studies))
        known = replace(data, studies=tuple(studies))
    every = labelled_cases(known, column).cases
    require_column(data, column, len(every))
    fitting = of_usual_form(every, ()).cases
    form = form_of(fitting[0].stack)
    start = first_of(recipe, form[0]) if recipe.series else start_of(form, *rules_of(fitting))
    chosen = labelled_cases(known, column, start)
    require_column(data, column, len(chosen.cases))
    return with_attributes(with_series(chosen, known, recipe), recipe)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeJob(ABC):
    """The part of a `Job` that looks at whole studies. column: of the label. outputs: of the network."""

    recipe: Recipe
    cases: Sequence[Case]
    column: str
    outputs: int
    left_out: Sequence[Refusal] = ()
    score_name: str = ""
    output_names: Sequence[str] = ("row",)

    @property
    def flips(self) -> Sequence[str]:
        """None where the label speaks of a side."""
        said = [self.column, *(case.labels[self.column] for case in self.cases)]
        return flips_of(self.recipe.augmentation, sided=speaks_of_side(said))

    def stratum_of(self, case: Case) -> str:
        """Return its label; numbers are more than ten, and stratify nothing."""
        return case.labels[self.column]

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """Decide size, spacing and scaling, and how further series and attributes go in."""
        return fused(self._of_first(training, progress), self.recipe, training)

    def _of_first(self, training: Sequence[Case], progress: Progress) -> Plan:
        kind = training[0].stack.kind
        if kind == "cine":
            return plan_cines(self.recipe, training)
        if kind != "volume":
            return plan_pictures(self.recipe, training)
        looked, looks = look_at_all(training, progress)
        return plan_volumes(self.recipe, looked, looks)

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare the images; the label goes along as it is read."""
        ready = fed(plan.manifest("training"), case.load(), case.load_beside())
        if isinstance(ready, Refusal):
            return ready
        if ready.inputs.shape[1:] != plan.shape.patch_kji:
            reason = (
                f"it has the size {ready.inputs.shape[1:]} and not {plan.shape.patch_kji} (several frames)"
            )
            raise NodeError(PREPARATION_FAILED, reason=reason)
        return Sample(
            name="",
            patient=case.patient,
            inputs=ready.inputs,
            target=np.array([self.value_of(case)], dtype=np.float32),
            spacing_kji_mm=ready.grid.spacing_kji_mm,
        )

    @abstractmethod
    def value_of(self, case: Case) -> float:
        """Return the label as a number."""

    def content(self, case: Case) -> Sequence[bytes | str]:
        """Return the label as a number, and what it is of."""
        beside = [digest for name, one in case.beside.items() for digest in (name, *digests_of(one))]
        return [self.column, repr(self.value_of(case)), json.dumps(dict(case.said)), *beside]

    def network(self, plan: Plan) -> nn.Module:
        """Build it."""
        return fused_network(self.recipe, plan, self.outputs)
