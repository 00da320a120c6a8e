"""What a head is trained on: rows with a known class, in an order of their own, and who is looked for."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.faults import LABEL_COLUMN_WRONG, TOO_FEW_PATIENTS, NodeError
from dicomnode.learn.features import FeatureTable
from dicomnode.learn.heads import cases_of
from tests.unit.learn.heads.tables import PATH, cases, table


def relabelled(texts):
    given = table(patients=len(texts), each=1)
    return FeatureTable(
        rows=given.rows,
        names=given.names,
        units=given.units,
        values=given.values,
        source="a test",
        labels={"sick": tuple(texts)},
    )


def test_rows_without_a_label_are_left_out_and_the_looked_for_class_comes_last():
    found = cases_of(relabelled(["yes", "", "no", "yes", "  "]), "sick", PATH)
    assert found.classes == ("no", "yes")
    assert found.positive == "yes"
    assert found.truth.tolist() == [1, 0, 1]
    assert found.values.dtype == np.float32
    turned = cases_of(relabelled(["benign", "malignant"]), "sick", PATH, positive="benign")
    assert turned.classes == ("malignant", "benign")


def test_the_order_of_a_file_is_not_that_of_the_cases():
    given = table()
    turned = given.take(list(reversed(range(len(given.rows)))))
    a, b = cases_of(given, "sick", PATH), cases_of(turned, "sick", PATH)
    assert a.rows == b.rows
    assert np.array_equal(a.values, b.values)
    assert np.array_equal(a.truth, b.truth)


@pytest.mark.parametrize(
    ("texts", "how", "said"),
    [
        (["yes", "no"], {"column": "ill"}, "no such column; those that came along: sick"),
        (["yes", "yes", ""], {}, "its 2 known rows have 1 classes: 2 are needed"),
        (["malignant", "benign"], {}, "which of 'benign' and 'malignant' is looked for is not said"),
        (["yes", "no"], {"positive": "ill"}, "none of its rows is 'ill'"),
        ([str(n / 7) for n in range(25)], {}, "it has 25 classes"),
    ],
)
def test_a_column_that_cannot_be_learnt_says_why(texts, how, said):
    with pytest.raises(NodeError) as caught:
        cases_of(relabelled(texts), how.get("column", "sick"), PATH, how.get("positive"))
    assert caught.value.fault is LABEL_COLUMN_WRONG
    assert said in str(caught.value)


def test_a_class_in_too_few_patients_is_refused_however_many_rows_it_has():
    with pytest.raises(NodeError) as caught:
        cases(patients=8, each=10).require_patients(5)
    assert caught.value.fault is TOO_FEW_PATIENTS
    assert "is in 4 patients" in str(caught.value)
