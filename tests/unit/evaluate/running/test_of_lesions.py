"""Classes of single lesions: matched by place, each judged by what labels say of that lesion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dicomnode.engine import Manifest, read_manifest
from dicomnode.evaluate.evaluation import RunState
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import CaseName, ClassificationResult
from dicomnode.evaluate.running.answering import Answer, Case
from dicomnode.evaluate.running.judging import collectors_for
from dicomnode.evaluate.running.pairing import paired
from dicomnode.values import (
    AnnotatedRegion,
    Classification,
    ClassProbability,
    Code,
    FindingKind,
    Findings,
    Mask,
    Region,
    RegionKind,
    Segment,
)
from tests.unit.evaluate.running.test_classes import _findings
from tests.unit.evaluate.truth.values import NODULE, box, grid, labels, seg, segment, sr

SOLID = Code("SOLID", "99TEST", "Solid nodule")
MASS = Code("MASS", "99TEST", "Mass")
GLASS = Code("GLASS", "99TEST", "Ground-glass nodule")
TYPE_OF = Code("TYPE", "99TEST", "Type of nodule")
PRESENT, ABSENT = Code("52101004", "SCT", "Present"), Code("272519000", "SCT", "Absent")
PLACES = (((1, 2), (1, 3), (1, 3)), ((1, 2), (5, 7), (1, 3)), ((4, 5), (1, 3), (6, 8)))


def code(one: Code) -> str:
    return f'{{ scheme = "{one.scheme}", code = "{one.value}", meaning = "{one.meaning}" }}'


NETWORK = f'sha256 = "{"0" * 64}"\nwindow = "whole"\n'
GATE = "[step.gate]\nshape = [1, 8]\nlow = 0.0\nhigh = 1.0\n"


def text_of(activation: str) -> str:
    """An engine that gives lesions, two classes of each and a number."""
    return f"""
