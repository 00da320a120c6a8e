"""A table of features: what it may be, and that nothing is lost in a file."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.faults import FEATURE_TABLE_WRONG, NodeError
from dicomnode.learn.features import FeatureTable, RowKey, read_table, write_table


def table(**changed):
    told = {
        "rows": (
            RowKey(patient="00ff", study_instance_uid="1.2.3", lesion="2.25.7"),
            RowKey(patient="00ff", study_instance_uid="1.2.4"),
        ),
        "names": ("shape_volume", "edge_contrast"),
        "units": ("mm3", "[hnsf'U]"),
        "values": np.array([[0.1 + 0.2, -1e-17], [1e300, 3.0]]),
        "source": "radiomics 1, and so on; with a semicolon",
        "engine_digest": "ab" * 32,
        "labels": {"sick": ("yes", ""), 'a "quoted, one"': ("ü", "2\n3")},
    }
    return FeatureTable(**(told | changed))


@pytest.mark.parametrize("name", ["table.csv", "deep/table.JSON"])
def test_what_is_written_is_read_back_to_the_last_digit(tmp_path, name):
    given = table()
    write_table(given, tmp_path / name)
    found = read_table(tmp_path / name)
    assert (found.rows, found.names, found.units) == (given.rows, given.names, given.units)
    assert (found.source, found.engine_digest) == (given.source, given.engine_digest)
    assert dict(found.labels) == dict(given.labels)
    assert np.array_equal(found.values, given.values)
    assert found.of_lesions


@pytest.mark.parametrize(
    "changed",
    [
        {"values": np.zeros((2, 3))},
        {"units": ("mm3",)},
        {"names": ("a", "a")},
        {"values": np.array([[1.0, np.nan], [1.0, 2.0]])},
        {"labels": {"sick": ("yes",)}},
        {"rows": (RowKey(patient="a", study_instance_uid="1"),) * 2},
    ],
)
def test_a_table_that_cannot_be_is_a_mistake(changed):
    with pytest.raises(ValueError, match=r"."):
        table(**changed)


def test_values_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        table().values[0, 0] = 1.0


HEADER = "patient,study_instance_uid,lesion,label:sick,a [mm],b [1]\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "study,a [mm]\n", "does not begin with patient"),
        (
            "t.csv",
            "patient,study_instance_uid,lesion,a\np,1,,2\n",
            "'a' is no feature with a unit, such as 'shape_volume [mm3]', and no label",
        ),
        ("t.csv", HEADER + "p,1,,yes,2.0,x\n", "row 1 has a cell that is no number"),
        ("t.csv", HEADER + "p,1,,yes,2.0\n", "row 1 has 5 cells"),
        ("t.csv", HEADER + "p,1,,yes,2.0,inf\n", "must be finite"),
        ("t.csv", HEADER + "p,1,,yes,2,1\np,1,,no,3,1\n", "a row stands twice"),
        ("t.json", "{", "Expecting"),
        ("t.json", '{"schema": 2}', "no object with schema 1"),
        ("t.json", '{"schema": 1, "rows": []}', "no 'names'"),
        ("t.txt", "", "neither in .csv nor in .json"),
    ],
)
def test_a_file_that_is_no_table_says_what_is_wrong(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(NodeError) as caught:
        read_table(path)
    assert caught.value.fault is FEATURE_TABLE_WRONG
    assert said in str(caught.value)


def test_labels_may_be_typed_in_behind_the_features(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(HEADER.strip() + ",label:grade\np,1,,yes,2.0,3.0,high\nq,2,,no,4.0,5.0,\n")
    found = read_table(path)
    assert dict(found.labels) == {"sick": ("yes", "no"), "grade": ("high", "")}
    assert found.names == ("a", "b")
    assert found.values.tolist() == [[2.0, 3.0], [4.0, 5.0]]


def test_rows_and_labels_of_others_are_no_part_of_a_selection():
    found = table().take([1])
    assert found.rows[0].study_instance_uid == "1.2.4"
    assert found.labels["sick"] == ("",)
    assert not found.of_lesions
