"""The whole way, from patients that are drawn to an engine; and the command."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.cli.app import main  # noqa: E402
from dicomnode.engine import check_engine, load_package  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import Watch  # noqa: E402
from dicomnode.learn.lungs import making  # noqa: E402
from dicomnode.learn.lungs.making import Trained, train_lung_masks  # noqa: E402
from dicomnode.learn.lungs.order import Order  # noqa: E402
from dicomnode.learn.lungs.worlds import FORM  # noqa: E402
from dicomnode.phantom.patients import CHEST_VERSION  # noqa: E402

from .coarse_worlds import coarse_world  # noqa: E402


def order_in(folder: Path, **more) -> Order:
    given = Order(
        out=folder / "mine",
        run=folder / "mine.training",
        title="Mine",
        version="1.2.0",
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
        worlds=2,
        judged=2,
        steps=2,
        batch=1,
        machine="a machine",
    )
    return replace(given, **more)


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


@pytest.mark.parametrize(("name", "value"), [("seed", 10), ("worlds", 0), ("steps", 0), ("batch", 0)])
def test_an_order_that_cannot_be_is_refused_with_its_limits(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"Order.{name} must be from"):
        order_in(tmp_path, **{name: value})


def test_no_seed_of_the_frozen_suite_or_of_judging_is_learned_from(tmp_path):
    for seed in range(10):
        order = order_in(tmp_path, seed=seed, worlds=1000)
        assert order.seeds.trained.start >= 310_000
        assert order.seeds.trained.stop <= 320_000
    assert order_in(tmp_path).seeds.judged == range(160_000, 160_002)


def test_the_command_stops_after_its_minutes_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train_lung_masks, "__defaults__", (coarse_world,))
    out = tmp_path / "mine"
    asked = ["train", "lung-masks", "--out", str(out), "--worlds", "1", "--steps", "2", "--batch", "1"]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--minutes", "0", "--json"])
    assert stopped.value.code == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["step"], document["stopped"]) == ("lung-masks", 1, True)
    with pytest.raises(SystemExit) as done:
        main([*asked, "--judged", "1", "--resume"])
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert "held-out phantoms" in said
    assert (out / "card.md").is_file()


def test_the_command_refuses_a_seed_that_cannot_be_before_it_begins(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "lung-masks", "--out", str(tmp_path / "mine"), "--seed", "99"])
    assert caught.value.code == 2
    assert "--seed must be from 0 to 9" in capsys.readouterr().err
