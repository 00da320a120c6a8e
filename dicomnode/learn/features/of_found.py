"""Features of the lesions that an engine finds, as it measures them in service, and which of them are true.

What a head learns to tell apart is what its engine gives: its own candidates, right and wrong. So a row is
one of these, and the labels of the data say by its place whether something is known there, and what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from dicomnode.engine import Manifest, OutputSpec
from dicomnode.evaluate.data import LabelledStudy
from dicomnode.evaluate.matching import match_candidates
from dicomnode.evaluate.running import Answer, Answerer
from dicomnode.evaluate.truth import Wanted, labels_for, true_lesions
from dicomnode.evaluate.truth.known_lesions import KnownLesion, known_lesions
from dicomnode.evaluate.truth.wanted import unnumbered
from dicomnode.learn.features.gathered import Gathered, MadeOf, MadeRow, RowLeftOut, gathered
from dicomnode.learn.features.table import RowKey
from dicomnode.learn.features.units import units_by
from dicomnode.values import FeatureVector, Findings, PointLps, Progress, Region, Segment, no_progress

_STAGE: Final = "features"
_NO_ANSWER: Final = "the engine gave no lesions of it"
_NO_FEATURES: Final = "its engine gave no features of it"
YES, NO = "yes", "no"


def column_of(label: str) -> str:
    """Return the column that says whether something is known where the engine found a lesion: "is_nodule"."""
    return f"is_{label.replace('-', '_')}"


def lesions_with_features(manifest: Manifest) -> tuple[OutputSpec, OutputSpec] | None:
    """Return the output whose lesions have features, and that of the features; None where there is none."""
    for features in manifest.output:
        each = manifest.each_of(features)
        if features.what == "features" and each is not None:
            for one in manifest.output:
                name = f"{one.step}/{one.head}".rstrip("/")
                if one.what in ("segment", "region") and name == each:
                    return one, features
    return None


def rows_of_found(
    studies: Sequence[LabelledStudy],
    answerer: Answerer,
    outputs: tuple[OutputSpec, OutputSpec],
    progress: Progress = no_progress,
) -> Gathered:
    """Run an engine on all studies, as the node would, and take the features of each lesion that it gives.

    A column says whether something known lies there (`column_of`; "" where no label speaks of it), others
    what reports answer about that. Raises NodeError as what stops an engine.
    """
    lesions, features = outputs
    manifest = answerer.package.manifest
    rows: list[MadeRow] = []
    left_out: list[RowLeftOut] = []
    units: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    for number, study in enumerate(studies):
        progress(_STAGE, number, len(studies))
        for answer in answerer(study.study, no_progress):
            for one in _of_answer(study, answer, lesions, features.label):
                if isinstance(one, RowLeftOut):
                    left_out.append(one)
                    continue
                row, vector = one
                found = units_by(manifest, features, answer, vector.names)
                if rows and (vector.names, found) != (names, units):
                    left_out.append(
                        _left(row.key, "its features have other names or units than those before")
                    )
                    continue
                names, units = vector.names, found
                rows.append(row)
    progress(_STAGE, len(studies), len(studies))
    package = answerer.package
    made_of = MadeOf(
        names=names,
        units=units,
        source=f"engine {manifest.name} {manifest.version} ({package.digest[:12]}), {features.label} of each "
        f"{lesions.label}",
        engine_digest=package.digest,
    )
    return gathered(rows, left_out, made_of)


def _of_answer(
    study: LabelledStudy, answer: Answer, lesions: OutputSpec, label: str
) -> Iterator[tuple[MadeRow, FeatureVector] | RowLeftOut]:
    uid = study.study.study_instance_uid
    if answer.findings is None or answer.stack is None:
        reason = answer.reason or _NO_ANSWER
        yield RowLeftOut(study_instance_uid=uid, lesion="", reason=reason)
        return
    found = _found(answer.findings, lesions.label)
    known = _known(study, answer, Wanted(spec=lesions), found)
    shared = study.labels_of(answer.stack)
    for one, told in zip(found, known, strict=True):
        key = RowKey(patient=study.patient, study_instance_uid=uid, lesion=one.label)
        vector = next((each for each in one.features if each.label == label), None)
        if vector is None:
            yield _left(key, _NO_FEATURES)
            continue
        values = vector.values.astype(np.float64)
        yield MadeRow(key=key, values=values, labels={**shared, **told}), vector


def _found(findings: Findings, label: str) -> list[Segment | Region]:
    every: list[Segment | Region] = [*findings.segments, *findings.regions]
    return [one for one in every if unnumbered(one.label) == label]


def _known(
    study: LabelledStudy, answer: Answer, wanted: Wanted, found: Sequence[Segment | Region]
) -> list[Mapping[str, str]]:
    """Return what is known of each lesion that was found; nothing where no label speaks of such lesions."""
    grid = answer.findings.sources[0].grid if answer.findings is not None else None
    labels = labels_for(study, answer.stack, grid)
    if true_lesions(wanted, labels) is None:
        return [{} for _ in found]
    truth = known_lesions(wanted, labels)
    scored = [(_centre(one), 1.0 if one.score is None else one.score) for one in found]
    matched = match_candidates(scored, [one.lesion for one in truth])
    column = column_of(wanted.label)
    told: list[Mapping[str, str]] = []
    for number, one in enumerate(found):
        if number in matched.false_positives:
            told.append({column: NO})
        elif number in matched.ignored:
            told.append({})
        else:
            told.append({column: YES, **_said(_nearest(one, truth))})
    return told


def _nearest(found: Segment | Region, truth: Sequence[KnownLesion]) -> KnownLesion:
    centre = np.array(_centre(found))
    return min(truth, key=lambda one: float(np.linalg.norm(centre - one.lesion.centre_lps_mm)))


def _said(known: KnownLesion) -> dict[str, str]:
    """Give what is said of a known lesion, by the meaning of the question: coded words, nothing typed."""
    told = {"finding": known.types[0].meaning} if known.types else {}
    return told | {concept.meaning: value.meaning for concept, value in known.said}


def _centre(found: Segment | Region) -> PointLps:
    if isinstance(found, Segment):
        return found.centre_lps_mm
    x, y, z = np.mean(np.array(found.points_lps_mm, dtype=np.float64), axis=0)
    return float(x), float(y), float(z)


def _left(key: RowKey, reason: str) -> RowLeftOut:
    return RowLeftOut(study_instance_uid=key.study_instance_uid, lesion=key.lesion, reason=reason)
