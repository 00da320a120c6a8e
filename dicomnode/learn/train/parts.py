"""Which cases teach, which decide when it ends, and which are held out: whole patients, by a kept split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.evaluate.data import LabelledData, LabelledStudy, Part, draw_folds, kept_split
from dicomnode.evaluate.data import strata_of as annotated_or_not
from dicomnode.faults import NOTHING_TO_LEARN, NodeError
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.job import Learning
from dicomnode.learn.train.recipe import Recipe

_MOST_STRATA: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Cases of each part, and the parts of each fold of a cross-validation, which have no test part."""

    train: Sequence[Case]
    validation: Sequence[Case]
    test: Sequence[Case] = ()
    folds: Sequence[Parts] = ()

    @property
    def named(self) -> tuple[tuple[str, Sequence[Case]], ...]:
        """Parts with their names."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))

    def studies(self, data: LabelledData) -> Mapping[str, Sequence[LabelledStudy]]:
        """Return the studies that the cases of each part are of."""
        return {
            name: [study for study in data.studies if study.patient in {case.patient for case in cases}]
            for name, cases in self.named
        }


def strata_of(job: Learning) -> dict[str, str]:
    """Return a stratum for each patient: of several the rarest, so that what is rare is in all parts.

    Where there are more than ten, they are names and stratify nothing.
    """
    found: dict[str, set[str]] = {}
    for case in job.cases:
        found.setdefault(case.patient, set()).add(job.stratum_of(case))
    counts = Counter(stratum for strata in found.values() for stratum in strata)
    if len(counts) > _MOST_STRATA:
        return dict.fromkeys(found, "")
    return {patient: min(strata, key=lambda one: (counts[one], one)) for patient, strata in found.items()}


def split_cases(
    cases: Sequence[Case],
    data: LabelledData,
    path: Path,
    recipe: Recipe,
    strata: Mapping[str, str] | None = None,
) -> Parts:
    """Split cases as the file says; patients that it does not know join it, none moves.

    strata: of each patient; by default who has any annotation is told from who has none.
    Raises NodeError: NOTHING_TO_LEARN where the training or the validation part has no case, and those of the
    file.
    """
    if strata is None:
        patients = {case.patient for case in cases}
        strata = annotated_or_not([study for study in data.studies if study.patient in patients])
    fractions = {
        Part.TRAIN: round(1.0 - recipe.validate_part - recipe.test_part, 9),
        Part.VALIDATION: recipe.validate_part,
        Part.TEST: recipe.test_part,
    }
    fresh = not path.exists()  # a kept one goes on as it was drawn
    split = kept_split(
        path, strata, seed=recipe.seed if fresh else None, fractions=fractions if fresh else None
    )
    of = {part: [case for case in cases if split.parts[case.patient] is part] for part in Part}
    for part, what in ((Part.TRAIN, "learned from"), (Part.VALIDATION, "judged by")):
        if not of[part]:
            found = len(strata)
            raise NodeError(
                NOTHING_TO_LEARN,
                task=recipe.task,
                reason=f"{found} patients have labels, and none of them is left to be {what}",
                advice="Label more patients, or change validate_part and test_part and give a new --split.",
            )
    folds: list[Parts] = []
    if recipe.folds:
        drawn = draw_folds(split, strata, recipe.folds)
        for number in range(recipe.folds):
            teach, tell = drawn.fold(number)
            folds.append(
                Parts(
                    train=[case for case in cases if case.patient in teach],
                    validation=[case for case in cases if case.patient in tell],
                )
            )
    if any(not fold.train or not fold.validation for fold in folds):
        raise NodeError(
            NOTHING_TO_LEARN,
            task=recipe.task,
            reason=f"there are too few patients for {recipe.folds} folds",
            advice="Take fewer folds.",
        )
    return Parts(train=of[Part.TRAIN], validation=of[Part.VALIDATION], test=of[Part.TEST], folds=tuple(folds))
