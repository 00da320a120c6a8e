"""The look of labelled studies: by cheap features of their images, or by those that an engine gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from dicomnode.assemble import DecodeSlices, Stack, decode_here, load_picture, load_volume
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.dataset.images import ImageFeatures, image_features
from dicomnode.evaluate.dataset.look import DataSetLook, look_at
from dicomnode.evaluate.dataset.table import table_of
from dicomnode.evaluate.dataset.watching import StackKey, Watching, key_of
from dicomnode.evaluate.outcomes import CaseName, ClassificationResult
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.faults import DATA_WITHOUT_IMAGES, NodeError
from dicomnode.values import FeatureVector, Progress, no_progress

_LEAST_GIVEN: Final = 3
"""Rows of an engine's features below which they are no set to look at."""


def look_at_studies(
    data: LabelledData,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    decode: DecodeSlices = decode_here,
    progress: Progress = no_progress,
    watched: Watching | None = None,
) -> DataSetLook:
    """Look at every stack of some studies. labels: by Series Instance UID, those that are to be doubted.

    watched: what was kept while an engine answered: of these stacks nothing is decoded again, and where the
    engine gave features of three stacks and more, these are looked at. Stacks that were refused, cannot be
    decoded, or have no features of the engine are left out and told. Progress: "looking at images". Raises
    NodeError: EVALUATE_MISSING; DATA_WITHOUT_IMAGES where no stack can be decoded.
    """
    need_scikit_learn("The look of a data set")
    kept = watched or Watching()
    given = kept.given if len(kept.given) >= _LEAST_GIVEN else {}
    gathered = _gathered(data, kept, given, decode, progress)
    if not gathered.cases:
        raise NodeError(DATA_WITHOUT_IMAGES, stacks=gathered.stacks)
    cases, features = gathered.cases, gathered.features
    cheap = table_of(
        cases,
        [one.row for one in features],
        [one.thumbnail for one in features],
        [one.fine for one in features],
    )
    table = cheap
    if given:
        rows = [given[key] for key in gathered.keys]
        table = table_of(cases, [(one.names, one.values.astype(np.float64)) for one in rows])
    known = labels or {}
    look = look_at(table, [known.get(case.series_instance_uid) for case in cases], seed, cheap)
    left = gathered.left_out
    told = [f"{len(left)} of {gathered.stacks} stacks were left out: {', '.join(left)}."] if left else []
    return replace(
        look,
        remarks=(*look.remarks, *told),
        by=f"features of the engine {kept.by}" if given else look.by,
        pictures=tuple(one.shown for one in features),
    )


@dataclass(slots=True)
class _Gathered:
    """Features of stacks, in their order, and what was left out."""

    stacks: int
    cases: list[CaseName] = field(default_factory=list)
    keys: list[StackKey] = field(default_factory=list)
    features: list[ImageFeatures] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def _gathered(
    data: LabelledData,
    kept: Watching,
    given: Mapping[StackKey, FeatureVector],
    decode: DecodeSlices,
    progress: Progress,
) -> _Gathered:
    stacks = [(study, stack) for study in data.studies for stack in study.stacks]
    names = Counter(vector.names for vector in given.values())
    usual = names.most_common(1)[0][0] if names else ()
    made = _Gathered(stacks=len(stacks))
    for done, (study, stack) in enumerate(stacks):
        progress("looking at images", done, len(stacks))
        name, key = _case(study, stack), key_of(stack)
        why = ""
        if given and (key not in given or given[key].names != usual):
            why = "the engine gave no features of it"
        else:
            try:
                measured = kept.seen.get(key) or _features(stack, decode)
                why = "refused" if measured is None else ""
            except NodeError as error:
                measured, why = None, error.fault.code
            if measured is not None:
                made.cases.append(name)
                made.keys.append(key)
                made.features.append(measured)
        if why:
            made.left_out.append(f"{name.place or name.study_instance_uid}: {why}")
    progress("looking at images", len(stacks), len(stacks))
    return made


def column_labels(data: LabelledData, column: str) -> dict[str, str]:
    """What a column of the table says of each series; nothing of those that it does not speak of."""
    told = {
        stack.facts.series_instance_uid: study.labels_of(stack).get(column, "")
        for study in data.studies
        for stack in study.stacks
    }
    return {series: label for series, label in told.items() if label}


def answer_labels(result: ClassificationResult) -> dict[str, str]:
    """What is true of each series, as an evaluation took it."""
    return {one.case.series_instance_uid: one.truth for one in result.cases if one.case.series_instance_uid}


def _case(study: LabelledStudy, stack: Stack) -> CaseName:
    return CaseName(
        patient=study.patient,
        study_instance_uid=study.study.study_instance_uid,
        series_instance_uid=stack.facts.series_instance_uid,
        place=study.place,
    )


def _features(stack: Stack, decode: DecodeSlices) -> ImageFeatures | None:
    """Features of a stack; None where it was refused."""
    if stack.facts.refusal is not None:
        return None
    if stack.kind == "volume":
        return image_features(load_volume(stack, no_progress, decode))
    return image_features(load_picture(stack, no_progress, decode))
