"""The whole way, from patients to an engine that the node runs; and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.engine import load_package  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.state import Watch  # noqa: E402
from dicomnode.learn.train.run_folder import RunFolder  # noqa: E402
from dicomnode.learn.views.judging import header_of, judged_pictures, table_of  # noqa: E402
from dicomnode.learn.views.making import learned_in, train_views  # noqa: E402
from dicomnode.learn.views.order import Order  # noqa: E402
from dicomnode.learn.views.package import CONCEPTS  # noqa: E402
from dicomnode.learn.views.questions import FRONTAL, LATERAL, OTHER, Truth  # noqa: E402
from tests.unit.learn.drawn.trainings import asked, train  # noqa: E402

from .conftest import plain_patient  # noqa: E402

WATCH = Watch()
WHOLE = {"apices": -5.0, "bases": -5.0, "sides": -5.0}


def order_in(folder: Path, **more) -> Order:
    return asked(
        Order,
        folder,
        **{"patients": 2, "calibrated": 2, "judged": 2, "films": 4, "steps": 2, "batch": 3} | more,
    )


def weights(order: Order) -> dict:
    run = RunFolder(folder=order.run, of=order.digest, resume=order.resume)
    run.begin()
    return learned_in(order, run, WATCH).network.state_dict()


def test_an_engine_comes_out_that_says_what_it_was_made_of(tmp_path, plain_patients) -> None:
    trained = train_views(order_in(tmp_path), WATCH)
    package = load_package(tmp_path / "mine")
    assert package.digest == trained.package.digest
    card = (tmp_path / "mine" / "card.md").read_text()
    assert "Not for clinical use" in card
    assert "340000 to 340001" in card
    assert "--patients 2 --calibrated 2 --judged 2 --films 4 --steps 2 --batch 3" in card
    assert not (tmp_path / "mine.training" / "judged").exists()
    told = [one.label for one in package.manifest.output if one.label in CONCEPTS]
    assert told == list(CONCEPTS)
    assert trained.table.pictures == 8
    assert trained.table.patients == 2
    assert sum(sum(row) for row in trained.table.confusion) == 8


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    tmp_path, plain_patients, monkeypatch
) -> None:
    monkeypatch.setattr("dicomnode.learn.views.training._TOLD", 1)
    whole = weights(order_in(tmp_path / "a", steps=3))
    stopped = order_in(tmp_path / "b", steps=3, resume=True)
    keep = RunFolder.write_state

    def keep_once(run: RunFolder, state: dict) -> None:
        keep(run, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_state", keep_once)
        with pytest.raises(KeyboardInterrupt):
            weights(stopped)
    again = weights(stopped)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_training_of_another_order_is_not_gone_on_with(tmp_path, plain_patients) -> None:
    weights(order_in(tmp_path))
    with pytest.raises(NodeError, match="DN-71"):
        weights(order_in(tmp_path, batch=4, resume=True))


def test_the_node_prepares_a_film_as_the_training_does(tmp_path, plain_patients) -> None:
    """Answers of the analyst are those of the network to the same film, drawn at the network's size."""
    from dicomnode.learn.views import judging
    from dicomnode.learn.views.training import SIDE, draw_picture, fitted

    order = order_in(tmp_path)
    trained = train_views(order, WATCH)
    patient = plain_patient(160_000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(judging, "PIXELS", SIDE)
        (first, *_) = judged_pictures(trained.package, [patient], replace(order, films=1))
    film = draw_picture([patient], (0, 2, patient.seed, 0), SIDE)
    run = RunFolder(folder=order.run, of=order.digest, resume=True)
    network = learned_in(order, run, WATCH).network
    with torch.no_grad():
        logits = network(torch.from_numpy(fitted(film.picture)[None, None]))
    view = (logits[:, :3] / trained.temperatures[0]).softmax(dim=1)[0].numpy()
    said = [first.said[name] for name in ("frontal", "lateral", "other")]
    np.testing.assert_allclose(said, view, atol=0.02)


def test_headers_that_are_drawn_are_right_or_say_the_usual() -> None:
    rng = np.random.default_rng(0)
    mirrored = Truth(view=FRONTAL, mirrored=True, cut_mm=WHOLE)
    drawn = [header_of(mirrored, rng) for _ in range(60)]
    for header, against in drawn:
        said = header["PatientOrientation"].split("\\")[0]
        if header["ViewPosition"] == "PA":
            assert against == (False, said == "L", False)
        else:
            assert against == (True, False, False)
    assert {against for _, against in drawn} == {
        (False, False, False),
        (False, True, False),
        (True, False, False),
    }
    assert all(
        header_of(Truth(view=LATERAL, quarters=1, cut_mm=WHOLE), rng)[1][1] is False for _ in range(20)
    )
    assert all(header_of(Truth(view=OTHER), rng)[1] == (False, False, False) for _ in range(20))


def test_figures_are_those_of_the_answers(tmp_path) -> None:
    """Two patients, four pictures: what is right and wrong is known."""
    from dicomnode.learn.views.judging import Judged

    def row(patient: int, truth: Truth, **said: float) -> Judged:
        given = dict.fromkeys(CONCEPTS, 0.0) | {"frontal": 1.0} | said
        return Judged(patient=patient, truth=truth, said=given, header=(False, False, False))

    cut = Truth(view=FRONTAL, cut_mm=WHOLE | {"apices": 15.0})
    rows = [
        row(1, cut, **{"apices-cut": 0.9}),
        row(2, cut, **{"apices-cut": 0.2}),
        row(1, Truth(view=FRONTAL, quarters=1, cut_mm=WHOLE), **{"turned-left": 0.8}),
        row(2, Truth(view=OTHER, other="hand")),
    ]
    table = table_of(rows, seed=0)
    apices = next(one for one in table.lines if one.name == "apices-cut")
    assert (apices.asked, apices.there) == (3, 2)
    assert apices.figures["sensitivity"].figure.value == 0.5
    assert apices.figures["specificity"].figure.value == 1.0
    assert table.confusion == ((3, 0, 0), (0, 0, 0), (1, 0, 0))
    assert table.missed_others == {"hand": (1, 1)}
    assert table.whole["turned"].figure.value == 1.0
    assert table.whole["view"].figure.value == 0.75
    called = {(low, high): (count, yes) for low, high, count, yes in table.severity["apices"]}
    assert called[10.0, 20.0] == (2, 1)
    assert called[-10.0, 0.0] == (1, 0)


def test_who_is_always_right_on_few_patients_is_not_said_to_be_so_for_certain() -> None:
    from dicomnode.learn.views.judging import Judged

    def row(patient: int, quarters: int) -> Judged:
        said = dict.fromkeys(CONCEPTS, 0.0) | {"frontal": 1.0}
        if quarters == 1:
            said["turned-left"] = 1.0
        truth = Truth(view=FRONTAL, quarters=quarters, cut_mm=WHOLE)
        return Judged(patient=patient, truth=truth, said=said, header=(False, False, False))

    table = table_of([row(patient, quarters) for patient in range(5) for quarters in (0, 1)], seed=0)
    left = next(one for one in table.lines if one.name == "turned-left").figures["sensitivity"]
    assert (left.figure.value, left.figure.part, left.figure.whole, left.high) == (1.0, 5, 5, 1.0)
    assert left.low is not None
    assert 0.3 < left.low < 0.7
    assert table.whole["view"].low == left.low


def test_an_engine_makes_way_only_once_the_other_one_is_judged(tmp_path, plain_patients, monkeypatch) -> None:
    train_views(order_in(tmp_path), WATCH)
    before = (tmp_path / "mine" / "card.md").read_bytes()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dicomnode.learn.views.making.judged", broken)
    with pytest.raises(KeyboardInterrupt):
        train_views(order_in(tmp_path, steps=3, run=tmp_path / "again", replace=True), WATCH)
    assert (tmp_path / "mine" / "card.md").read_bytes() == before


def test_stopped_it_tells_so_and_goes_on(tmp_path, plain_patients, capsys) -> None:
    few = ["--patients=1", "--calibrated=1", "--judged=1", "--films=2", "--steps=2", "--batch=1"]
    out = str(tmp_path / "mine")
    assert train("view-check", "--out", out, *few, "--minutes", "0", "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["step"], document["stopped"], document["folder"]) == (1, True, None)
    assert train("view-check", "--out", out, *few, "--resume") == 0
    assert "held-out phantoms" in capsys.readouterr().out


def test_the_command_trains_and_tells_its_figures(tmp_path, plain_patients, capsys) -> None:
    few = ["--patients=2", "--calibrated=1", "--judged=1", "--films=3", "--steps=1", "--batch=2"]
    code = train("view-check", "--out", str(tmp_path / "mine"), *few, "--json")
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["task"] == "view-check"
    assert document["figures"]["pictures"] == 3
    assert load_package(tmp_path / "mine").digest == document["digest"]
