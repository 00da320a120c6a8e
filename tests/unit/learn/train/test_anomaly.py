"""Training on normal cases: what it learns from, where its threshold comes from, and what the engine says."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ParametricMapStorage

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.cli.app import main
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import FEW_NORMALS, LABELS_UNFIT, RECIPE_WRONG, NodeError
from dicomnode.learn import AnomalyJob, read_recipe, train_engine
from dicomnode.learn.train.autoencoders import Heat
from dicomnode.learn.train.normals import parted, quantiles_of, score_of
from dicomnode.values import Findings

from .conftest import MADE_AT, torch
from .small_data import organ_of, spot_of, write_study

SMALL = {
    "epochs": 12,
    "steps": 15,
    "batch": 4,
    "width": 8,
    "levels": 3,
    "latent": 16,
    "patch_kji": [8, 24, 24],
    "learning_rate": 0.01,
    "quantile": 0.9,
    "test_part": 0.3,
    "augmentation.rotate_degrees": 0.0,
    "augmentation.scale_percent": 0.0,
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty patients; a third has a bright spot, outlined."""
    folder = tmp_path_factory.mktemp("anomaly")
    for seed in range(30):
        spotted = seed % 3 == 0
        write_study(folder, seed, spotted=spotted, outlines=("spot",) if spotted else ())
    return folder


@pytest.fixture(scope="module")
def data(studies: Path):
    from dicomnode.learn import trusted

    return trusted(read_labelled([studies]), machine_labels=False)[0]


def findings_of(package, place: Path) -> Findings:
    [study] = read_studies([place]).studies
    volume = load_volume(study.series[0].stacks[0])
    with closing(Analyst(package, threads=1, node_version="0")) as analyst:
        return analyst.analyse(
            Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
        )


@pytest.mark.parametrize(
    ("network", "epochs", "voxels"), [("autoencoder", 6, 0.7), ("vae", 12, 0.9)], ids=["autoencoder", "vae"]
)
def test_an_engine_that_saw_normal_cases_alone_points_at_what_is_not_normal(
    data, order_in, tmp_path: Path, network: str, epochs: int, voxels: float
) -> None:
    """So few cases teach an autoencoder to copy the spot, the longer it learns."""
    given = {**SMALL, "network": network, "epochs": epochs}
    job = AnomalyJob.of(read_recipe(None, "anomaly", given), data)
    assert len(job.cases) == 30
    assert sum(job.value_of(case) for case in job.cases) == 10
    trained = train_engine(job, data, order_in(network))
    assert trained.gate.passed
    figures = {one.name: one.interval for one in trained.figures}
    area = figures["area under the ROC curve abnormal"]
    assert area.figure.value > 0.9
    assert area.low is not None
    assert figures["the map's maximum lies in a lesion"].figure.value > 0.6
    assert figures["mean area under the ROC curve of the map's voxels"].figure.value > voxels
    found = {}
    for seed, spotted in ((60, False), (61, True)):
        place = write_study(tmp_path, seed, spotted=spotted, outlines=())
        found[spotted] = findings_of(trained.package, place)
    assert found[True].classifications[0].present
    assert found[True].measurements[0].value > found[False].measurements[0].value
    heat = found[True].maps[0]
    middle = heat.grid.to_lps_mm(np.unravel_index(heat.values.argmax(), heat.values.shape))
    [study] = read_studies([tmp_path / "study-61"]).studies
    own = load_volume(study.series[0].stacks[0]).grid
    k, j, i = np.rint(own.to_index_kji(middle)).astype(int)
    assert spot_of(61)[k, j, i]
    assert not organ_of(61).all()


def test_the_threshold_is_of_patients_that_the_network_has_not_seen(data, order_in) -> None:
    """The numbers in engine.toml are those of an independent look: numpy on the engine's own maps."""
    recipe = read_recipe(None, "anomaly", {**SMALL, "epochs": 1, "steps": 2})
    job = AnomalyJob.of(recipe, data)
    trained = train_engine(job, data, order_in("threshold"))
    normal = [case for case in trained.parts.train if not job.value_of(case)]
    seen, apart = parted(normal, lambda case: case.patient, recipe)
    assert not {case.patient for case in seen} & {case.patient for case in apart}
    scores = []
    with closing(Analyst(trained.package, threads=1, node_version="0")) as analyst:
        for case in apart:
            analysis = Analysis(volumes={"image": case.load()}, salt=b"s", study_version=1, made_at=MADE_AT)
            heat = analyst.analyse(analysis).maps[0].values
            scores.append(float(np.sort(heat.ravel())[-int(np.ceil(0.01 * heat.size)) :].mean()))
    how = trained.package.manifest.step[0].head_named("").anomaly
    assert how.quantile == 0.9
    assert how.normals == pytest.approx(np.sort(scores), rel=1e-3)
    card = (trained.package.folder / "card.md").read_text()
    assert f"scores of {len(apart)} normal cases" in card
    assert "a guess" in card


