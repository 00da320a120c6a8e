"""Features of studies, by the engine that gives them in service: of its networks, or radiomics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.engine import EnginePackage, OutputSpec
from dicomnode.evaluate.data import LabelledStudy
from dicomnode.evaluate.running import Answer, Answerer
from dicomnode.faults import ENGINE_WITHOUT_FEATURES, NodeError
from dicomnode.learn.features.gathered import Gathered, MadeOf, MadeRow, RowLeftOut, gathered
from dicomnode.learn.features.of_found import lesions_with_features, rows_of_found
from dicomnode.learn.features.table import RowKey
from dicomnode.learn.features.units import units_by
from dicomnode.values import FeatureVector, Progress, no_progress

_STAGE: Final = "features"
_NO_ANSWER: Final = "the engine gave no features of it"


def rows_by_engine(
    studies: Sequence[LabelledStudy], answerer: Answerer, progress: Progress = no_progress
) -> Gathered:
    """Run an engine on all studies, as the node would, and take the row of features that it gives of each.

    The labels of a row are those of its study and of the series that was taken. Of an engine that takes
    several series of a study the first row stays. Of one that gives features of lesions alone a row is a
    lesion (`rows_of_found`). Raises NodeError: ENGINE_WITHOUT_FEATURES, and what stops an engine.
    """
    package = answerer.package
    of_lesions = lesions_with_features(package.manifest)
    if of_lesions is not None and not _of_studies(package):
        return rows_of_found(studies, answerer, of_lesions, progress)
    source = _source(package)
    rows: list[MadeRow] = []
    left_out: list[RowLeftOut] = []
    names, units = tuple[str, ...](), tuple[str, ...]()
    for number, study in enumerate(studies):
        progress(_STAGE, number, len(studies))
        for answer in answerer(study.study, no_progress):
            vector = _vector(answer, source)
            if vector is None:
                left_out.append(_left(study, answer.reason or _NO_ANSWER))
                continue
            found = units_by(package.manifest, source, answer, vector.names)
            if rows and (vector.names, found) != (names, units):
                left_out.append(_left(study, "its features have other names or units than those before"))
                continue
            names, units = vector.names, found
            rows.append(_row(study, answer, vector))
    progress(_STAGE, len(studies), len(studies))
    manifest = package.manifest
    made_of = MadeOf(
        names=names,
        units=units,
        source=f"engine {manifest.name} {manifest.version} ({package.digest[:12]}), {source.label}",
        engine_digest=package.digest,
    )
    return gathered(rows, left_out, made_of)


def _source(package: EnginePackage) -> OutputSpec:
    manifest = package.manifest
    given = _of_studies(package)
    if len(given) != 1:
        which = " as an [[output]]" if not given else f" of one kind, but {len(given)}: one is needed"
        raise NodeError(ENGINE_WITHOUT_FEATURES, engine=manifest.name, which=which)
    return given[0]


def _of_studies(package: EnginePackage) -> list[OutputSpec]:
    manifest = package.manifest
    return [one for one in manifest.output if one.what == "features" and manifest.each_of(one) is None]


def _vector(answer: Answer, source: OutputSpec) -> FeatureVector | None:
    found = () if answer.findings is None else answer.findings.features
    return next((one for one in found if one.label == source.label), None)


def _row(study: LabelledStudy, answer: Answer, vector: FeatureVector) -> MadeRow:
    labels = study.row if answer.stack is None else study.labels_of(answer.stack)
    return MadeRow(
        key=RowKey(patient=study.patient, study_instance_uid=study.study.study_instance_uid),
        values=vector.values.astype(np.float64),
        labels=labels,
    )


def _left(study: LabelledStudy, reason: str) -> RowLeftOut:
    return RowLeftOut(study_instance_uid=study.study.study_instance_uid, lesion="", reason=reason)
