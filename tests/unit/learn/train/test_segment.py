"""Training to outline, from DICOM with SEG to an engine that finds it: right, the same again, and honest."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.cli.train_result import train_document
from dicomnode.engine import check_engine, load_package
from dicomnode.evaluate import dice
from dicomnode.evaluate.data import Part, load_split, read_labelled
from dicomnode.faults import DIVERGED, NOTHING_TO_LEARN, RUN_DIFFERS, RUN_THERE, NodeError
from dicomnode.learn import SegmentJob, read_recipe, train_engine
from dicomnode.learn.train.cases import trusted
from dicomnode.learn.train.lessons import mean_dice, told_dice
from dicomnode.learn.train.parts import split_cases
from dicomnode.learn.train.run_folder import RunFolder
from dicomnode.learn.train.samples import IGNORED
from dicomnode.learn.train.training import learned_from, run_digest
from dicomnode.values import MadeBy, Mask, no_progress
from tests.fixtures.frameworks import needed
from tests.fixtures.vision import torchvision_models

from .conftest import MADE_AT
from .small_data import organ_of, write_study

torch = needed("torch")

SMALL = {
    "epochs": 3,
    "steps": 8,
    "width": 4,
    "levels": 2,
    "network": "unet",
    "learning_rate": 0.02,
    "schedule": "constant",
    "seed": 5,
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight patients: all with the organ, half with a spot that the others do not speak of."""
    folder = tmp_path_factory.mktemp("studies")
    for seed in range(8):
        spotted = seed % 2 == 0
        write_study(folder, seed, spotted=spotted, outlines=("organ", "spot") if spotted else ("organ",))
    return folder


def job_of(folder: Path, wanted=(), **more) -> tuple[SegmentJob, object]:
    data = read_labelled([folder])
    return SegmentJob.of(read_recipe(None, "segment", {**SMALL, **more}), data, wanted), data


