"""The whole way, from patients that are drawn to an engine; and the command."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.cli.app import main  # noqa: E402
from dicomnode.engine import check_engine, load_package, shipped_engines_dir  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import Watch  # noqa: E402
from dicomnode.learn.planted import making, network, package  # noqa: E402
from dicomnode.learn.planted.making import Trained, train_lungs  # noqa: E402
from dicomnode.learn.planted.order import Order  # noqa: E402

from .small_worlds import small_world  # noqa: E402


@pytest.fixture(autouse=True)
def small_network(monkeypatch) -> None:
    monkeypatch.setattr(network, "_WIDTHS", (4, 4, 4, 4))


def order_in(folder: Path, **more) -> Order:
    given = Order(
        out=folder / "mine",
        run=folder / "mine.training",
        title="Mine",
        version="1.2.0",
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
        worlds=2,
        judged=2,
        steps=4,
        batch=1,
        workers=0,
        machine="a machine",
    )
    return replace(given, **more)


def trained(order: Order, stop=lambda: False) -> Trained:
    return train_lungs(order, Watch(stop=stop), draw=small_world)


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return what a training gave that was never stopped."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_WIDTHS", (4, 4, 4, 4))
        made = trained(order_in(tmp_path_factory.mktemp("through")))
    torch.set_num_threads(before)
    return made


def test_an_engine_comes_out_that_differs_from_lung_ct_in_its_network_alone(through: Trained) -> None:
    made, folder = through, through.order.out
    package = load_package(folder)
    assert made.package is not None
    assert package.digest == made.package.digest
    assert all(one.passed for one in check_engine(package).checks)
    assert (folder / "nodules.onnx").stat().st_size < 4_000_000
    own, shipped = (
        tomllib.loads((place / "engine.toml").read_text())
        for place in (folder, shipped_engines_dir() / "lung-ct")
    )
    assert (own["name"], own["version"], own["title"]) == ("mine", "1.2.0", "Mine")
    for name in ("input", "output", "use"):
        assert own[name] == shipped[name]
    assert own["step"][0] == shipped["step"][0]
    heat = own["step"][1]["centre_heat"]
    assert heat["score"] == "heat"
    assert made.table is not None
    assert heat["threshold"] == made.table.threshold
    card = (folder / "card.md").read_text()
    for said in (
        "seeds 200000 to 200001",
        "4 patches",
        "a machine",
        "torch",
        "Not for clinical use",
        "No real scan",
        "train lung-nodules --out mine --title Mine --version 1.2.0 --worlds 2 --judged 2 --steps 4",
        "gives the same network",
    ):
        assert said in card
    assert len((folder / "curves.csv").read_text().splitlines()) == 2


def test_stopped_it_writes_no_engine_and_goes_on_to_the_same_one(through: Trained, tmp_path: Path) -> None:
    order = order_in(tmp_path)
    first = trained(order, stop=lambda: True)
    assert first.learned.stopped
    assert first.package is None
    assert not order.out.exists()
    with pytest.raises(NodeError, match="DN-7105"):
        trained(order)
    with pytest.raises(NodeError, match="DN-7104"):
        trained(replace(order, steps=5, resume=True))
    again = trained(replace(order, resume=True))
    assert again.package is not None
    networks = [(one.order.out / "nodules.onnx").read_bytes() for one in (through, again)]
    assert networks[0] == networks[1]


def test_scans_that_cannot_be_planted_into_are_told_before_the_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(making, "find_backgrounds", lambda *_: [])
    with pytest.raises(NodeError, match="DN-7341"):
        trained(order_in(tmp_path, backgrounds=tmp_path))
    assert not (tmp_path / "mine").exists()


def test_of_a_model_with_several_networks_that_of_nodules_alone_is_another(tmp_path, monkeypatch) -> None:
    table = tomllib.loads((shipped_engines_dir() / "lung-ct" / "engine.toml").read_text())
    masks = {"network": "masks.onnx", "sha256": "0", "interpret": "map", "gate": {"seed": 1}}
    table["step"].insert(1, masks)
    monkeypatch.setattr(package, "model_table", lambda: table)
    steps = package.engine_table(order_in(tmp_path), 0.4)["step"]
    assert steps[1] == masks
    assert [one.get("network") for one in steps[:3]] == [None, "masks.onnx", "nodules.onnx"]
    assert steps[2]["centre_heat"]["threshold"] == 0.4


def test_patients_are_judged_as_the_engine_will_read_them(monkeypatch) -> None:
    table = tomllib.loads((shipped_engines_dir() / "lung-ct" / "engine.toml").read_text())
    heat = next(one["centre_heat"] for one in table["step"] if "centre_heat" in one)
    heat |= {"within_diameters": 0.4, "suppress_mm": 5.5}
    monkeypatch.setattr(package, "model_table", lambda: table)
    how = package.read_loosely(0.01, 80)
    assert (how.within_diameters, how.suppress_mm, how.score) == (0.4, 5.5, "heat")
    assert (how.threshold, how.heat_at_least, how.at_most) == (0.01, 0.01, 80)
    del table["step"][1]
    with pytest.raises(NodeError, match="DN-7345"):
        package.read_loosely(0.01, 80)


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", "lung-nodules", *map(str, words)])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ignore", "FILE"], "--ignore"),
        (["--worlds", "0"], "--worlds must be from 1"),
        (["--seed", "-3"], "--seed must be from 0"),
        (["--seed", "22"], "to 21"),
        (["--threads", "-1"], "--threads"),
    ],
    ids=["known findings of no scans", "no patients", "seed", "patients of other recipes", "threads"],
)
def test_what_was_asked_wrongly_is_told_at_once(tmp_path: Path, capsys, words: list[str], said: str) -> None:
    (tmp_path / "known.csv").write_text("seriesuid\n")
    asked = [str(tmp_path / "known.csv") if word == "FILE" else word for word in words]
    assert run("--out", tmp_path / "mine", *asked, "--json") == 2
    assert said in json.loads(capsys.readouterr().out)["error"]["text"]
    assert not (tmp_path / "mine.training").exists()


def test_an_engine_that_is_there_makes_way_only_when_asked(tmp_path: Path, capsys) -> None:
    (tmp_path / "mine").mkdir()
    assert run("--out", tmp_path / "mine", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "DN-4204"
    assert run("--out", tmp_path / "mine", "--replace", "--json") == 2  # it is no engine


def test_the_command_tells_how_it_went_and_ends_partly_where_it_was_stopped(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(train_lungs, "__defaults__", (small_world,))
    asked = (
        "--out",
        tmp_path / "mine",
        "--worlds",
        1,
        "--judged",
        1,
        "--steps",
        2,
        "--batch",
        1,
        "--workers",
        0,
    )
    assert run(*asked, "--minutes", 0, "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["step"], document["stopped"], document["folder"]) == (1, True, None)
    assert run(*asked, "--resume") == 0
    told = capsys.readouterr()
    assert "step 2 of 2: heat" in told.err
    assert "sensitivity, 4 to 6 mm" in told.out


def test_the_help_ends_with_the_exit_status(capsys) -> None:
    assert run("--help") == 0
    assert "EXIT STATUS: 0 trained" in " ".join(capsys.readouterr().out.split())
