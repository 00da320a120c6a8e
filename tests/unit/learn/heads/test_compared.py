"""The table of heads: figures recounted by hand, and the best two against each other."""

from __future__ import annotations

import json
from math import comb

import numpy as np
import pytest

from dicomnode.evaluate import Resampling
from dicomnode.faults import SCORES_WRONG, NodeError
from dicomnode.learn.heads import OtherScores, compare_heads, comparison_document, read_scores
from tests.unit.learn.heads.tables import cases

FEW = Resampling(resamples=100)


def scores(name, given, wrong, sure=0.9):
    """Scores that are wrong in the first `wrong` cases of each class."""
    right = np.ones(len(given.truth), dtype=bool)
    for one in (0, 1):
        right[np.flatnonzero(given.truth == one)[:wrong]] = False
    called = np.where(right, given.truth, 1 - given.truth)
    return OtherScores(
        name=name, title=name, probabilities=np.where(called[:, None] == [[0, 1]], sure, 1 - sure)
    )


def test_the_figures_are_those_that_counting_gives_and_the_best_comes_first():
    given = cases(patients=20, each=2)  # 20 cases of each class
    found = compare_heads(given, [scores("worse", given, 8), scores("better", given, 3)], FEW)
    assert [head.name for head in found.heads] == ["better", "worse"]
    better = found.of("better")
    assert better.report.matrix.counts.tolist() == [[17, 3], [3, 17]]
    assert better.figure("recall").figure.value == pytest.approx(17 / 20)
    assert better.figure("specificity").figure.value == pytest.approx(17 / 20)
    assert better.figure("balanced_accuracy").figure.value == pytest.approx(17 / 20)
    # pairs in right order, equal scores half: 17·17 right, 3·3 wrong, the others equal
    assert better.figure("roc_auc").figure.value == pytest.approx((17 * 17 + 0.5 * 2 * 17 * 3) / 400)
    low, high = better.figure("roc_auc").low, better.figure("roc_auc").high
    assert low is not None
    assert high is not None
    assert low < better.figure("roc_auc").figure.value < high
    assert better.figure("roc_auc").patients == 20


def test_the_best_two_are_told_apart_by_the_cases_that_one_alone_gets_right():
    given = cases(patients=20, each=2)
    found = compare_heads(given, [scores("a", given, 3), scores("b", given, 8), scores("c", given, 9)], FEW)
    assert found.mcnemar is not None
    assert (found.mcnemar.only_first, found.mcnemar.only_second) == (10, 0)
    assert found.mcnemar.p_value.value == pytest.approx(2 * comb(10, 0) / 2**10)
    assert found.difference is not None
    assert found.difference.interval.figure.value == pytest.approx(-0.25)
    assert any("picked by these very figures" in one for one in found.remarks)
    document = json.loads(json.dumps(comparison_document(found), allow_nan=False))
    assert document["best_two"]["first"] == "a"
    assert document["heads"][0]["matrix"] == [[17, 3], [3, 17]]


def test_of_more_than_two_classes_the_balanced_accuracy_leads():
    given = cases(classes=3)
    exact = OtherScores(name="exact", title="exact", probabilities=np.eye(3)[given.truth])
    found = compare_heads(given, [exact], FEW)
    assert found.leading == "balanced_accuracy"
    assert found.of("exact").figure("balanced_accuracy").figure.value == 1.0
    assert found.mcnemar is None


def write(path, given, lines=None, header="study_instance_uid,score"):
    rows = lines or [
        f"{row.study_instance_uid},{truth}" for row, truth in zip(given.rows, given.truth, strict=True)
    ]
    path.write_text("\n".join([header, *rows, "1.9.9,0.5"]) + "\n", encoding="utf-8-sig")
    return path


def test_scores_of_a_network_stand_beside_the_heads(tmp_path):
    given = cases()
    other = read_scores(write(tmp_path / "cnn.csv", given), "cnn", given)
    assert np.array_equal(np.argmax(other.probabilities, axis=1), given.truth)
    assert other.probabilities.sum(axis=1) == pytest.approx(np.ones(len(given.truth)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "1 of 48 cases have no score"),
        (lambda lines: [*lines, lines[0]], "line 50 is of a case that stands there already"),
        (lambda lines: [lines[0].replace(",0", ",1.5"), *lines[1:]], "line 2 has a score"),
    ],
)
def test_scores_that_cannot_be_laid_beside_the_cases_are_refused(tmp_path, change, said):
    given = cases()
    lines = [f"{row.study_instance_uid},0.5" for row in given.rows]
    with pytest.raises(NodeError) as caught:
        read_scores(
            write(tmp_path / "cnn.csv", given, change([one.replace("0.5", "0") for one in lines])),
            "cnn",
            given,
        )
    assert caught.value.fault is SCORES_WRONG
    assert said in str(caught.value)
    with pytest.raises(NodeError, match="no column score"):
        read_scores(write(tmp_path / "cnn.csv", given, header="study_instance_uid,p"), "cnn", given)
