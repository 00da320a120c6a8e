"""Body composition on real scans: no reader measured them; what any reader would see at once must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine
from dicomnode.values import Findings, RemarkKind, Volume

pytestmark = [pytest.mark.judge, pytest.mark.real_data]

FindData = Callable[[str], Path]
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
Look = Callable[[str], tuple[Volume, Findings]]


@pytest.fixture(scope="module")
def analyst() -> Iterator[Analyst]:
    loaded = Analyst(find_engine("ct-body"), threads=2, node_version="0")
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def look(analyst: Analyst, real_data: FindData) -> Look:
    """Analyse the last stack of a folder; each once."""
    done: dict[str, tuple[Volume, Findings]] = {}

    def run(name: str) -> tuple[Volume, Findings]:
        if name not in done:
            (study,) = read_studies([real_data(name)]).studies
            volume = load_volume([stack for series in study.series for stack in series.stacks][-1])
            analysis = Analysis(volumes={"ct": volume}, salt=b"j" * 32, study_version=1, made_at=WHEN)
            done[name] = volume, analyst.analyse(analysis)
        return done[name]

    return run


def ml(findings: Findings) -> dict[str, float]:
    return {
        one.label: next(m.value for m in one.measurements if m.name == "volume_ml")
        for one in findings.segments
    }


def said(findings: Findings, kind: RemarkKind) -> str:
    return " ".join(one.text for one in findings.remarks if one.kind == kind)


@pytest.mark.parametrize("name", ["chest-ct-lidc-0001", "chest-ct-lidc-0003"])
def test_enhanced_vessels_of_a_chest_are_no_bone_but_for_single_branches(look, name):
    """Of 0001 about 6 of 87 ml are taken for bone, where contrast medium is densest."""
    volume, findings = look(name)
    bone = next(one.mask for one in findings.segments if one.label == "bone").to_array()
    # The great vessels lie before the spine, between the lungs: in the middle third of the body's width
    body = next(one.mask for one in findings.segments if one.label == "body")
    (top, bottom), (left, right) = body.box_kji[1:]
    wide, deep = right - left, bottom - top
    middle = bone[:, top + int(0.25 * deep) : top + int(0.55 * deep), left + wide // 3 : right - wide // 3]
    dense = np.asarray(volume.voxels)[
        :, top + int(0.25 * deep) : top + int(0.55 * deep), left + wide // 3 : right - wide // 3
    ]
    assert (dense > 200).sum() > 40_000  # there is much contrast medium
    assert middle.sum() < 0.08 * (dense > 200).sum()
    assert "taken for contrast medium" in said(findings, RemarkKind.LIMIT)
    assert 100 < ml(findings)["bone"] < 170


def test_a_head_has_a_skull_a_brain_and_no_visceral_fat(look):
    _, findings = look("head-ct-ge-tilt")
    found = ml(findings)
    assert 1000 < found["soft-tissue"] < 1300
    assert not {"muscle", "visceral-fat"} & found.keys()
    assert "the slices show a head" in said(findings, RemarkKind.QUALITY)
    assert "No trunk was recognised" in said(findings, RemarkKind.LIMIT)


@pytest.mark.long
def test_a_whole_chest_is_parted_and_the_couch_is_none_of_it(look):
    volume, findings = look("chest-ct-acrin-042/ct")
    found = ml(findings)
    body = next(one.mask for one in findings.segments if one.label == "body")
    assert body.box_kji[1][1] * volume.grid.spacing_kji_mm[1] < 420  # the couch begins behind it
    assert 6900 < found["subcutaneous-fat"] < 7700
    assert found["subcutaneous-fat"] + found["visceral-fat"] < found["fat"]
    assert 5600 < found["air"] < 6200  # both lungs have 5.86 l by the algorithm `lungs`
    assert "the ring of muscle and bone has a gap" in said(findings, RemarkKind.QUALITY)
    assert "beyond the field of view" in said(findings, RemarkKind.QUALITY)
