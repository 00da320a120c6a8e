"""A site of studies: what is held out stays out, studies count once, and it goes on after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from dicomnode.evaluate.data import Part, load_split, read_labelled
from dicomnode.faults import NodeError
from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("monai")

from dicomnode.learn import Order, SegmentJob, Title, read_recipe  # noqa: E402
from dicomnode.learn.federate import Place, SiteRound, finished_engine, made_engine, site_of  # noqa: E402
from dicomnode.learn.train import training  # noqa: E402
from tests.unit.learn.train.small_data import write_study  # noqa: E402

SHARED = {
    "epochs": 2,
    "steps": 2,
    "width": 4,
    "levels": 2,
    "network": "unet",
    "spacing_kji_mm": [4.0, 4.0, 4.0],
    "patch_kji": [8, 24, 24],
    "scaling": "z_score",
    "precision": "fp32",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    for seed in range(6):
        write_study(folder, seed)
    return folder


@pytest.fixture
def order(tmp_path) -> Order:
    return Order(
        out=tmp_path / "liver",
        run=tmp_path / "liver.training",
        split=tmp_path / "split.json",
        title=Title(name="liver", version="1.0.0", title="Liver"),
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
        device="cpu",
    )


def place(studies: Path, order: Order, **more) -> Place:
    data = read_labelled([studies])
    job = SegmentJob.of(read_recipe(None, "segment", {**SHARED, **more}), data, ["liver"])
    return site_of(job, data, order, 1)


def test_a_site_never_prepares_what_is_held_out_before_the_rounds_are_over(studies, order, monkeypatch):
    prepared: set[str] = set()
    wrapped = training.prepared_samples

    def watching(job, cases, *more):
        prepared.update(case.patient for case in cases)
        return wrapped(job, cases, *more)

    monkeypatch.setattr("dicomnode.learn.federate.studies.prepared_samples", watching)
    here = place(studies, order)
    here.site.train(here.site.weights(), 1)
    here.site.judge(here.site.weights())
    split = load_split(order.split)
    held_out = {patient for patient, part in split.parts.items() if part is Part.TEST}
    assert held_out
    assert prepared == set(split.parts) - held_out
    trained_on = {sample.patient for sample in here.site.lesson.training}
    assert trained_on == {patient for patient, part in split.parts.items() if part is Part.TRAIN}
    who = here.site.who()
    assert (who.samples, who.validated) == (len(trained_on), len(prepared) - len(trained_on))


def test_sites_with_other_recipes_or_preparations_have_other_digests(studies, order, tmp_path):
    def of(name: str, **more) -> str:
        other = replace(order, run=tmp_path / name, split=tmp_path / f"{name}.json")
        return place(studies, other, **more).site.of

    first = of("first")
    assert of("same") == first
    assert of("wider", width=8) != first
    assert of("scaled", scaling="percentile") != first


def test_two_sites_of_one_split_do_not_train_at_once(studies, order, tmp_path):
    first = place(studies, order)
    second = place(studies, replace(order, out=tmp_path / "other", run=tmp_path / "other.training"))
    with first.alone():
        with pytest.raises(NodeError, match="DN-7261"), second.alone():
            pass
        with pytest.raises(NodeError, match="DN-7111"), first.alone():
            pass
    with second.alone():
        pass


def test_rounds_that_are_over_become_an_engine_after_a_crash(studies, order, monkeypatch):
    here = place(studies, order)
    weights = {name: np.array(value) for name, value in here.site.weights().items()}
    rounds = [SiteRound(number=3, loss=0.5, score=0.25), SiteRound(number=4, loss=0.4, score=0.5)]

    def pulled(*given: object) -> None:
        raise OSError("pulled")

    with monkeypatch.context() as broken:
        broken.setattr(training, "write_engine", pulled)
        with pytest.raises(OSError, match="pulled"):
            finished_engine(here, weights, rounds)
    with pytest.raises(NodeError, match="DN-7105"):
        place(studies, order)
    again = place(studies, replace(order, resume=True))
    assert again.rounds_are_over
    made = made_engine(again)
    assert [row.epoch for row in made.learned.rows] == [3, 4]
    kept = torch.load(order.out / "weights.pt", map_location="cpu", weights_only=True)["state"]
    assert all((kept[name].numpy() == value).all() for name, value in weights.items())