def weights_of(learned) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(learned.weights.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def trained_on(folder: Path, order, wanted=("liver",), **more):
    job, data = job_of(folder, wanted, **more)
    return train_engine(job, data, order)


def learned_on(folder: Path, order, wanted=("liver",), **more):
    """Run the loop alone: no engine is written."""
    job, data = job_of(folder, wanted, **more)
    parts = split_cases(job.cases, data, order.split, job.recipe)
    run = RunFolder(folder=order.run, of=run_digest(job, data, parts, order), resume=order.resume)
    run.begin()
    return learned_from(job, parts, run, order, no_progress, run.cache)[1]


@pytest.fixture(scope="module")
def finished(studies: Path, tmp_path_factory: pytest.TempPathFactory):
    """One engine that has learned the organ."""
    from dicomnode.learn import Order, Title

    folder = tmp_path_factory.mktemp("finished")
    order = Order(
        out=folder / "organ",
        run=folder / "run",
        split=folder / "split.json",
        title=Title(name="organ", version="1.2.0", title="Organ"),
        made_at=MADE_AT,
        device="cpu",
    )
    return trained_on(studies, order, epochs=8)


def test_the_engine_finds_what_it_has_learned_in_a_study_that_it_has_never_seen(
    finished, tmp_path: Path
) -> None:
    place = write_study(tmp_path, 77, outlines=())
    [study] = read_studies([place]).studies
    volume = load_volume(study.series[0].stacks[0])
    analyst = Analyst(finished.package, threads=1, node_version="0")
    try:
        analysis = Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
        [found] = analyst.analyse(analysis).segments
    finally:
        analyst.close()
    assert found.label == "liver"
    assert found.type.value == "10200004"
    assert dice(found.mask, organ_of(77)) > 0.8


@pytest.mark.parametrize("network", ["unet", "residual_unet"])
def test_before_it_has_learned_the_network_outlines_nothing(studies: Path, network: str) -> None:
    job, _ = job_of(studies, network=network)
    plan = job.plan(job.cases, no_progress)
    torch.manual_seed(1)
    with torch.no_grad():
        found = torch.sigmoid(job.network(plan)(torch.randn(1, 1, *plan.shape.own_patch)))
    assert found.shape[1] == 2
    assert found.mean() < 0.05


def test_the_package_passes_its_own_gate_and_says_how_it_was_made(finished) -> None:
    package = load_package(finished.package.folder)
    assert check_engine(package).passed
    assert finished.gate.passed
    [output] = package.manifest.output
    assert (output.kind, output.measure) == ("anatomy", ("volume_ml", "mean_hu", "sd_hu"))
    assert (package.folder / "recipe.toml").read_text() == finished.job.recipe.text
    card = (package.folder / "card.md").read_text()
    assert "Dice liver" in card
    assert "synthetic: nobody was imaged" in card
    assert "| test | 1 | 1 | 1 |" in card
    assert (package.folder / "curves.csv").read_text().count("\n") == len(finished.learned.rows) + 1
    assert "<svg" in (package.folder / "curves.html").read_text()


def test_no_identity_is_in_the_package(finished) -> None:
    for path in finished.package.folder.iterdir():
        content = path.read_bytes()
        for word in (b"PHANTOM^", b"DICOMNODE-PHANTOM", b"study-", *finished_patients(finished)):
            assert word not in content, path.name


def finished_patients(finished) -> list[bytes]:
    return [case.patient.encode() for case in finished.job.cases]


def test_figures_of_the_card_are_those_of_the_engine_on_the_held_out_patients(finished) -> None:
    [figure] = finished.figures
    [case] = finished.parts.test
    volume = case.load()
    analyst = Analyst(finished.package, threads=1, node_version="0")
    try:
        analysis = Analysis(volumes={"image": volume}, salt=b"s", study_version=1, made_at=MADE_AT)
        [found] = analyst.analyse(analysis).segments
    finally:
        analyst.close()
    assert figure.interval.figure.value == pytest.approx(dice(found.mask, case.truths[0]))


def test_the_same_recipe_and_data_give_the_same_weights(studies: Path, order_in) -> None:
    first = learned_on(studies, order_in("first"))
    again = learned_on(studies, order_in("again"))
    other = learned_on(studies, order_in("other"), seed=6)
    assert weights_of(first) == weights_of(again)
    assert first.rows == again.rows
    assert weights_of(first) != weights_of(other)


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(studies: Path, order_in) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: int) -> bool:
        if epoch == 2:
            raise KilledError
        return False

    through = learned_on(studies, order_in("through"))
    with pytest.raises(KilledError):
        learned_on(studies, order_in("killed", stop=kill))
    with pytest.raises(NodeError) as caught:
        learned_on(studies, order_in("killed"))
    assert caught.value.fault is RUN_THERE
    with pytest.raises(NodeError) as caught:
        learned_on(studies, order_in("killed", resume=True), learning_rate=0.5)
    assert caught.value.fault is RUN_DIFFERS
    resumed = learned_on(studies, order_in("killed", resume=True))
    assert weights_of(resumed) == weights_of(through)
    assert resumed.rows == through.rows


def test_what_was_held_out_changes_no_weight(studies: Path, order_in, tmp_path: Path) -> None:
    """The study of the test part is replaced by another one of the same patient: nothing may come of it."""
    first = trained_on(studies, order_in("first"))
    split = load_split(tmp_path / "split.json")
    [held_out] = split.patients(Part.TEST)
    [case] = [one for one in first.job.cases if one.patient == held_out]
    poisoned = tmp_path / "poisoned"
    shutil.copytree(studies, poisoned)
    seed = int(case.place.rpartition("-")[2])
    shutil.rmtree(poisoned / case.place)
    write_study(poisoned, seed, shift=700.0, shape=(8, 32, 20))
    second = trained_on(poisoned, order_in("second"))
    assert [case.patient for case in second.parts.test] == [held_out]
    assert weights_of(second.learned) == weights_of(first.learned)


def test_studies_that_know_some_structures_only_train_all_of_them(studies: Path, order_in) -> None:
    trained = trained_on(studies, order_in("both"), wanted=())
    assert [one.name for one in trained.job.structures] == ["liver", "lesion"]
    knows = {case.place: sorted(case.truths) for case in trained.job.cases}
    assert knows["study-0"] == [0, 1]
    assert knows["study-1"] == [0]
    without = next(case for case in trained.job.cases if case.place == "study-1")
    target = trained.job.sample(without, trained.plan).target
    assert np.all(target[1] == IGNORED)
    assert set(np.unique(target[0])) == {0, 1}
    outputs = {one.label: one for one in trained.package.manifest.output}
    assert outputs["lesion"].kind == "lesion"
    assert outputs["lesion"].tracking == "lesion {number}"


