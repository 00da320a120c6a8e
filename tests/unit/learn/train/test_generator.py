"""Training a generator: what it learns from, that it goes on as if never stopped, what its folder says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.cli.app import main
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import (
    GENERATOR_NO_ENGINE,
    INIT_UNFIT,
    LABELS_UNFIT,
    NOTHING_TO_LEARN,
    RECIPE_WRONG,
    USAGE,
    NodeError,
)
from dicomnode.learn import GeneratorJob, Order, TrainedGenerator, read_recipe, train_generator
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.learn.generate.generator_copies import reduced_of
from dicomnode.learn.generate.generator_package import read_generator
from dicomnode.learn.generate.generator_synth import GeneratorPlan, draw_cases
from dicomnode.learn.train import generator_drawing
from dicomnode.learn.train.generator import name_of
from dicomnode.learn.train.generator_card import generator_card
from dicomnode.learn.train.generator_lesson import images_of
from dicomnode.learn.train.generator_network import Diffusion, Drawer, diffusion, drawer_of
from dicomnode.values import no_progress

from .conftest import MADE_AT, torch
from .small_data import write_study

TINY = {
    "epochs": 2,
    "steps": 2,
    "batch": 2,
    "width": 8,
    "levels": 2,
    "patch_kji": [1, 16, 16],
    "noise_steps": 20,
    "draw_steps": 4,
    "validate_part": 0.2,
    "test_part": 0.2,
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory):
    made = synth_cases(SynthPlan(kind="discs", cases=16, seed=2), tmp_path_factory.mktemp("films") / "set")
    return read_labelled([made.folder], made.labels)


@pytest.fixture(scope="module")
def few_drawn() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_drawing, "DRAWN", 6)
        yield


pytestmark = pytest.mark.usefixtures("few_drawn")


def train(films, order: Order, column: str | None = None, **changes) -> TrainedGenerator:
    job = GeneratorJob.of(read_recipe(None, "generator", {**TINY, **changes}), films, column)
    return train_generator(job, films, order)


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory: pytest.TempPathFactory) -> TrainedGenerator:
    """One training by labels, which most tests look at."""
    from dicomnode.learn import Title

    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    order = Order(
        out=folder / "films",
        run=folder / "films.training",
        split=folder / "split.json",
        title=Title(name="films", version="1.0.0", title="Films"),
        made_at=MADE_AT,
        device="cpu",
    )
    return train(films, order, "opacity")


def test_the_folder_draws_images_of_the_kind_that_it_has_learned_from(
    trained: TrainedGenerator, tmp_path: Path
) -> None:
    made = read_generator(trained.generator.folder)
    assert made.form.sop_class_uid == "1.2.840.10008.5.1.4.1.1.1"
    assert (made.form.modality, made.form.side, made.network.labels) == ("CR", 16, ("0", "1"))
    assert made.form.spacing_mm == (20.0, 20.0)
    plans = [GeneratorPlan(generator=made, cases=2, seed=seed) for seed in (1, 1, 2)]
    sets = [draw_cases(plan, tmp_path / f"{n}") for n, plan in enumerate(plans)]
    pixels = [[path.read_bytes() for path in sorted(one.folder.rglob("*.dcm"))] for one in sets]
    assert pixels[0] == pixels[1]
    assert not set(pixels[0]) & set(pixels[2])
    data = read_labelled([sets[0].folder], sets[0].labels)
    assert [study.row["opacity"] for study in data.studies if study.synthetic] in (["0", "1"], ["1", "0"])


def test_it_learns_from_the_training_part_alone(trained: TrainedGenerator) -> None:
    parts = {name: {case.patient for case in cases} for name, cases in trained.parts.named}
    names = {name_of(case, 0, 1) for case in trained.parts.train}
    assert set(trained.generator.known.names) == names
    assert not parts["train"] & (parts["validation"] | parts["test"])
    assert trained.generator.images == len(trained.parts.train) == len(trained.generator.known.names)


def test_what_it_knows_are_the_training_images_reduced(trained: TrainedGenerator) -> None:
    """By another way: each training image, prepared again, is in the folder, under its patient."""
    plan = trained.job.plan(trained.parts.train, lambda *_: None)
    known = trained.generator.known
    for case in trained.parts.train:
        sample = trained.job.sample(case, plan)
        assert float(np.abs(sample.inputs).max()) <= 1.0
        nearest = known.nearest(reduced_of(np.asarray(sample.inputs[:, 0])))
        assert nearest.distance == 0.0
        assert nearest.image == name_of(case, 0, 1)


def test_the_card_tells_of_data_copies_and_quality_and_names_nobody(trained: TrainedGenerator) -> None:
    folder = trained.generator.folder
    card = (folder / "card.md").read_text()
    assert "Nothing that it draws was anybody" in card
    assert "All cases are synthetic" in card
    assert "Guard this folder" in card
    for nearest in trained.facts.looked.nearest:
        assert f"| {nearest.image} | {nearest.distance:.4f} |" in card
    for what in ("training", "drawn", "noise"):
        assert f"{getattr(trained.facts.looked.likeness, what):.4f}" in card
    assert f"{trained.facts.too_near} are too near" in card
    for study in trained.parts.train:
        assert study.stack.headers[0].sop_instance_uid not in card
        assert study.patient not in card
        assert all(study.patient.encode() not in path.read_bytes() for path in folder.iterdir())
    assert {"recipe.toml", "curves.csv", "curves.html", "weights.pt"} <= {
        one.name for one in folder.iterdir()
    }


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(films, order_in) -> None:
    whole = train(films, order_in("whole"))
    stopped = order_in("stopped", run=order_in("stopped").run)
    train(films, replace(stopped, out=stopped.out.with_name("half"), stop=lambda epoch: epoch == 1))
    gone_on = train(films, replace(stopped, resume=True))
    assert [row.loss for row in gone_on.learned.rows] == [row.loss for row in whole.learned.rows]
    kept = [one.learned.weights for one in (whole, gone_on)]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert whole.generator.weights == gone_on.generator.weights


def test_it_draws_with_the_mean_of_its_weights() -> None:
    network = small()
    before = {name: one.clone() for name, one in network.mean.named_parameters()}
    given = torch.zeros((1, 3, 16, 16))
    network.train()
    with torch.no_grad():
        for _ in range(3):
            for one in network.inner.parameters():
                one.add_(1.0)
            network(given)
    # By hand: parts kept 0/10, 1/11, 2/12 of what it was; weights are w+1, w+2, w+3
    first = 1.0
    second = first / 11 + 2 * 10 / 11
    third = second * 2 / 12 + 3 * 10 / 12
    for name, one in network.mean.named_parameters():
        assert torch.allclose(one, before[name] + third, atol=1e-4), name
    assert not any(one.requires_grad for one in network.mean.parameters())


def small(labels: tuple[str, ...] = ()) -> Diffusion:
    from dicomnode.learn.generate.generator_package import Network

    torch.manual_seed(1)
    how = Network(width=8, levels=2, noise_steps=20, draw_steps=4, labels=labels)
    return diffusion(how, 1, 0.99)


def test_drawing_goes_back_from_noise_to_what_a_network_without_doubt_says() -> None:
    """A network that knows the image says the exact velocity; DDIM must then give the image back."""
    from dicomnode.learn.generate.generator_package import Network
    from dicomnode.learn.train.generator_network import schedule

    how = Network(width=8, levels=2, noise_steps=20, draw_steps=4)
    image = torch.linspace(-0.9, 0.9, 64).reshape(1, 1, 8, 8)
    parts = schedule(how).alphas_cumprod

    class Knows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.none = torch.nn.Parameter(torch.zeros(()))

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            part = parts[given[:, 1, 0, 0].long()].reshape(-1, 1, 1, 1)
            noise = (given[:, :1] - part.sqrt() * image) / (1 - part).sqrt()
            return part.sqrt() * noise - (1 - part).sqrt() * image + self.none

    assert schedule(how).timesteps.tolist() == [19, 14, 9, 4]
    noise = np.random.default_rng(1).standard_normal((1, 8, 8)).astype(np.float32)
    drawn = Drawer(Knows(), how)(noise, 0)
    assert drawn == pytest.approx(image[0].numpy(), abs=1e-4)


def test_another_label_draws_another_image_from_the_same_noise(trained: TrainedGenerator) -> None:
    noise = np.random.default_rng(1).standard_normal((1, 16, 16)).astype(np.float32)
    drawer = drawer_of(trained.generator)
    assert not np.array_equal(drawer(noise, 0), drawer(noise, 1))
    assert np.array_equal(drawer(noise, 1), drawer(noise, 1))


def test_a_training_goes_on_from_a_generator_and_refuses_other_networks(
    films, trained: TrainedGenerator, order_in, tmp_path: Path
) -> None:
    more = train(films, order_in("more", init=trained.generator.folder), "opacity")
    assert more.begun is not None
    assert more.begun.fresh == ()
    assert "begun from films" in (more.generator.folder / "card.md").read_text()
    torch.save({"schema": 1, "network": "unet", "state": {}}, tmp_path / "weights.pt")
    with pytest.raises(NodeError) as caught:
        train(films, order_in("other", init=tmp_path), "opacity")
    assert caught.value.fault is INIT_UNFIT


def test_slices_of_volumes_are_learned_and_drawn(tmp_path: Path, order_in) -> None:
    for seed in range(8):
        write_study(tmp_path / "data", seed, shape=(6, 20, 24))
    data = read_labelled([tmp_path / "data"])
    made = train(data, order_in("slices"))
    assert made.generator.form.kind == "volume"
    assert made.generator.form.modality == "CT"
    assert made.generator.form.spacing_mm == (6.0, 6.0)  # 24 pixels of 4 mm in 16
    assert made.generator.form.thickness_mm == 4.0
    assert made.generator.images == 6 * len(made.parts.train)
    assert all("/" in name for name in made.generator.known.names)
    drawn = draw_cases(GeneratorPlan(generator=made.generator, cases=2, seed=1), tmp_path / "drawn")
    assert len(list(drawn.folder.rglob("*.dcm"))) == 2


def test_batches_hold_each_image_once_and_follow_from_the_seed_alone(films) -> None:
    job = GeneratorJob.of(read_recipe(None, "generator", {**TINY, "steps": 0}), films)
    plan = job.plan(job.cases, lambda *_: None)
    samples = [job.sample(case, plan) for case in job.cases]
    lesson = job.lesson(samples, samples[:3], plan)
    assert lesson.steps == 20
    assert len(images_of(samples)) == len(films.studies)
    first, again = lesson.batch(1, 2), lesson.batch(1, 2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], lesson.batch(2, 2)[0])
    given, target = first
    assert given.shape == (2, 3, 16, 16)
    assert target.shape == (2, 1, 16, 16)
    assert set(np.unique(given[:, 1].numpy())) <= set(range(20))


@pytest.mark.parametrize(
    ("changes", "column", "fault"),
    [
        ({}, "nothing", LABELS_UNFIT),
        ({"folds": 3}, None, RECIPE_WRONG),
        ({"draw_steps": 21}, None, RECIPE_WRONG),
        ({"network": "unet"}, None, RECIPE_WRONG),
    ],
)
def test_what_cannot_be_learned_is_refused(films, order_in, changes, column, fault) -> None:
    with pytest.raises(NodeError) as caught:
        train(films, order_in("refused"), column, **changes)
    assert caught.value.fault is fault


def test_of_one_patient_nothing_is_learned(films, order_in) -> None:
    one = films.patients[0]
    with pytest.raises(NodeError) as caught:
        train(films.only([one]), order_in("one"))
    assert caught.value.fault is NOTHING_TO_LEARN


def test_the_command_trains_draws_and_refuses_it_as_an_engine(films, tmp_path: Path, capsys) -> None:
    made = synth_cases(SynthPlan(kind="photos", cases=14, seed=3), tmp_path / "photos")
    sets = [f"--set={name}={value}" for name, value in TINY.items() if name != "epochs"]
    words = ["train", "generator", "--data", made.folder, "--out", tmp_path / "moles", "--epochs", "1"]
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in [*words, "--threads", "1", "--device", "cpu", *sets, "--json"]])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0, told
    assert told["image"]["modality"] == "XC"
    assert told["copies"]["drawn"] == 6
    assert sum(one["synthetic"] for one in told["parts"]) == 14
    words = [
        "synth",
        "--generator",
        tmp_path / "moles",
        "--cases",
        "2",
        "--out",
        tmp_path / "drawn",
        "--json",
    ]
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in words])
    drawn = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0, drawn
    assert len(drawn["cases"]) == 2
    assert all(one["distance"] > drawn["too_near"] for one in drawn["cases"])
    with pytest.raises(SystemExit) as ended:
        main(["try", str(made.folder), "--engine-path", str(tmp_path / "moles"), "--json"])
    refused = json.loads(capsys.readouterr().out)
    assert (ended.value.code, refused["error"]["code"]) == (12, GENERATOR_NO_ENGINE.code)


@pytest.mark.parametrize(
    "words",
    [
        ["--title", "Films\n"],
        ["--title", "F" * 65],
        ["--version", " "],
        ["--version", "1\x07"],
        ["--threads", "-1"],
    ],
)
def test_what_no_header_can_say_is_refused_before_anything_is_read(
    words: list[str], tmp_path: Path, capsys
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "train",
                "generator",
                "--data",
                str(tmp_path),
                "--out",
                str(tmp_path / "films"),
                *words,
                "--json",
            ]
        )
    refused = json.loads(capsys.readouterr().out)["error"]
    assert (ended.value.code, refused["code"]) == (2, USAGE.code)
    assert words[0] in refused["text"]


def test_without_images_that_were_held_out_it_is_told_that_nothing_is_known_of_its_quality(
    trained: TrainedGenerator,
) -> None:
    """The test part may be there, and none of it can be decoded."""
    job, parts = trained.job, trained.parts
    plan = job.plan(parts.train, no_progress)
    training = images_of([replace(job.sample(case, plan), name="") for case in parts.train[:3]])
    looked = generator_drawing.look(
        lambda noise, label: noise, training, [], trained.generator.known, 1, no_progress
    )
    assert (looked.held_out, looked.likeness.held_out, looked.likeness.drawn) == ([], 0, None)
    assert len(looked.nearest) == generator_drawing.DRAWN
    assert "how good it is, is not known" in generator_card(replace(trained.facts, looked=looked))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["discs", "--generator", "films"],
        ["discs", "--label", "1"],
        ["--generator", "films", "--teaching"],
        ["--generator", "films", "--size", "full"],
    ],
)
def test_phantoms_and_generators_are_not_mixed(words: list[str], tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["synth", *words, "--out", str(tmp_path / "set"), "--json"])
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == USAGE.code


def test_what_is_asked_for_is_drawn_where_labels_look_different(tmp_path: Path, order_in) -> None:
    """Dark and bright images of the same organ: after a short course the drawn ones are dark and bright."""
    rows = ["StudyInstanceUID,look"]
    for seed in range(12):
        look, shift = (("dark", -60.0), ("bright", 60.0))[seed % 2]
        place = write_study(tmp_path / "data", seed, shape=(4, 16, 16), outlines=(), shift=shift)
        uid = pydicom.dcmread(next(place.iterdir()), stop_before_pixels=True).StudyInstanceUID
        rows.append(f"{uid},{look}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    data = read_labelled([tmp_path / "data"], tmp_path / "labels.csv")
    course = {"epochs": 2, "steps": 60, "batch": 8, "kept_part": 0.9, "learning_rate": 0.003}
    made = train(data, order_in("looks"), "look", **course).generator
    assert made.network.labels == ("bright", "dark")
    means = {}
    for label in made.network.labels:
        plan = GeneratorPlan(generator=made, cases=3, seed=1, label=label)
        images = draw_cases(plan, tmp_path / label).folder.rglob("*.dcm")
        means[label] = np.mean([pydicom.dcmread(path).pixel_array.mean() for path in images])
    assert means["bright"] - means["dark"] > 60.0  # 120 HU apart in the data


@pytest.mark.long
def test_what_it_draws_is_better_than_noise_and_worse_than_real_images(tmp_path: Path, order_in) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_drawing, "DRAWN", 24)
        made = synth_cases(SynthPlan(kind="discs", cases=80, seed=4), tmp_path / "discs")
        data = read_labelled([made.folder], made.labels)
        learned = train(
            data,
            order_in("discs"),
            epochs=12,
            steps=60,
            batch=8,
            width=16,
            levels=3,
            noise_steps=400,
            draw_steps=20,
            kept_part=0.98,
        )
    found = learned.facts.looked.likeness
    assert found.training < found.drawn < found.noise
    assert found.drawn < 0.5 * found.noise
