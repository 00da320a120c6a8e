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
from dicomnode.engine import check_engine, load_package
from dicomnode.faults import NodeError
from dicomnode.learn.normal_lungs import NormalOrder, make_normal, scans
from dicomnode.learn.normal_lungs.density import tensor_of
from dicomnode.learn.normal_lungs.scans import ScanOrder, make_seen, read_seen, seen_of
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.values import DEMONSTRATION, Grid, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest
from tests.unit.learn.drawn.trainings import asked, train

CHESTS, USUAL = 3, 3


def grid() -> Grid:
    return Grid(drawn.SHAPE, drawn.affine(), "1.2.3")


def scan_of(order: ScanOrder) -> SimpleNamespace:
    voxels = drawn.draw(Chest(noise=10.0 + order.seed % 7, airways=False))
    return SimpleNamespace(voxels=voxels.astype(np.int16), grid=grid())


def order_in(folder: Path, **more) -> NormalOrder:
    usual = {"title": "Demonstration: mine", "chests": CHESTS, "usual": USUAL, "parts": 2, "cells": 3000}
    return asked(NormalOrder, folder, **usual | more)


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
    assert (
        "dicomnode train lung-anomaly --out mine --title 'Demonstration: mine' --version 1.2.0 --chests 3"
        in card
    )
    assert "on a machine, cpu, 1 thread(s)" in card
    assert "scikit-learn" in card
    assert "no lungs were found" not in card
    assert "each by mean and spread of the others" in card
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
    (folder / "mine" / "notes.md").write_text("## Seen\n\nNothing.\n")
    again = make_normal(order_in(folder, replace=True))
    assert again.package.digest == normal.package.digest
    assert again.normals == normal.normals
    assert "## Seen\n\nNothing.\n\n## Limits" in (folder / "mine" / "card.md").read_text(encoding="utf-8")


def test_a_chest_without_lungs_is_told_and_one_that_is_gone_is_not_left_out_in_silence(
    made, tmp_path: Path
) -> None:
    order = order_in(made[0], out=tmp_path / "mine", chests=4)
    scans.write_seen(scans.Scanned(seen=None), order.scans(order.seeds.trained)[3].kept)
    make_normal(order)
    card = (tmp_path / "mine" / "card.md").read_text(encoding="utf-8")
    assert "In 1 of these chests no lungs were found" in card
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dicomnode.learn.normal_lungs.making.make_seen", lambda order: order.kept.name)
        with pytest.raises(NodeError, match=r"DN-7104.*330004\.npz is gone"):
            make_normal(order_in(made[0], out=tmp_path / "other", chests=5))


def test_two_do_not_train_in_one_folder(made, tmp_path: Path) -> None:
    order = order_in(made[0], out=tmp_path / "other")
    with RunFolder(folder=order.run, of="").held(), pytest.raises(NodeError, match="DN-7111"):
        make_normal(order)


def test_chests_in_which_no_lungs_are_found_are_too_few(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scans, "seen_of", lambda voxels, grid: None)
    monkeypatch.setattr(ScanOrder, "scan", lambda self: SimpleNamespace(voxels=None, grid=None))
    with pytest.raises(NodeError) as error:
        make_normal(order_in(tmp_path))
    assert error.value.fault.code == "DN-7370"
    assert not (tmp_path / "mine").exists()
    kept = order_in(tmp_path).scans(order_in(tmp_path).seeds.trained)[0]
    make_seen(kept)
    assert read_seen(kept.kept).seen is None


def test_the_command_says_what_it_is(made, tmp_path: Path, capsys, monkeypatch) -> None:
    folder, _ = made
    monkeypatch.setattr(ScanOrder, "scan", scan_of)
    asked_for = ("--chests", CHESTS, "--usual", USUAL, "--parts", 2, "--run", folder / "mine.training")
    assert train("lung-anomaly", "--out", tmp_path / "yours", *asked_for, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["demonstration"].startswith("Demonstration of anomaly detection")
    assert len(document["normal_scores"]) == USUAL


def test_a_title_that_does_not_say_what_it_is_is_usage(tmp_path: Path, capsys) -> None:
    assert train("lung-anomaly", "--out", tmp_path / "mine", "--title", "Anomalies", "--json") == 2
    assert 'begin with "Demonstration"' in json.loads(capsys.readouterr().out)["error"]["text"]
