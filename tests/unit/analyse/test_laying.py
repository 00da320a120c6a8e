"""Volumes of another Frame of Reference in an engine: registered, or missing and told."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse.onto import onto
from dicomnode.analyse.resample import Prepared
from dicomnode.faults import NEEDS_REGISTRATION, NO_PRIOR, PREPARATION_NEEDS, REGISTRATION_FAILED, NodeError
from dicomnode.values import (
    EarlierSeries,
    Findings,
    Grid,
    Outcome,
    ReferencedInstance,
    Remark,
    RemarkKind,
    Volume,
    no_progress,
)
from tests.unit.analyse import chest
from tests.unit.analyse.forms import CT, LESION, ONE, engine, node, onnx_bytes, step
from tests.unit.analyse.test_register import OTHER_SPACE, motion, taken_again, volume

pytest.importorskip("SimpleITK")

FLOAT = TensorProto.FLOAT
BEFORE = """
[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
outside = -1000.0
"""
RIGID = 'register = "rigid"\n'
OPTIONAL = RIGID + "[input.prior]\n"
REQUIRED = OPTIONAL + "required = true\n"
EARLIER = EarlierSeries(
    name="before",
    study_instance_uid="1.2",
    series_instance_uid="1.3",
    instances=(ReferencedInstance(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.4"),),
)


def subtracting(folder: Path, before: str) -> Analyst:
    """An engine whose map is its first input less its second."""
    network = onnx_bytes(
        [node("Sub", ["a", "b"], ["y"])],
        [("a", [1, 1, "k", "j", "i"]), ("b", [1, 1, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], FLOAT)],
    )
    keys = 'inputs = { a = ["ct"], b = ["before"] }\ninterpret = "map"'
    body = step(keys=keys, gate="shapes = { a = [1, 1, 8, 8, 8], b = [1, 1, 8, 8, 8] }")
    body += f'[[output]]\nmap = "difference"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    package = engine(folder / "e", body, {"net.onnx": network}, CT + BEFORE + before)
    return Analyst(package, threads=1, node_version="9.9")


def analysed(analyst: Analyst, volumes: dict[str, Volume], remarks: tuple[Remark, ...] = ()) -> Findings:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    told = {"prior before": "study 1.2, series 1.3, 365 days before"} if "before" in volumes else {}
    try:
        return analyst.analyse(
            Analysis(
                volumes=volumes,
                salt=b"s" * 32,
                study_version=1,
                made_at=when,
                remarks=remarks,
                told=told,
                earlier=(EARLIER,) if "before" in volumes else (),
            )
        )
    finally:
        analyst.close()


@pytest.fixture(scope="module")
def now() -> Volume:
    affine = chest.affine()
    affine[:3, :3] *= 2.0
    return volume(chest.draw()[::2, ::2, ::2], affine, "1.2.3.9")


def test_a_prior_is_laid_over_the_current_study(tmp_path: Path, now: Volume) -> None:
    prior = taken_again(now, motion((4.0, 0.0, -3.0), (12.0, -8.0, 15.0), now.grid))
    found = analysed(subtracting(tmp_path, OPTIONAL), {"ct": now, "before": prior})
    assert [source.name for source in found.sources] == ["ct"]
    assert found.earlier == (EARLIER,)
    assert found.provenance.details["prior before"] == "study 1.2, series 1.3, 365 days before"
    assert "rigid, forth and back within" in found.provenance.details["registration of before"]
    (remark,) = [one.text for one in found.remarks if "earlier study" in one.text]
    which = (
        "Input 'before' is of an earlier study (study 1.2, series 1.3, 365 days before), laid over this one: "
    )
    assert remark.startswith(f"{which}rigid, forth and back within")
    not_moved, _ = onto(
        Prepared(prior.voxels, Grid(prior.grid.shape_kji, prior.affine_lps, "1.2.3.9")),
        now.grid,
        -1000.0,
        no_progress,
    )
    inner = tuple(slice(n // 4, 3 * n // 4) for n in now.voxels.shape)
    left, unregistered = np.abs(found.maps[0].values[inner]), np.abs(now.voxels - not_moved)[inner]
    assert left.mean() < 0.5 * unregistered.mean()


def test_an_optional_prior_that_is_not_there_is_outside_everywhere(tmp_path: Path, now: Volume) -> None:
    why = Remark(
        kind=RemarkKind.QUALITY, text="No prior for input 'before': PACS1 was silent.", code="DN-2545"
    )
    found = analysed(subtracting(tmp_path, OPTIONAL), {"ct": now}, (why,))
    assert found.outcome is Outcome.FINDINGS
    assert np.allclose(found.maps[0].values, now.voxels + 1000.0, atol=1e-3)
    assert why in found.remarks
    assert not [name for name in found.provenance.details if "prior" in name or "registration" in name]


def nothing_alike(now: Volume) -> Volume:
    """Air alone: there is nothing to lay over anything."""
    return volume(np.full(now.voxels.shape, -1000.0), now.affine_lps, OTHER_SPACE)


def test_an_optional_prior_that_does_not_match_is_left_out_and_told(tmp_path: Path, now: Volume) -> None:
    found = analysed(subtracting(tmp_path, OPTIONAL), {"ct": now, "before": nothing_alike(now)})
    assert np.allclose(found.maps[0].values, now.voxels + 1000.0, atol=1e-3)
    (remark,) = [one for one in found.remarks if one.code == REGISTRATION_FAILED.code]
    assert remark.text.startswith("No prior for input 'before'")
    assert not any("earlier study" in one.text for one in found.remarks)
    assert found.earlier == ()


@pytest.mark.parametrize("before", [REQUIRED, RIGID])
def test_a_volume_that_is_needed_and_does_not_match_ends_the_analysis(
    tmp_path: Path, now: Volume, before: str
) -> None:
    found = analysed(subtracting(tmp_path, before), {"ct": now, "before": nothing_alike(now)})
    assert found.outcome is Outcome.NOT_ANALYSED
    assert found.remarks[0].code == REGISTRATION_FAILED.code


def test_without_a_word_on_registration_another_space_is_refused(tmp_path: Path, now: Volume) -> None:
    found = analysed(subtracting(tmp_path, ""), {"ct": now, "before": nothing_alike(now)})
    assert found.outcome is Outcome.NOT_ANALYSED
    assert found.remarks[0].code == NEEDS_REGISTRATION.code


def test_another_series_of_the_same_space_is_not_registered(tmp_path: Path, now: Volume) -> None:
    found = analysed(subtracting(tmp_path, RIGID), {"ct": now, "before": now})
    assert np.abs(found.maps[0].values).max() == 0.0
    assert "registration of before" not in found.provenance.details
    assert NO_PRIOR.code not in [one.code for one in found.remarks]


def test_an_engine_that_registers_is_refused_where_nothing_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(NodeError) as caught:
        subtracting(tmp_path, RIGID)
    assert caught.value.fault is PREPARATION_NEEDS
