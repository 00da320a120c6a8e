"""The whole way, from patients that are drawn to an engine; and the command."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.engine import check_engine, load_package, shipped_engines_dir  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import Watch  # noqa: E402
from dicomnode.learn.planted import making, network, package  # noqa: E402
from dicomnode.learn.planted.making import Trained, train_lungs  # noqa: E402
from dicomnode.learn.planted.order import Order  # noqa: E402
from dicomnode.learn.planted.package import seen_as_shipped  # noqa: E402
from dicomnode.values import no_progress  # noqa: E402
from tests.unit.learn.drawn.trainings import asked, train  # noqa: E402

from .small_worlds import small_world  # noqa: E402


@pytest.fixture(autouse=True)
def small_network(monkeypatch) -> None:
    monkeypatch.setattr(network, "_WIDTHS", (4, 4, 4, 4))


def order_in(folder: Path, **more) -> Order:
    return asked(Order, folder, **{"worlds": 2, "judged": 2, "steps": 4, "batch": 1} | more)


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


def test_a_network_is_judged_by_the_looks_of_its_engine_and_their_mean() -> None:
    """The box, and flipped along j, along i, along both: what each gives is flipped back."""
    box = np.random.default_rng(1).normal(size=(1, 1, 4, 6, 8)).astype(np.float32)
    ramp = np.arange(8, dtype=np.float32)
    looks: list[np.ndarray] = []

    def run(seen: np.ndarray) -> dict[str, np.ndarray]:
        looks.append(seen.copy())
        return {"heat": seen * ramp}

    found = seen_as_shipped(run)(box)["heat"]
    wanted = [box, np.flip(box, -2), np.flip(box, -1), np.flip(box, (-2, -1))]
    assert all(any(np.array_equal(one, look) for look in looks) for one in wanted)
    assert len(looks) == len(wanted)
    assert np.allclose(found, box * ramp.mean(), atol=1e-5)


def test_each_patient_that_it_is_calibrated_and_judged_on_is_seen_by_all_looks(through: Trained) -> None:
    folders = sorted((through.order.run / making.WORLDS_FOLDER).iterdir())[:1]
    looks: list[np.ndarray] = []

    def run(box: np.ndarray) -> dict[str, np.ndarray]:
        looks.append(box.copy())
        cells = tuple(side // 2 for side in box.shape[2:])
        nothing = np.full((1, 1, *cells), -20.0, np.float32)
        return {"heat": nothing, "logd": nothing, "mask": np.full_like(box, -20.0)}

    how = package.read_loosely(0.5, 10)
    making._answers(run, folders, how, 0, no_progress)
    assert len(looks) == 4
    assert all(
        np.array_equal(np.flip(looks[0], axes), look)
        for axes, look in zip(((), -2, -1, (-2, -1)), looks, strict=True)
    )


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
    assert made.line is not None
    for output in shipped["output"]:  # a score that nothing was fitted to is called no probability
        if output.get("kind") == "lesion":
            assert output["calibrated"]
            output["calibrated"] = made.line.fitted
    for name in ("input", "output", "use"):
        assert own[name] == shipped[name]
    others = [[one for one in table["step"] if "centre_heat" not in one] for table in (own, shipped)]
    assert others[0] == others[1]
    (step,) = (one for one in own["step"] if "centre_heat" in one)
    assert step["window"] == {"mirror": ["j", "i"]}, "as it was judged"
    heat = step["centre_heat"]
    assert heat["score"] == "heat"
    assert made.table is not None
    assert heat["threshold"] == made.table.threshold
    card = (folder / "card.md").read_text()
    for said in (
        "types.onnx came along with lung-ct",
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
    before = [one.get("network") for one in table["step"]]
    monkeypatch.setattr(package, "model_table", lambda: table)
    steps = package.engine_table(order_in(tmp_path), 0.4, calibrated=True)["step"]
    assert steps[1] == masks
    assert [one.get("network") for one in steps] == before
    (heat,) = (one["centre_heat"] for one in steps if "centre_heat" in one)
    assert heat["threshold"] == 0.4


def test_patients_are_judged_as_the_engine_will_read_them(monkeypatch) -> None:
    table = tomllib.loads((shipped_engines_dir() / "lung-ct" / "engine.toml").read_text())
    heat = next(one["centre_heat"] for one in table["step"] if "centre_heat" in one)
    heat |= {"within_diameters": 0.4, "suppress_mm": 5.5}
    monkeypatch.setattr(package, "model_table", lambda: table)
    how = package.read_loosely(0.01, 80)
    assert (how.within_diameters, how.suppress_mm, how.score) == (0.4, 5.5, "heat")
    assert (how.threshold, how.heat_at_least, how.at_most) == (0.01, 0.01, 80)
    table["step"] = [one for one in table["step"] if "centre_heat" not in one]
    with pytest.raises(NodeError, match="DN-7345"):
        package.read_loosely(0.01, 80)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ignore", "FILE"], "--ignore"),
        (["--seed", "22"], "to 21"),
        (["--threads", "-1"], "--threads"),
    ],
    ids=["known findings of no scans", "patients of other recipes", "threads"],
)
def test_what_was_asked_wrongly_is_told_at_once(tmp_path: Path, capsys, words: list[str], said: str) -> None:
    (tmp_path / "known.csv").write_text("seriesuid\n")
    words = [str(tmp_path / "known.csv") if word == "FILE" else word for word in words]
    assert train("lung-nodules", "--out", tmp_path / "mine", *words, "--json") == 2
    assert said in json.loads(capsys.readouterr().out)["error"]["text"]
    assert not (tmp_path / "mine.training").exists()


def test_the_command_tells_how_it_went_and_ends_partly_where_it_was_stopped(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(train_lungs, "__defaults__", (small_world,))
    asked_for = (
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
    assert train("lung-nodules", *asked_for, "--minutes", 0, "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["step"], document["stopped"], document["folder"]) == (1, True, None)
    assert train("lung-nodules", *asked_for, "--resume") == 0
    told = capsys.readouterr()
    assert "step 2 of 2: heat" in told.err
    assert "sensitivity, 4 to 6 mm" in told.out
