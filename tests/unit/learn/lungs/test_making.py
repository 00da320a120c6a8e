"""The whole way, from patients that are drawn to an engine; and the command."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.engine import check_engine, load_package  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import Watch  # noqa: E402
from dicomnode.learn.lungs import making  # noqa: E402
from dicomnode.learn.lungs.making import Trained, train_lung_masks  # noqa: E402
from dicomnode.learn.lungs.order import Order  # noqa: E402
from dicomnode.learn.lungs.worlds import FORM  # noqa: E402
from dicomnode.phantom.patients import CHEST_VERSION  # noqa: E402
from tests.unit.learn.drawn.trainings import asked, train  # noqa: E402

from .coarse_worlds import coarse_world  # noqa: E402


def order_in(folder: Path, **more) -> Order:
    return asked(Order, folder, **{"worlds": 2, "judged": 2, "steps": 2, "batch": 1} | more)


def trained(order: Order, stop=lambda: False) -> Trained:
    return train_lung_masks(order, Watch(stop=stop), draw=coarse_world)


def test_stopped_it_goes_on_to_the_engine_that_a_training_without_a_stop_gives(tmp_path):
    through = trained(order_in(tmp_path / "through"))
    order = order_in(tmp_path / "stopped")
    first = trained(order, stop=lambda: True)
    assert first.learned.stopped
    assert first.package is None
    assert not order.out.exists()
    with pytest.raises(NodeError, match="DN-7105"):
        trained(order)
    with pytest.raises(NodeError, match="DN-7104"):
        trained(replace(order, steps=3, resume=True))
    again = trained(replace(order, resume=True))
    assert again.package is not None
    networks = [(one.order.out / "lung-masks.onnx").read_bytes() for one in (through, again)]
    assert networks[0] == networks[1]


def test_the_engine_sees_lungs_twice_and_says_what_it_was_made_of(tmp_path):
    folder = trained(order_in(tmp_path)).order.out
    assert all(one.passed for one in check_engine(load_package(folder)).checks)
    table = tomllib.loads((folder / "engine.toml").read_text())
    assert [one.get("algorithm", one.get("network")) for one in table["step"]] == [
        "lungs", "lung-masks.onnx", "lungs_checked",
    ]  # fmt: skip
    assert {one["step"] for one in table["output"]} == {"lungs_checked"}
    assert table["step"][1]["resample_mm"] == [4.0, 4.0, 4.0]
    card = (folder / "card.md").read_text()
    for said in ("seeds 310000 to 310001", "a machine", "torch", "Not for clinical use", "No real scan"):
        assert said in card
    assert len((folder / "curves.csv").read_text().splitlines()) == 2


def test_real_scans_are_kept_by_the_form_of_worlds_and_named_in_the_card(tmp_path, monkeypatch):
    scan = SimpleNamespace(uid="1.2.3", digest="d" * 64)
    monkeypatch.setattr(making, "find_backgrounds", lambda *_: [scan])
    monkeypatch.setattr(making, "real_world", lambda _: coarse_world(5, is_real=True))
    made = trained(order_in(tmp_path, backgrounds=tmp_path, steps=1, judged=1))
    [kept] = (tmp_path / "mine.training" / "worlds").glob("real-*")
    assert kept.name == f"real-{'d' * 24}-{CHEST_VERSION}-{FORM}.npz"
    assert made.real == (("1.2.3", "d" * 64),)
    card = (made.order.out / "card.md").read_text()
    assert "series 1.2.3, digest ddd" in card
    assert "collapse 1, effusion 0" in card
    assert "--backgrounds DIR" in card


def test_the_command_stops_after_its_minutes_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train_lung_masks, "__defaults__", (coarse_world,))
    out = tmp_path / "mine"
    asked_for = ("lung-masks", "--out", out, "--worlds", 1, "--steps", 2, "--batch", 1)
    assert train(*asked_for, "--minutes", 0, "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["step"], document["stopped"]) == ("lung-masks", 1, True)
    assert train(*asked_for, "--judged", 1, "--resume") == 0
    said = capsys.readouterr().out
    assert "held-out phantoms" in said
    assert (out / "card.md").is_file()
