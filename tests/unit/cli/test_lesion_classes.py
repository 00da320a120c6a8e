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
COMPOSED = KINDS["lesions with an attribute, which of one is not sure"][0]


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


def test_a_value_of_an_attribute_names_it_in_the_json_and_what_is_not_sure_stands_in_the_table(capsys):
    document = findings_document([COMPOSED])
    (finding,), (point, _) = document["findings"], document["regions"]
    assert [one["attribute"] for one in finding["classes"]] == ["Composition", "Composition"]
    assert [one["present"] for one in point["classes"]] == [False, False]
    assert FOUND.segments[0].classes[0].attribute is None
    print_findings(COMPOSED)
    told = " ".join(capsys.readouterr().out.split())
    assert "solid 91 %" in told
    assert "composition undetermined" in told


def test_the_json_has_the_box_of_each_lesion_in_voxels_and_in_patient_space():
    segment = FOUND.segments[0]
    (finding,) = findings_document([FOUND])["findings"]
    found = np.argwhere(segment.mask.to_array())
    assert [ends[0] for ends in finding["box_kji"]] == found.min(axis=0).tolist()
    assert [ends[1] for ends in finding["box_kji"]] == (found.max(axis=0) + 1).tolist(), "half-open"
    low, high = np.array(finding["box_lps_mm"])
    places = FOUND.sources[0].grid.to_lps_mm(found)
    assert (low < places.min(axis=0)).all()
    assert (high > places.max(axis=0)).all()
    assert low[0] == pytest.approx(places[:, 0].min() - FOUND.sources[0].grid.spacing_kji_mm[2] / 2)
