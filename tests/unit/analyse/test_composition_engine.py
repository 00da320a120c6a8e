"""The engine ct-body on the node's own path: parts by name, and what is said where there is no body."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import find_engine, load_package
from dicomnode.faults import NodeError
from dicomnode.values import FindingKind, Findings, Outcome, Volume
from tests.unit.analyse import trunk as drawn
from tests.unit.analyse.trunk import Trunk

SPACING = (5.0, 2.0, 2.0)
TRUNK = Trunk(extent_mm=(30.0, 270.0, 400.0))


def analyse(volume: Volume) -> Findings:
    analyst = Analyst(find_engine("ct-body"), threads=1, node_version="0")
    analysis = Analysis(
        volumes={"ct": volume}, salt=b"c" * 32, study_version=1, made_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return analyst.analyse(analysis)


def test_each_output_is_the_part_of_its_name(make_volume):
    findings = analyse(make_volume(drawn.draw(SPACING, TRUNK), SPACING))
    assert findings.outcome == Outcome.FINDINGS
    assert [one.label for one in findings.segments] == [
        "body",
        "fat",
        "subcutaneous-fat",
        "visceral-fat",
        "muscle",
        "soft-tissue",
        "bone",
    ]
    assert {one.kind for one in findings.segments} == {FindingKind.ANATOMY, FindingKind.TISSUE}
    values = {one.label: {m.name: m.value for m in one.measurements} for one in findings.segments}
    truth = drawn.truth_ml(SPACING, TRUNK)
    assert values["fat"]["volume_ml"] == pytest.approx(truth["fat"], rel=0.05)
    assert values["fat"]["mean_hu"] == pytest.approx(drawn.FAT, abs=8.0)
    assert values["muscle"]["mean_hu"] == pytest.approx(drawn.MUSCLE, abs=8.0)
    assert "mean_hu" not in values["body"]


def test_where_there_is_no_body_the_study_is_not_analysed_because(make_volume):
    findings = analyse(make_volume(np.full((8, 64, 64), -1000, dtype=np.int16), SPACING))
    assert findings.outcome == Outcome.NOT_ANALYSED
    (remark,) = findings.remarks
    assert remark.code == "DN-7365"
    assert remark.text.startswith("No body was found: nothing in the images is as large")


def test_a_name_that_the_algorithm_does_not_give_is_refused_when_the_engine_is_loaded(tmp_path):
    folder = tmp_path / "ct-body"
    shutil.copytree(find_engine("ct-body").folder, folder)
    path = folder / "engine.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('segment = "muscle"', 'segment = "muscles"'))
    with pytest.raises(NodeError) as failure:
        Analyst(load_package(folder), threads=1, node_version="0")
    assert failure.value.fault.code == "DN-4002"
    assert "segment is one of body, fat, subcutaneous-fat" in str(failure.value)
    assert "got 'muscles'" in str(failure.value)
