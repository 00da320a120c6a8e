"""The look of labelled studies, by cheap features of their images: no engine is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dicomnode.assemble import DecodeSlices, Stack, decode_here, load_picture, load_volume
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.evaluate.dataset.images import ImageFeatures, image_features
from dicomnode.evaluate.dataset.look import DataSetLook, look_at
from dicomnode.evaluate.dataset.table import table_of
from dicomnode.evaluate.outcomes import CaseName, ClassificationResult
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.faults import DATA_WITHOUT_IMAGES, NodeError
from dicomnode.values import Progress, no_progress


def look_at_studies(
    data: LabelledData,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    decode: DecodeSlices = decode_here,
    progress: Progress = no_progress,
) -> DataSetLook:
    """Look at every stack of some studies. labels: by Series Instance UID, those that are to be doubted.

    Stacks that were refused, or cannot be decoded, are left out and told. Progress: "looking at images".
    Raises NodeError: EVALUATE_MISSING; DATA_WITHOUT_IMAGES where no stack can be decoded.
    """
    need_scikit_learn("The look of a data set")
    stacks = [(study, stack) for study in data.studies for stack in study.stacks]
    cases: list[CaseName] = []
    features: list[ImageFeatures] = []
    left_out: list[str] = []
    for done, (study, stack) in enumerate(stacks):
        progress("looking at images", done, len(stacks))
        name = _case(study, stack)
        try:
            measured = _features(stack, decode)
        except NodeError as error:
            left_out.append(f"{name.place or name.study_instance_uid}: {error.fault.code}")
            continue
        if measured is None:
            left_out.append(f"{name.place or name.study_instance_uid}: refused")
            continue
        cases.append(name)
        features.append(measured)
    progress("looking at images", len(stacks), len(stacks))
    if not cases:
        raise NodeError(DATA_WITHOUT_IMAGES, stacks=len(stacks))
    table = table_of(cases, [one.row for one in features], [one.thumbnail for one in features])
    known = labels or {}
    look = look_at(table, [known.get(case.series_instance_uid) for case in cases], seed)
    told = (
        [f"{len(left_out)} of {len(stacks)} stacks were left out: {', '.join(left_out)}."] if left_out else []
    )
    return replace(look, remarks=(*look.remarks, *told))


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