def test_a_table_says_which_are_normal(studies: Path, tmp_path: Path) -> None:
    plain = read_labelled([studies])
    rows = "\n".join(
        f"{one.study.study_instance_uid},{'healthy' if n % 2 else 'ill'},{'a' if n % 2 else 'b'}"
        for n, one in enumerate(plain.studies)
    )
    table = tmp_path / "labels.csv"
    table.write_text(f"StudyInstanceUID,state,group\n{rows}\n")
    told = read_labelled([studies], table)
    recipe = read_recipe(None, "anomaly", SMALL)
    assert AnomalyJob.of(recipe, told, "state").normal == {"healthy"}
    assert AnomalyJob.of(recipe, told, "group", "B").normal == {"b"}
    with pytest.raises(NodeError) as caught:
        AnomalyJob.of(recipe, told, "group")
    assert caught.value.fault is LABELS_UNFIT
    assert "--normal" in caught.value.remedy


def test_without_normal_patients_enough_it_says_so(order_in, studies: Path) -> None:
    few = read_labelled([studies / f"study-{seed}" for seed in (1, 2, 0, 3)])
    job = AnomalyJob.of(read_recipe(None, "anomaly", SMALL), few)
    with pytest.raises(NodeError) as caught:
        train_engine(job, few, order_in("few"))
    assert caught.value.fault is FEW_NORMALS
    with pytest.raises(NodeError):
        quantiles_of([1.0, 1.0])


def test_the_threshold_has_two_cases_before_anything_is_trained() -> None:
    recipe = read_recipe(None, "anomaly", {})
    one_each = ["a", "b", "c", "d", "e"]
    seen, apart = parted(one_each, str, recipe)
    assert (len(seen), len(apart)) == (3, 2)
    with pytest.raises(NodeError) as caught:
        parted(["a", "b"], str, recipe)
    assert caught.value.fault is FEW_NORMALS
    assert "2 of 2 patient(s)" in str(caught.value)


@pytest.mark.parametrize(("task", "network"), [("anomaly", "unet"), ("classify", "vae"), ("segment", "gru")])
def test_a_network_that_does_not_suit_the_task_is_refused(task: str, network: str) -> None:
    with pytest.raises(NodeError) as caught:
        read_recipe(None, task, {"network": network})
    assert caught.value.fault is RECIPE_WRONG


@pytest.mark.parametrize("dims", [2, 3])
def test_the_map_is_the_smoothed_difference(dims: int) -> None:
    """Noise goes both ways and falls out; what goes one way stays. One voxel spreads with sum 1."""
    shape = (1, 2, *(9,) * dims)
    image = torch.zeros(shape)
    image[(0, slice(None), *(4,) * dims)] = 1.0
    nothing = torch.zeros(shape)
    heat = Heat(2, dims)(image, nothing, nothing)
    assert heat.shape == (1, 1, *(9,) * dims)
    assert float(heat.sum()) == pytest.approx(1.0, abs=1e-5)
    assert int(heat.argmax()) == (9**dims) // 2
    rough = torch.ones(shape)
    rough[..., ::2] = -1.0
    assert float(Heat(2, dims)(rough, nothing, nothing)[(0, 0, *(4,) * dims)]) < 0.1


def test_a_difference_counts_by_what_is_expected_at_its_place() -> None:
    """Twice the difference where twice the standard deviation is expected is as hot."""
    image, drawn, log_variance = (torch.zeros(1, 1, 20, 20) for _ in range(3))
    image[..., :10], image[..., 10:] = 1.0, 2.0
    log_variance[..., 10:] = float(np.log(4.0))
    heat = Heat(1, 2)(image, drawn, log_variance)[0, 0]
    np.testing.assert_allclose(heat[6:-6, 6:-6], 1.0, atol=1e-5)


def test_the_score_is_the_mean_of_the_hottest_hundredth() -> None:
    heat = np.arange(400, dtype=np.float32).reshape(1, 20, 20)
    assert score_of(heat) == pytest.approx((399 + 398 + 397 + 396) / 4)


def test_the_command_makes_an_engine_whose_map_becomes_a_parametric_map(
    studies: Path, tmp_path: Path, capsys
) -> None:
    out, words = tmp_path / "odd", ["--epochs", "1", "--threads", "1", "--device", "cpu", "--json"]
    keys = ("steps=2", "width=4", "levels=3", "patch_kji=[8,24,24]", "quantile=0.5")
    words += [word for key in keys for word in ("--set", key)]
    given = ["train", "anomaly", "--data", studies, "--out", out, "--split", tmp_path / "s.json", *words]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in given])
    assert not ended.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "anomaly"
    assert document["gate_passed"]
    results = tmp_path / "results"
    place, wanted = str(studies / "study-1"), ["--objects", "SR,PM"]
    with pytest.raises(SystemExit) as ended:
        main(["try", place, "--engine-path", str(out), "--out", str(results), *wanted])
    assert not ended.value.code
    kinds = {pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID for path in results.rglob("*.dcm")}
    assert ParametricMapStorage in kinds
