"""Which questions an engine asks, and what leads where its calls are those of a printed matrix."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.evaluate.evaluation import RunState
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import CaseName, ClassificationResult
from dicomnode.evaluate.running.answering import Answer, Case
from dicomnode.evaluate.running.classes import ClassCollector, YesNoCollector
from dicomnode.evaluate.running.judging import collectors_for
from dicomnode.evaluate.truth import Asked
from dicomnode.values import (
    Classification,
    ClassProbability,
    Findings,
    Outcome,
    Provenance,
    Source,
    SourceHeaders,
)
from tests.unit.analyse.forms import LESION, engine, node, onnx_bytes, step
from tests.unit.evaluate.truth.values import grid, labels, question

ARTICLE = [[3935, 675], [410, 25]]  # healthy and sick, called healthy and called sick
QUICK = Resampling(resamples=100)


def _findings(probability: float, classes: tuple[float, ...] = ()) -> Findings:
    names = tuple(ClassProbability(label=f"c{n}", probability=one) for n, one in enumerate(classes))
    return Findings(
        outcome=Outcome.FINDINGS,
        sources=(
            Source(
                name="ct",
                study_instance_uid="1.1",
                series_instance_uid="1.2.3",
                grid=grid(),
                frames=(),
                headers=SourceHeaders(()),
            ),
        ),
        provenance=Provenance(
            engine="e",
            version="1",
            title="t",
            use="u",
            engine_digest="0" * 64,
            runtime="r",
            precision="fp32",
            device="CPU",
            node_version="9",
        ),
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
        study_version=1,
        classifications=(
            Classification(
                label="malignant",
                type=question().spec.concept,
                probability=probability,
                threshold=0.5,
                probabilities=names,
            ),
        ),
    )


def _case(n: int, findings: Findings, row: dict[str, str]) -> Case:
    name = CaseName(patient=f"p{n}", study_instance_uid=f"1.1.{n}")
    answer = Answer(stack=None, findings=findings, state=RunState.ANALYSED)
    return Case(name=name, labels=labels(row=row), answer=answer)


def _judged(counts: list[list[int]]) -> ClassificationResult:
    collector = YesNoCollector(question())
    number = 0
    for truth, row in enumerate(counts):
        for called, many in enumerate(row):
            for _ in range(many):
                number += 1
                collector.take(_case(number, _findings(0.2 + 0.6 * called), {"malignant": str(truth)}))
    return collector.result(QUICK)


def test_with_the_article_s_matrix_the_recall_of_the_sick_leads_and_the_accuracy_comes_last():
    """A tenth of the article's cases: 98 % was printed beside such a matrix."""
    tenth = [[394, 68], [41, 2]]
    told = _judged(tenth)
    assert told.report.matrix.counts.tolist() == tenth
    assert told.headline.lead.title == "recall of malignant"
    assert told.headline.lead.text == "0.047 (2 of 43)"
    assert told.headline.warnings[0] == "Of 43 cases that are malignant, 2 were found, 41 were missed."
    assert any("hides the recall of malignant" in one for one in told.headline.warnings)
    names = [one.figure.name for one in told.intervals]
    assert names[0] == "recall"
    assert names[-1] == "accuracy"


def test_intervals_are_by_patient_and_hold_the_figure():
    told = _judged([[20, 5], [3, 22]])
    recall = told.figure("recall")
    assert recall.low <= recall.figure.value <= recall.high
    assert recall.patients == 50
    assert told.figure("roc_auc").figure.value == pytest.approx(
        (0.88 * 0.8) + 0.5 * (0.88 * 0.2 + 0.12 * 0.8)
    )


def test_labels_that_cannot_be_used_are_counted_and_told():
    collector = YesNoCollector(question())
    for n, cell in enumerate(["1", "0", "perhaps", "maybe"]):
        collector.take(_case(n, _findings(0.9), {"malignant": cell}))
    told = collector.result(QUICK)
    assert len(told.cases) == 2
    assert any(one.endswith("nor a class of the engine (2 cases).") for one in told.remarks)


def test_of_several_classes_the_surest_is_called():
    asked = Asked(wanted=(question(),), classes=("malignant", "benign", "normal"))
    collector = ClassCollector(asked)
    rows = [("malignant", (0.5, 0.3, 0.2)), ("normal", (0.1, 0.2, 0.7)), ("benign", (0.6, 0.3, 0.1))]
    for n, (truth, scores) in enumerate(rows):
        collector.take(_case(n, _findings(scores[0], scores), {"dx": truth}))
    told = collector.result(QUICK)
    assert [one.called for one in told.cases] == ["malignant", "normal", "malignant"]
    assert told.report.matrix.counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert told.positive is None
    assert told.headline.lead.title == "recall of benign"  # the lowest
    assert len(told.curves) == 3


def _classes_engine(folder, many: int, outputs: list[tuple[str, int]], keys: str = ""):
    network = onnx_bytes(
        [node("ReduceMean", ["x", "axes"], ["m"], keepdims=0), node("MatMul", ["m", "w"], ["y"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", [1, many], TensorProto.FLOAT)],
        {"axes": np.array([2, 3, 4]), "w": np.ones((1, many), np.float32)},
    )
    body = step(keys=f'interpret = "classes"\n[step.classes]\n{keys}\n')
    body += "".join(
        f'\n[[output]]\nclassification = "{label}"\nstep = "net"\nchannel = {channel}\ntype = {LESION}\n'
        for label, channel in outputs
    )
    return engine(folder, body, {"net.onnx": network})


@pytest.mark.parametrize(
    ("outputs", "keys", "expected"),
    [
        ([("sick", 1)], 'names = ["healthy", "sick"]', [("sick", ("no sick", "sick"))]),
        (
            [("a", 0), ("b", 2)],
            'names = ["x", "normal", "z"]',
            [("a", ("a", "normal", "b"))],  # one question, its classes called as the outputs are
        ),
        (
            [("a", 0), ("b", 1)],
            'activation = "sigmoid"\nnames = ["a", "b"]',
            [("a", ("no a", "a")), ("b", ("no b", "b"))],
        ),
        ([("a", 0), ("b", 1)], "", [("a", ("no a", "a")), ("b", ("no b", "b"))]),
    ],
    ids=["yes or no", "one of three", "any of two", "classes without names"],
)
def test_classes_that_exclude_each_other_are_one_question(tmp_path, outputs, keys, expected):
    many = max(2, max(channel for _, channel in outputs) + 1)
    package = _classes_engine(tmp_path / "classes", many, outputs, keys)
    collectors, left_out = collectors_for(package.manifest, {})
    assert [(one.wanted.label, one.labels) for one in collectors] == expected
    assert left_out == []