def test_an_empty_outline_says_that_there_is_nothing(tmp_path: Path) -> None:
    write_study(tmp_path, 1, outlines=("organ", "no spot"))
    job, _ = job_of(tmp_path)
    [number] = [n for n, one in enumerate(job.structures) if one.name == "lesion"]
    assert job.cases[0].truths[number].is_empty


@pytest.mark.parametrize("network", ["unet", pytest.param("deeplabv3", marks=pytest.mark.long)])
def test_a_network_of_slices_is_trained_and_served(studies: Path, order_in, network: str) -> None:
    if network == "deeplabv3":
        torchvision_models()
    flat = {"patch_kji": [1, 24, 24], "epochs": 1, "steps": 2, "network": network}
    trained = trained_on(studies, order_in("flat"), **flat)
    step = trained.package.manifest.step[0]
    assert step.window.size_kji == (1, 24, 24)
    assert step.inputs["image"].axes == "ncji"
    assert trained.gate.passed
    assert trained.figures


def test_training_begins_from_an_engine_and_keeps_what_is_frozen(studies: Path, order_in, finished) -> None:
    begun = trained_on(
        studies, order_in("begun", init=finished.package.folder, freeze="all-but-head"), epochs=1
    )
    before, after = finished.learned.weights, begun.learned.weights
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert begun.begun.taken == len(before)
    assert changed
    assert {name.rpartition(".")[0] for name in changed} == {list(before)[-1].rpartition(".")[0]}


def test_the_card_tells_what_the_same_training_gives_without_what_it_begins_from(
    studies: Path, order_in, finished, tmp_path: Path
) -> None:
    order = order_in("begun", init=finished.package.folder, compare_init=True)
    begun = trained_on(studies, order, epochs=1)
    plain = trained_on(studies, order_in("plain"), epochs=1)
    assert begun.beside.score == plain.learned.best_score != begun.learned.best_score
    assert begun.beside.figures == plain.figures
    other = load_package(order.run / "without-init" / "begun")
    assert weights_in(other) == weights_in(plain.package) != weights_in(begun.package)
    card = (begun.package.folder / "card.md").read_text()
    value = plain.figures[0].interval.figure.value
    assert "| figure | this engine | without --init |" in card
    assert f"{value:.3f}" in card.partition("without --init |")[2]
    assert "begun from organ: " in card
    document = train_document(begun, read_labelled([studies]), 0)
    assert document["compared"]["held_out"][0]["value"] == value
    assert document["begun"] == {"taken": begun.begun.taken, "drawn_anew": []}


def weights_in(package) -> bytes:
    return (package.folder / "weights.pt").read_bytes()


def test_folds_judge_every_patient_that_is_not_held_out_once(studies: Path, order_in) -> None:
    trained = trained_on(studies, order_in("folds"), folds=2, epochs=1)
    assert len(trained.folds) == 2
    told = [case.patient for fold in trained.parts.folds for case in fold.validation]
    held_out = {case.patient for case in trained.parts.test}
    assert len(told) == len(set(told)) == 7
    assert not held_out & set(told)
    assert "2 folds" in (trained.package.folder / "card.md").read_text()


def test_studies_without_outlines_are_nothing_to_learn_from(tmp_path: Path) -> None:
    write_study(tmp_path, 1, outlines=())
    with pytest.raises(NodeError) as caught:
        job_of(tmp_path)
    assert caught.value.fault is NOTHING_TO_LEARN


def test_a_structure_that_nobody_outlined_is_refused_with_those_that_there_are(studies: Path) -> None:
    with pytest.raises(NodeError) as caught:
        job_of(studies, ("spleen",))
    assert "liver, lesion" in caught.value.remedy


