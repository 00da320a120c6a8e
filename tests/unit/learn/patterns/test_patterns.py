"""Forests for patterns of the lungs: who is drawn, what is judged, and the whole way on made-up rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("sklearn")
needed("skl2onnx")

from dicomnode.engine import check_engine, load_package  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.looking import volume_of  # noqa: E402
from dicomnode.learn.features import read_table  # noqa: E402
from dicomnode.learn.patterns import PatternsOrder, make_patterns  # noqa: E402
from dicomnode.learn.patterns.drawn import OFTEN, PATTERNS, diseases_of  # noqa: E402
from dicomnode.learn.patterns.heads import RULES, rule_scores, train_pattern  # noqa: E402
from dicomnode.learn.patterns.judging import best_threshold, judged  # noqa: E402
from dicomnode.learn.patterns.looked import (  # noqa: E402
    Looked,
    LookOrder,
    look_at,
    make_looked,
    read_looked,
    write_looked,
)
from dicomnode.learn.patterns.making import table_of  # noqa: E402
from dicomnode.learn.patterns.steps import PROFILE, write_measuring  # noqa: E402
from dicomnode.phantom.disease import draw_diseases  # noqa: E402
from dicomnode.phantom.patients import World, chest  # noqa: E402
from tests.unit.learn.drawn.trainings import asked, train  # noqa: E402

NAMES = PROFILE.names


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few resamples, and no heads beside the forest: four of these are trained as often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dicomnode.learn.patterns.judging.RESAMPLES", 100)
        patch.setattr("dicomnode.learn.patterns.heads.COMPARED", ("forest",))
        yield


def order_in(folder: Path, **more) -> PatternsOrder:
    return asked(PatternsOrder, folder, **{"patients": 40, "calibrated": 6, "judged": 20, "trees": 4} | more)


def invented(seed: int) -> Looked:
    """Return a patient each of whose numbers tells of one pattern, that of a rule of its own."""
    rng = np.random.default_rng(seed)
    has = np.array(rng.uniform(size=len(PATTERNS)) < 0.5)
    row = rng.normal(size=len(NAMES)) + 20.0
    for n, pattern in enumerate(PATTERNS):
        row[n :: len(PATTERNS)] += 3.0 * has[n]
        row[NAMES.index(RULES[pattern])] = rng.normal() + 20.0 + 5.0 * has[n]
    has = tuple(has.tolist())
    return Looked(seed=seed, has=has, row=row.astype(np.float32))


def make_invented(order: LookOrder) -> str:
    if read_looked(order) is None:
        write_looked(invented(order.seed), order)
    return order.kept.name


def test_what_is_looked_for_is_drawn_often_and_all_else_as_often_as_ever() -> None:
    drawn = {seed: diseases_of(seed) for seed in range(320_000, 320_600)}
    for name, often in OFTEN.items():
        share = np.mean([name in some for some in drawn.values()])
        assert share == pytest.approx(often, abs=0.07)
    for seed, some in drawn.items():
        assert set(some) - set(OFTEN) == set(draw_diseases(seed)) - set(OFTEN)
        assert diseases_of(seed) == some


@pytest.mark.parametrize(
    ("truth", "scores", "at"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.4),
        ([1, 0, 1, 0], [0.9, 0.5, 0.3, 0.1], 0.7),
        ([0, 0], [0.1, 0.2], 0.5),
        ([1, 1], [0.1, 0.2], 0.5),
    ],
)
def test_the_threshold_lies_where_both_kinds_are_told_best(truth, scores, at: float) -> None:
    assert best_threshold(np.array(truth, dtype=bool), np.array(scores)) == pytest.approx(at)


def test_figures_are_of_the_threshold_that_is_given() -> None:
    truth, scores = [True, True, True, False, False], [0.9, 0.8, 0.2, 0.7, 0.1]
    found = judged("it", (truth, scores), 0.5, probability=True)
    assert (found.sensitivity.figure.part, found.sensitivity.figure.whole) == (2, 3)
    assert (found.specificity.figure.part, found.specificity.figure.whole) == (1, 2)
    assert found.area.figure.value == pytest.approx(5 / 6)
    assert found.brier is not None
    assert found.brier.figure.value == pytest.approx((0.01 + 0.04 + 0.64 + 0.49 + 0.01) / 5)
    assert judged("it", (truth, [9.0, 8, 2, 7, 1]), 5.0, probability=False).brier is None


def test_without_a_patient_of_a_kind_there_is_no_figure_of_it_and_no_invented_one() -> None:
    found = judged("it", ([False, False], [0.9, 0.1]), 0.5, probability=True)
    assert found.sensitivity.figure.value is None
    assert found.area.figure.value is None
    assert found.specificity.figure.value == 0.5


def test_a_rule_does_not_ask_on_which_side() -> None:
    row = np.zeros((2, len(NAMES)))
    row[:, NAMES.index(RULES["collapse"])] = (-90.0, 90.0)
    assert rule_scores("collapse", NAMES, row).tolist() == [90.0, 90.0]


def test_what_is_measured_is_kept_to_the_last_bit_and_another_form_is_made_again(
    tmp_path: Path, monkeypatch
) -> None:
    path = LookOrder(seed=1, engine=tmp_path, digest="d", kept=tmp_path / "one.npz")
    assert read_looked(path) is None
    assert not list(tmp_path.iterdir())
    some = (invented(1), Looked(seed=2, has=(False,) * 4, row=None, reason="No lungs."))
    for one in some:
        write_looked(one, path)
        again = read_looked(path)
        assert again is not None
        assert (again.seed, again.has, again.reason) == (one.seed, one.has, one.reason)
        assert again.row is one.row is None or np.array_equal(again.row, one.row)
    assert read_looked(replace(path, digest="of another engine")) is None
    monkeypatch.setattr("dicomnode.learn.patterns.looked.FORM", "another")
    assert read_looked(path) is None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("patterns")
    return folder, make_patterns(order_in(folder), make=make_invented)


def test_the_whole_way_gives_an_engine_that_passes_its_gate_with_its_figures_in_its_card(made) -> None:
    folder, patterns = made
    package = load_package(folder / "mine")
    assert [step.name for step in package.manifest.step] == ["lungs", "numbers", *PATTERNS]
    assert check_engine(package).passed
    assert package.manifest.title == "Demonstration: Mine"
    assert package.manifest.demonstration is not None
    told = {one.label: one for one in package.manifest.output if one.what == "classification"}
    assert {name: one.threshold for name, one in told.items()} == {
        head.pattern: head.threshold for head in patterns.heads
    }
    assert all(one.calibrated for one in told.values())
    card = (folder / "mine" / "card.md").read_text(encoding="utf-8")
    for pattern, by, one in patterns.figures:
        assert one.area.figure.value is not None
        assert one.area.figure.value > 0.9, (pattern, by)
        assert f"| {pattern} | " in card
    assert "dicomnode train lung-patterns --out mine --title Mine --version 1.2.0 --patients 40" in card
    assert "Not for clinical use" in card
    assert "scikit-learn" in card


def test_the_table_that_was_learned_from_is_one_of_train_heads(made) -> None:
    table = read_table(order_in(made[0]).table)
    assert table.names == NAMES
    assert set(table.labels) == set(PATTERNS)
    assert len(table.rows) == 40


def test_a_second_try_measures_nobody_again_and_gives_the_same_trees_and_keeps_the_notes(made) -> None:
    folder, patterns = made
    (folder / "mine" / "notes.md").write_text("## On real scans\n\nNone was looked at.\n")

    def never(order: LookOrder) -> str:
        assert read_looked(order) is not None
        return order.kept.name

    again = make_patterns(order_in(folder, replace=True), make=never)
    assert again.package.digest == patterns.package.digest
    assert "## On real scans" in (folder / "mine" / "card.md").read_text(encoding="utf-8")


def test_a_patient_who_is_gone_is_not_left_out_in_silence(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"DN-7104.*320000\.npz is gone"):
        make_patterns(order_in(tmp_path), make=lambda order: order.kept.name)


def test_too_few_with_a_pattern_are_said(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="DN-7360"):
        make_patterns(order_in(tmp_path, patients=12), make=make_invented)
    assert not (tmp_path / "mine").exists()


def test_a_drawn_patient_is_measured_on_the_way_of_the_node(tmp_path: Path, monkeypatch) -> None:
    scan = chest(320_001, "small", world=World(diseases=("emphysema",), nodules=()))
    monkeypatch.setattr("dicomnode.learn.patterns.looked.scan_of", lambda _: scan)
    package = write_measuring(tmp_path / "measuring")
    engine = package.folder
    order = LookOrder(seed=320_001, engine=engine, digest=package.digest, kept=tmp_path / "row.npz")
    make_looked(order)
    found = read_looked(order)
    assert found is not None
    assert found.row is not None
    assert found.has == (True, False, False, False)
    assert found.row[NAMES.index("total_ml")] > 1500.0
    assert np.array_equal(look_at(320_001, engine).row, found.row)
    empty = replace(volume_of(scan), voxels=np.full_like(scan.voxels, -1000))
    monkeypatch.setattr("dicomnode.learn.patterns.looked.volume_of", lambda _: empty)
    nothing = look_at(320_001, engine)
    assert nothing.row is None
    assert nothing.reason


def test_the_command_tells_how_good_it_is(made, tmp_path: Path, capsys) -> None:
    folder, patterns = made
    asked_for = ("--patients", 40, "--calibrated", 6, "--judged", 20, "--trees", 4)
    assert (
        train(
            "lung-patterns",
            "--out",
            tmp_path / "yours",
            *asked_for,
            "--run",
            folder / "mine.training",
            "--json",
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["figures"]["patients"] == 20
    assert [one["pattern"] for one in document["figures"]["answers"]] == [n for n in PATTERNS for _ in "12"]
    assert document["figures"]["answers"][0]["threshold"] == patterns.heads[0].threshold


def test_nobody_to_calibrate_on_with_lungs_leaves_those_out_of_fold(tmp_path: Path) -> None:
    taught = table_of([invented(seed) for seed in range(40)])
    head = train_pattern("emphysema", (taught, taught.take([])), order_in(tmp_path))
    assert head.unseen == 40
