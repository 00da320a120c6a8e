"""What `try` says of single lesions: in its table, and in its JSON."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.cli.documents import findings_document
from dicomnode.cli.findings import print_findings
from dicomnode.values import FeatureVector
from tests.unit.report.kinds import KINDS

FOUND = KINDS["lesions with classes of their own"][0]


def test_the_json_has_classes_and_features_with_each_lesion():
    values = np.array([1.5, -2.0], np.float32)
    row = FeatureVector(label="texture", names=("mean", "skewness"), values=values, algorithm="radiomics 1")
    segment = replace(FOUND.segments[0], features=(row,))
    document = findings_document([replace(FOUND, segments=(segment,))])
    (finding,) = document["findings"]
    assert [(one["label"], one["present"], one["calibrated"]) for one in finding["classes"]] == [
        ("solid", True, True),
        ("glass", False, False),
    ]
    assert finding["classes"][0]["probability"] == pytest.approx(0.91)
    assert finding["features"] == [{"label": "texture", "values": {"mean": 1.5, "skewness": -2.0}}]
    assert [len(one["classes"]) for one in document["regions"]] == [2, 1]
    assert document["classifications"] == []


def test_a_finding_of_an_engine_without_such_steps_has_empty_lists():
    (finding,) = findings_document([KINDS["organs and a lesion"][0]])["findings"][2:]
    assert (finding["classes"], finding["features"]) == ([], [])


def test_the_table_names_the_classes_that_a_lesion_has(capsys):
    print_findings(FOUND)
    told = capsys.readouterr().out
    assert told.count("solid 91 %") == 3
    assert "glass" not in told.replace("Ground-glass", ""), "it is absent"
    print_findings(KINDS["organs and a lesion"][0])
    assert "class" not in capsys.readouterr().out