def test_a_training_that_diverges_breaks_off_in_words(studies: Path, order_in) -> None:
    with pytest.raises(NodeError) as caught:
        learned_on(studies, order_in(), l1=1e38, epochs=4)
    assert caught.value.fault is DIVERGED


def test_a_training_ends_when_the_validation_does_not_get_better(studies: Path, order_in) -> None:
    learned = learned_on(studies, order_in(), learning_rate=1e-9, epochs=20, patience=2, steps=1)
    assert len(learned.rows) < 20
    assert "not better for 2 epochs" in learned.stopped
    assert len(learned.rows) == learned.best_epoch + 2


def test_where_nothing_is_dice_is_not_asked(finished, tmp_path: Path) -> None:
    place = write_study(tmp_path, 90, outlines=("organ", "no spot"))
    [case] = SegmentJob.of(finished.job.recipe, read_labelled([place])).cases
    empty = Mask.from_array(np.zeros((8, 24, 24), dtype=bool))
    judged = finished.job.judge(finished.package, [replace(case, truths={0: empty})], MADE_AT, 1)
    [figure] = judged.figures
    assert (figure.name, figure.interval.figure.value) == ("without false liver", 0.0)


def test_what_is_nowhere_is_not_learned_and_the_card_says_so(tmp_path: Path, order_in) -> None:
    for seed in range(4):
        write_study(tmp_path / "data", seed, outlines=("organ", "no spot"))
    with pytest.raises(NodeError) as caught:
        learned_on(tmp_path / "data", order_in("spot"), ("lesion",))
    assert caught.value.fault is NOTHING_TO_LEARN
    assert "empty (lesion)" in str(caught.value)
    trained = trained_on(tmp_path / "data", order_in("both"), (), epochs=1)
    card = (trained.package.folder / "card.md").read_text()
    assert "lesion: in no study of the training part" in card
    assert "liver: in no study" not in card


def test_silence_is_worth_nothing_where_there_is_nothing() -> None:
    nothing, something = np.zeros((1, 2, 2), dtype=np.uint8), np.ones((1, 2, 2), dtype=np.uint8)
    assert told_dice(nothing > 0, nothing) is None
    assert told_dice(something > 0, nothing) == 0.0
    assert told_dice(nothing > 0, something) == 0.0
    assert told_dice(something > 0, something) == 1.0
    assert told_dice(something > 0, np.full((1, 2, 2), IGNORED, dtype=np.uint8)) is None
    assert mean_dice([None, 0.5, None, 1.0]) == 0.75
    assert mean_dice([None]) is None


def test_two_patients_are_too_few(tmp_path: Path, order_in) -> None:
    write_study(tmp_path / "few", 1)
    with pytest.raises(NodeError) as caught:
        trained_on(tmp_path / "few", order_in())
    assert caught.value.fault is NOTHING_TO_LEARN


def test_outlines_that_lie_on_no_volume_are_told_and_left_out(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_study(tmp_path, seed)
    images = sorted((tmp_path / "study-2").glob("IM*"), key=slice_of)
    for image in images[2:5]:
        image.unlink()  # a gap: no volume is made of what is left
    job, data = job_of(tmp_path)
    assert [case.place for case in job.cases] == ["study-1"]
    told = [one.text for one in job.left_out] + [one.text for one in data.set_aside]
    assert told


def slice_of(path: Path) -> float:
    return float(pydicom.dcmread(path, stop_before_pixels=True).SliceLocation)


def test_what_a_machine_made_is_no_truth_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Nor on synthetic images: what is true of a phantom was written by what drew it."""
    write_study(tmp_path, 1)
    data = read_labelled([tmp_path])
    assert trusted(data, machine_labels=False)[1] == 0
    (study,) = data.studies
    (label,) = study.annotations
    segments = tuple(replace(one, made_by=MadeBy.MACHINE) for one in label.segments)
    found = replace(study, annotations=(replace(label, segments=segments, made_by=MadeBy.MACHINE),))
    real = replace(data, studies=(found,))
    kept, left = trusted(real, machine_labels=False)
    assert left == 1
    assert kept.studies[0].annotations == ()
    kept, left = trusted(real, machine_labels=True)
    assert left == 0
    assert len(kept.studies[0].annotations) == 1
