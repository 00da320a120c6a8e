"""Learning from motion: what no single frame tells, a recurrent network over frames does."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.special import softmax

from dicomnode.analyse import Analysis, Analyst
from dicomnode.evaluate.data import read_labelled
from dicomnode.learn import ClassifyJob, read_recipe, train_engine
from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.learn.train.changes import PartAugmenter
from dicomnode.learn.train.row_lessons import rows_of

from .conftest import MADE_AT, torch

SMALL = {
    "network": "gru",
    "epochs": 4,
    "steps": 12,
    "batch": 6,
    "width": 4,
    "patch_kji": [8, 24, 24],
    "frames_per_s": 10.0,
    "learning_rate": 0.01,
    "test_part": 0.3,
    "augmentation.rotate_degrees": 0.0,
    "augmentation.scale_percent": 0.0,
}


def moving(number: int, *, away: bool) -> np.ndarray:
    """Sixteen frames in which a disc grows, or the same frames backwards: only their order differs."""
    draw = np.random.default_rng([number // 2, 4])
    j, i = np.indices((48, 48)) - 24.0 + draw.uniform(-4, 4, size=(2, 1, 1))
    radii = np.linspace(6.0, 16.0, 16) + draw.uniform(-1, 1)
    frames = np.stack([np.where(np.hypot(j, i) < radius, 200.0, 40.0) for radius in radii])
    frames += draw.normal(0.0, 8.0, frames.shape)
    return np.clip(frames[::-1] if away else frames, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-two cines of ultrasound; half of them run backwards."""
    folder = tmp_path_factory.mktemp("cines") / "set"
    made = synth_cases(SynthPlan(kind="cine", cases=32, seed=5), folder)
    rows = []
    for number, case in enumerate(made.cases):
        [path] = case.images.iterdir()
        image = pydicom.dcmread(path)
        image.PixelData = moving(number, away=bool(number % 2)).tobytes()
        image.save_as(path)
        rows.append([case.study_instance_uid, "shrinks" if number % 2 else "grows"])
    with (folder / "motion.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["StudyInstanceUID", "motion"], *rows])
    return folder


@pytest.fixture(scope="module")
def trained(cines: Path, tmp_path_factory: pytest.TempPathFactory):
    from dicomnode.learn import Order, Title

    folder = tmp_path_factory.mktemp("motion")
    data = read_labelled([cines], cines / "motion.csv")
    job = ClassifyJob.of(read_recipe(None, "classify", SMALL), data, "motion")
    order = Order(
        out=folder / "motion",
        run=folder / "run",
        split=folder / "split.json",
        title=Title(name="motion", version="1.0.0", title="Motion"),
        made_at=MADE_AT,
        device="cpu",
    )
    torch.set_num_threads(1)
    return job, train_engine(job, data, order)


def test_motion_is_told_that_no_frame_tells(trained) -> None:
    """Both classes have the same frames: their order alone tells them apart."""
    assert np.array_equal(moving(0, away=False), moving(1, away=True)[::-1])
    _, made = trained
    assert made.gate.passed
    areas = [one.interval.figure.value for one in made.figures if one.name.startswith("area")]
    assert min(areas) > 0.95
    spec = made.package.manifest.input[0]
    assert (spec.kind, spec.how.frames_per_s) == ("cine", 10.0)


def test_the_engine_says_of_a_cine_what_the_network_said(trained) -> None:
    job, made = trained
    network = job.network(made.plan)
    network.load_state_dict(dict(made.learned.weights))
    network.eval()
    with closing(Analyst(made.package, threads=1, node_version="0")) as analyst:
        for case in made.parts.test[:4]:
            given = {made.package.manifest.input[0].name: case.load()}
            analysis = Analysis(volumes=given, salt=b"s", study_version=1, made_at=MADE_AT)
            found = analyst.analyse(analysis).classifications
            rows = rows_of(network, [job.sample(case, made.plan)], torch.device("cpu"), flat=False)
            wanted = softmax(rows[0])
            assert [one.probability for one in found] == pytest.approx(list(wanted), abs=1e-4)


def test_a_cine_at_half_the_rate_has_every_other_frame(trained) -> None:
    """50 ms a frame are 20 a second: at 10 a second and 8 frames the whole cine is seen."""
    job, made = trained
    case = made.parts.test[0]
    sample = job.sample(case, made.plan)
    assert sample.inputs.shape == (1, 8, 24, 24)
    frames = case.load().frames[::2, ..., 0].astype(float)
    sizes = [(frame > 120).mean() for frame in frames]
    seen = [(frame > 0).mean() for frame in sample.inputs[0]]
    assert np.argsort(seen).tolist() == np.argsort(sizes).tolist()


def test_without_a_size_it_looks_at_all_frames_at_their_own_rate(trained) -> None:
    job, made = trained
    rest = {name: one for name, one in SMALL.items() if name not in {"patch_kji", "frames_per_s"}}
    whole = ClassifyJob(
        recipe=read_recipe(None, "classify", rest),
        cases=job.cases,
        column=job.column,
        outputs=2,
        labels=job.labels,
    )
    plan = whole.plan(made.parts.train, lambda *_: None)
    assert plan.shape.patch_kji[0] == 16
    assert plan.input["picture"]["frames_per_s"] == 20.0


def test_a_change_is_the_same_in_all_frames(trained) -> None:
    _, made = trained
    how = read_recipe(
        None,
        "classify",
        {"augmentation.probability": 1.0, "augmentation.rotate_degrees": 40.0, "augmentation.noise_sd": 0.0},
    ).augmentation
    augment = PartAugmenter(how, ("i", "k"), made.plan)
    still = np.repeat(np.random.default_rng(1).normal(size=(1, 1, 24, 24)), 8, axis=1).astype(np.float32)
    changed, _ = augment(still, None, (1, 1, 1))
    assert not np.allclose(changed, still)
    assert all(np.array_equal(changed[0, 0], frame) for frame in changed[0])


@pytest.mark.long
def test_weak_beats_are_told_from_strong_ones(tmp_path: Path, order_in) -> None:
    """Phantoms of ultrasound: how much the chamber changes tells, and no single frame of it."""
    out = tmp_path / "set"
    synth_cases(SynthPlan(kind="cine", cases=60, seed=3), out)
    data = read_labelled([out], out / "labels.csv")
    more = {
        "epochs": 15,
        "steps": 0,
        "batch": 4,
        "width": 8,
        "patch_kji": [16, 32, 32],
        "frames_per_s": 20.0,
        "learning_rate": 0.003,
        "weight_decay": 0.01,
        "augmentation.rotate_degrees": 30.0,
        "augmentation.scale_percent": 10.0,
        "augmentation.noise_sd": 0.3,
        "augmentation.flip": ["j", "i"],
    }
    job = ClassifyJob.of(read_recipe(None, "classify", {**SMALL, **more}), data, "reduced")
    trained = train_engine(job, data, order_in("beats"))
    [area] = [one.interval for one in trained.figures if one.name.startswith("area")]
    assert area.figure.value > 0.8
    assert area.low > 0.6
    # The size of the chamber in one frame, which is what a frame has to tell: the control
    lumen = [float((case.load().frames[0, ..., 0] < 50).mean()) for case in job.cases]
    truth = np.array([job.value_of(case) for case in job.cases])
    from sklearn.metrics import roc_auc_score

    assert abs(roc_auc_score(truth, lumen) - 0.5) < 0.25
