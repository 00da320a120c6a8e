"""From drawn chests to an engine that passes its gate, looks as it was taught, and says what it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse.watched import WatchedSession
from dicomnode.cli.app import main
from dicomnode.engine import check_engine, load_package
from dicomnode.faults import NodeError
from dicomnode.learn.normal_lungs import NormalOrder, make_normal, scans
from dicomnode.learn.normal_lungs.density import tensor_of
from dicomnode.learn.normal_lungs.scans import ScanOrder, make_seen, read_seen, seen_of
from dicomnode.values import DEMONSTRATION, Grid, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest

CHESTS, USUAL = 3, 3


def grid() -> Grid:
    return Grid(drawn.SHAPE, drawn.affine(), "1.2.3")


def scan_of(order: ScanOrder) -> SimpleNamespace:
    voxels = drawn.draw(Chest(noise=10.0 + order.seed % 7, airways=False))
    return SimpleNamespace(voxels=voxels.astype(np.int16), grid=grid())


def order_in(folder: Path, **changes: object) -> NormalOrder:
    given = {"chests": CHESTS, "usual": USUAL, "parts": 2, "cells": 3000} | changes
    return NormalOrder(
        out=folder / "mine",
        run=folder / "mine.training",
        title="Demonstration: mine",
        version="1.0.0",
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
        **given,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("normal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScanOrder, "scan", scan_of)
        return folder, make_normal(order_in(folder))


def test_the_engine_passes_its_gate_and_says_everywhere_that_it_demonstrates(made) -> None:
    folder, normal = made
    package = load_package(folder / "mine")
    assert check_engine(package).passed
    assert package.manifest.title.startswith("Demonstration")
    assert package.manifest.use.startswith("Demonstration")
    assert all(one.concept.meaning.startswith("Demonstration: ") for one in package.manifest.output)
    card = (folder / "mine" / "card.md").read_text(encoding="utf-8")
    assert "**A demonstration.**" in card
    assert "dicomnode train lung-anomaly --out mine --chests 3" in card
    assert f"{normal.normals[0]:.1f} to {normal.normals[-1]:.1f}" in card


def test_the_engine_is_shown_what_was_learned_from(made) -> None:
    folder, _ = made
    scan = scan_of(ScanOrder(5, folder / "none"))
    seen = seen_of(scan.voxels, scan.grid)
    watched: list[WatchedSession] = []

    def watch(step, session):
        watched.append(WatchedSession(session))
        watched[-1].begin(keep=True)
        return watched[-1]

    analyst = Analyst(load_package(folder / "mine"), threads=1, node_version="9.9", watch=watch)
    volume = Volume(
        voxels=scan.voxels,
        affine_lps=drawn.affine(),
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.3",
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3.2",
        frames=tuple(SourceFrame(f"1.2.3.2.{k}") for k in range(len(scan.voxels))),
        headers=SourceHeaders(()),
    )
    when = datetime(2026, 1, 2, tzinfo=UTC)
    found = analyst.analyse(Analysis(volumes={"ct": volume}, salt=b"s" * 32, study_version=1, made_at=when))
    analyst.close()
    assert seen is not None
    (given,) = watched[0].kept
    assert np.allclose(given["shown"], tensor_of(seen).numpy(), atol=1e-3)
    assert found.maps[0].values.max() > 0.0
    assert found.remarks[0].text == found.provenance.details[DEMONSTRATION]


def test_a_second_try_uses_what_was_drawn_and_gives_the_same_engine(made, monkeypatch) -> None:
    folder, normal = made

    def never(order: ScanOrder):
        raise AssertionError(order)

    monkeypatch.setattr(ScanOrder, "scan", never)
    again = make_normal(order_in(folder))
    assert again.package.digest == normal.package.digest
    assert again.normals == normal.normals


def test_chests_in_which_no_lungs_are_found_are_too_few(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scans, "seen_of", lambda voxels, grid: None)
    monkeypatch.setattr(ScanOrder, "scan", lambda self: SimpleNamespace(voxels=None, grid=None))
    with pytest.raises(NodeError) as error:
        make_normal(order_in(tmp_path))
    assert error.value.fault.code == "DN-7370"
    assert not (tmp_path / "mine").exists()
    kept = order_in(tmp_path).scans(order_in(tmp_path).trained)[0]
    make_seen(kept)
    assert read_seen(kept.kept) is None


@pytest.mark.parametrize("wrong", [{"chests": 0}, {"usual": 2}, {"seed": 10}, {"parts": 65}, {"workers": -1}])
def test_what_cannot_be_is_not_begun(wrong, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"NormalOrder.{next(iter(wrong))}"):
        order_in(tmp_path, **wrong)


def test_no_patient_is_for_two_things() -> None:
    order = order_in(Path("nowhere"), chests=500, usual=500, seed=9)
    assert not set(order.trained) & set(order.calibrated)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", "lung-anomaly", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_the_command_says_what_it_is(made, tmp_path: Path, capsys, monkeypatch) -> None:
    folder, _ = made
    monkeypatch.setattr(ScanOrder, "scan", scan_of)
    asked = ("--chests", CHESTS, "--usual", USUAL, "--parts", 2, "--run", folder / "mine.training")
    assert run("--out", tmp_path / "yours", *asked, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["demonstration"].startswith("Demonstration of anomaly detection")
    assert len(document["normal_scores"]) == USUAL


def test_what_cannot_be_asked_for_is_usage(tmp_path: Path, capsys) -> None:
    assert run("--out", tmp_path / "mine", "--parts", 0, "--json") == 2
    assert "--parts must be from 1 to 64" in json.loads(capsys.readouterr().out)["error"]["text"]
    assert run("--out", tmp_path / "mine", "--title", "Anomalies", "--json") == 2
    assert 'begin with "Demonstration"' in json.loads(capsys.readouterr().out)["error"]["text"]
    (tmp_path / "mine").mkdir()
    assert run("--out", tmp_path / "mine", "--replace", "--json") == 2  # it is no engine


def test_the_help_ends_with_the_exit_status(capsys) -> None:
    assert run("--help") == 0
    assert "EXIT STATUS: 0 trained" in " ".join(capsys.readouterr().out.split())