schema = 1
name = "typed"
version = "1.0.0"
title = "Typed"
use = "Tests."
[[input]]
name = "ct"
kind = "volume"
require = [ {{ tag = "Modality", equals = "CT" }} ]
[[step]]
algorithm = "blobs"
interpret = "lesions"
[[step]]
network = "type.onnx"
each = "blobs"
crop = "blobs"
interpret = "classes"
{NETWORK}[step.classes]
activation = "{activation}"
names = ["solid", "glass"]
{GATE}
[[step]]
network = "size.onnx"
each = "blobs"
crop = "blobs"
interpret = "regression"
{NETWORK}{GATE}
[[output]]
segment = "nodule"
step = "blobs"
kind = "lesion"
category = {code(NODULE)}
type = {code(NODULE)}
tracking = "Nodule {{number}}"
[[output]]
classification = "solid"
step = "type"
type = {code(SOLID)}
[[output]]
classification = "glass"
step = "type"
type = {code(GLASS)}
[[output]]
measurement = "size"
step = "size"
type = {code(SOLID)}
unit = {{ scheme = "UCUM", code = "mm", meaning = "mm" }}
"""


def manifest(activation: str = "softmax") -> Manifest:
    return read(text_of(activation))


def read(text: str) -> Manifest:
    made, problems = read_manifest(Path("engine.toml"), text.encode())
    assert [str(one) for one in problems] == []
    assert made is not None
    return made


def found(*probabilities: tuple[float, float] | None) -> Findings:
    """Findings with a nodule at each place, and what was said of it; None: it was not found."""
    segments = []
    for n, (place, said) in enumerate(zip(PLACES, probabilities, strict=False)):
        if said is None:
            continue
        voxels = box(*place)
        x, y, z = (float(one) for one in grid().to_lps_mm(np.argwhere(voxels).mean(axis=0)))
        classes = tuple(
            Classification(label=label, type=type_, probability=one, threshold=0.5)
            for label, type_, one in zip(("solid", "glass"), (SOLID, GLASS), said, strict=True)
        )
        segments.append(
            Segment(
                label=f"nodule-{n + 1}",
                kind=FindingKind.LESION,
                category=NODULE,
                type=NODULE,
                mask=Mask.from_array(voxels),
                centre_lps_mm=(x, y, z),
                tracking_uid=f"2.25.{n}",
                tracking_id=f"Nodule {n + 1}",
                algorithm="blobs 1",
                classes=classes,
            )
        )
    return replace(_findings(0.5), classifications=(), segments=tuple(segments))


def truth(*answers: tuple[Code, Code]):
    """Nodules outlined by a reader, whose report answers one question about each."""
    outlined = [
        replace(segment("Nodule", box(*place), type=NODULE, tracking_uid=f"1.9.{n}"), number=n + 1)
        for n, place in enumerate(PLACES)
    ]
    told = [
        AnnotatedRegion(label="Nodule", kind=None, type=NODULE, tracking_uid=f"1.9.{n}", answers=(one,))
        for n, one in enumerate(answers)
    ]
    return labels(seg(*outlined), sr(regions=tuple(told)))


def judged(cases: list[tuple[Findings | None, object]], of: Manifest | None = None) -> dict:
    """Results by output of cases: findings and labels, each of a patient of its own."""
    collectors, _ = collectors_for(of or manifest(), {})
    for n, (findings, told) in enumerate(cases):
        name = CaseName(patient=f"p{n}", study_instance_uid=f"1.1.{n}", series_instance_uid="1.2.3")
        state = RunState.ANALYSED if findings is not None else RunState.FAILED
        answer = Answer(stack=None, findings=findings, state=state)
        for one in collectors:
            one.take_study([Case(name=name, labels=told, answer=answer)], ())
    return {
        one.wanted.label: one.result(Resampling(resamples=100))
        for one in collectors
        if one.count and one.task == "classification"
    }


def of(results: dict, label: str) -> ClassificationResult:
    return results[label]


def test_each_lesion_is_judged_by_what_the_report_says_of_that_lesion():
    told = truth((SOLID, PRESENT), (SOLID, ABSENT), (SOLID, PRESENT))
    result = of(judged([(found((0.9, 0.1), (0.2, 0.8), (0.4, 0.6)), told)], manifest("sigmoid")), "solid")
    assert [(one.case.lesion, one.truth, one.called) for one in result.cases] == [
        ("1", "solid", "solid"),
        ("2", "no solid", "no solid"),
        ("3", "solid", "no solid"),
    ]
    assert result.report.matrix.counts.tolist() == [[1, 0], [1, 1]]
    assert result.figure("roc_auc").figure.value == 1.0
    assert result.figure("recall", "solid").figure.text == "0.500 (1 of 2)"


def test_the_class_as_an_answer_says_of_classes_that_exclude_it_that_they_are_not():
    told = truth((TYPE_OF, SOLID), (TYPE_OF, GLASS), (TYPE_OF, SOLID))
    several = judged([(found((0.9, 0.1), (0.2, 0.8), (0.4, 0.6)), told)], manifest("none"))
    assert [one.truth for one in of(several, "glass").cases] == ["no glass", "glass", "no glass"]
    any_of_them = judged([(found((0.9, 0.1), (0.2, 0.8), (0.4, 0.6)), told)], manifest("sigmoid"))
    assert [one.truth for one in of(any_of_them, "glass").cases] == ["glass"], "others may be both"


def test_a_lesion_that_was_not_found_or_of_which_nothing_is_said_is_no_case():
    told = truth((SOLID, PRESENT), (SOLID, ABSENT))
    result = of(judged([(found(None, (0.2, 0.8), (0.4, 0.6)), told)], manifest("sigmoid")), "solid")
    assert [(one.case.lesion, one.truth) for one in result.cases] == [("2", "no solid")]
    assert result.untold == 1, "nothing is said of the third"


def test_lesions_of_a_study_without_an_answer_are_counted():
    told = truth((SOLID, PRESENT), (SOLID, ABSENT), (SOLID, PRESENT))
    cases = [(found((0.9, 0.1)), told), (None, told)]
    result = of(judged(cases, manifest("sigmoid")), "solid")
    assert len(result.unanswered) == 3
    assert any("2 cases of solid without an answer" in one for one in result.headline.warnings)


def test_labels_that_contradict_each_other_are_no_truth():
    told = truth((SOLID, PRESENT), (SOLID, ABSENT))
    twice = replace(
        told, annotations=(*told.annotations, sr(uid="1.6.9", regions=(
            AnnotatedRegion(label="Nodule", kind=None, tracking_uid="1.9.0", answers=((SOLID, ABSENT),)),
        )))
    )  # fmt: skip
    result = of(judged([(found((0.9, 0.1), (0.2, 0.8)), twice)], manifest("sigmoid")), "solid")
    assert [one.case.lesion for one in result.cases] == ["2"]


def test_intervals_are_by_patient_and_not_by_lesion():
    told = truth((SOLID, PRESENT), (SOLID, PRESENT), (SOLID, PRESENT))
    result = of(judged([(found((0.9, 0.1), (0.9, 0.1), (0.4, 0.6)), told)] * 2, manifest("sigmoid")), "solid")
    assert len(result.cases) == 6
    assert result.figure("recall", "solid").patients == 2


def test_two_engines_are_compared_lesion_by_lesion():
    told = truth((SOLID, PRESENT), (SOLID, ABSENT), (SOLID, PRESENT))
    one = of(judged([(found((0.9, 0.1), (0.2, 0.8), (0.4, 0.6)), told)], manifest("sigmoid")), "solid")
    other = of(judged([(found(None, (0.2, 0.8), (0.7, 0.3)), told)], manifest("sigmoid")), "solid")
    assert paired(one, other).rows == ((1, 0), (2, 1))


def test_numbers_of_lesions_are_said_not_to_be_judged():
    _, left_out = collectors_for(manifest(), {})
    assert left_out == ["size: numbers of single lesions are not judged."]


def test_of_classes_that_exclude_each_other_the_surest_is_called():
    told = truth((TYPE_OF, SOLID), (TYPE_OF, GLASS), (TYPE_OF, SOLID))
    findings = found((0.9, 0.1), (0.2, 0.8), (0.4, 0.6))

    segments = [
        replace(
            one,
            classes=tuple(
                replace(
                    each,
                    probabilities=tuple(
                        ClassProbability(label=known.label, probability=known.probability)
                        for known in one.classes
                    ),
                )
                for each in one.classes
            ),
        )
        for one in findings.segments
    ]
    results = judged([(replace(findings, segments=tuple(segments)), told)])
    (result,) = results.values()
    assert result.labels == ("solid", "glass")
    assert result.report.matrix.counts.tolist() == [[1, 1], [0, 1]]


def test_boxes_of_several_classes_are_lesions_each_by_its_own_labels():
    text = text_of("sigmoid").replace(
        'algorithm = "blobs"\ninterpret = "lesions"\n',
        f'name = "blobs"\nnetwork = "b.onnx"\ninterpret = "boxes"\n{NETWORK}[step.boxes]\n{GATE}',
    )
    region = '[[output]]\nregion = "{0}"\nstep = "blobs"\ntype = {1}\ntracking = "{0} {{number}}"\n'
    start, end = text.index("[[output]]"), text.index('[[output]]\nclassification = "solid"')
    boxes = region.format("nodule", code(NODULE)) + region.format("mass", code(MASS))
    engine = read(text[:start] + boxes + text[end:])
    outlined = [
        replace(segment("x", box(*place), type=type_, tracking_uid=f"1.9.{n}"), number=n + 1)
        for n, (place, type_) in enumerate(zip(PLACES, (NODULE, MASS, MASS), strict=True))
    ]
    told = tuple(
        AnnotatedRegion(label="x", kind=None, tracking_uid=f"1.9.{n}", answers=((SOLID, one),))
        for n, one in enumerate((PRESENT, ABSENT, PRESENT))
    )
    findings = found((0.9, 0.1), (0.2, 0.8), (0.4, 0.6))
    segments = findings.segments
    regions = tuple(
        Region(
            label=f"{label}-{number}",
            kind=RegionKind.POINT,
            points_lps_mm=(one.centre_lps_mm,),
            type=type_,
            tracking_uid=one.tracking_uid,
            tracking_id=one.tracking_id,
            algorithm="blobs 1",
            classes=one.classes,
        )
        for one, (label, number, type_) in zip(
            segments, (("nodule", 1, NODULE), ("mass", 1, MASS), ("mass", 2, MASS)), strict=True
        )
    )
    given = replace(findings, segments=(), regions=regions)
    result = of(judged([(given, labels(seg(*outlined), sr(regions=told)))], engine), "solid")
    assert [(one.case.lesion, one.truth, one.called) for one in result.cases] == [
        ("1", "solid", "solid"),
        ("2", "no solid", "no solid"),
        ("3", "solid", "no solid"),
    ]
