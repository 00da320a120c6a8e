"""A forest on candidates: what it learns from, that its graph says what its trees say, and the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("sklearn")
needed("skl2onnx")

from dicomnode.engine import check_engine, load_package  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.classical import ForestOrder, make_forest  # noqa: E402
from dicomnode.learn.classical.forest import (  # noqa: E402
    Lessons,
    answered,
    exported_forest,
    lessons_of,
    scores_of,
    sorted_candidates,
    train_forest,
)
from dicomnode.learn.classical.looked import (  # noqa: E402
    PROFILE,
    Looked,
    as_outlined,
    look_at,
    read_looked,
    write_looked,
)
from dicomnode.learn.classical.package import Judged, engine_table  # noqa: E402
from dicomnode.learn.convert.sklearn_child import run_onnx  # noqa: E402
from dicomnode.learn.planted.calibration import Line  # noqa: E402
from dicomnode.learn.planted.exams import Truth, exam_of  # noqa: E402
from dicomnode.learn.train.run_folder import RunFolder  # noqa: E402
from tests.unit.learn.drawn.trainings import asked, train  # noqa: E402
from tests.unit.learn.planted.small_worlds import small_world, two_lungs  # noqa: E402


def order_in(folder: Path, **more) -> ForestOrder:
    return asked(ForestOrder, folder, **{"worlds": 3, "plantings": 1, "judged": 2, "trees": 10} | more)


@pytest.fixture(scope="module")
def looked() -> Looked:
    return look_at(exam_of(small_world(1), 0))


def invented(*, shifted_mm: float = 0.0, ignore: bool = False) -> Looked:
    """Return two candidates, the first on a nodule (unless it is shifted), the second on nothing."""
    truth = Truth(centre_lps_mm=(10.0, 10.0, 10.0), diameter_mm=8.0, kind="solid", ignore=ignore)
    return Looked(
        name="invented",
        rows=np.zeros((2, len(PROFILE.names)), dtype=np.float32),
        centres_lps_mm=np.array([[10.0 + shifted_mm, 10.0, 10.0], [50.0, 50.0, 50.0]]),
        truths=(truth,),
    )


def test_an_exam_gives_a_row_for_each_candidate_and_most_nodules_that_count_have_one(looked) -> None:
    hit, wrong = sorted_candidates(looked)
    assert looked.rows.shape == (len(looked.centres_lps_mm), len(PROFILE.names))
    assert np.isfinite(looked.rows).all()
    counted = sum(not one.ignore for one in looked.truths)
    assert len(hit) >= 0.6 * counted > 2
    assert not set(hit) & set(wrong)


@pytest.mark.parametrize(
    ("more", "hit", "wrong"),
    [({}, [0], [1]), ({"shifted_mm": 5.0}, [], [0, 1]), ({"ignore": True}, [], [1])],
)
def test_a_candidate_on_a_nodule_is_one_and_on_what_is_ignored_neither(more, hit, wrong) -> None:
    looked = invented(**more)
    assert sorted_candidates(looked) == (hit, wrong)
    assert lessons_of([looked]).nodule.tolist() == [True] * len(hit) + [False] * len(wrong)


def test_scores_become_an_outcome_with_the_false_alarms_that_count() -> None:
    found = answered(invented(), np.array([0.7, 0.2]))
    assert [one.score for one in found.outcome.lesions] == [0.7]
    assert found.outcome.false_alarms == (0.2,)
    assert (found.scores, found.right) == ((0.7, 0.2), (True, False))


def test_what_is_looked_at_is_kept_to_the_last_bit(looked, tmp_path: Path) -> None:
    write_looked(looked, tmp_path / "one.npz")
    again = read_looked(tmp_path / "one.npz")
    assert np.array_equal(again.rows, looked.rows)
    assert np.array_equal(again.centres_lps_mm, looked.centres_lps_mm)
    assert [repr(one) for one in again.truths] == [repr(one) for one in looked.truths]


def test_what_is_of_another_form_or_damaged_or_not_there_is_made_again(
    looked, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "one.npz"
    assert read_looked(path) is None
    write_looked(looked, path)
    monkeypatch.setattr("dicomnode.learn.classical.looked.FORM_OF_ROWS", "another")
    assert read_looked(path) is None
    whole = path.read_bytes()
    for half in (b"nothing", b"", whole[: len(whole) // 2]):
        path.write_bytes(half)
        assert read_looked(path) is None


def test_the_outline_of_lungs_takes_in_vessels_and_leaves_a_large_consolidation_out() -> None:
    lungs = two_lungs()
    hu = np.where(lungs, -850.0, 40.0).astype(np.float32)
    hu[:, 28:30, 20:22] = 40.0  # a vessel
    hu[20:40, 18:44, 50:80] = 40.0  # most of the other lung
    outlined = as_outlined(hu, lungs)
    left, right = np.s_[:, :, :42], np.s_[:, :, 42:]
    assert outlined[28, 28, 20]
    assert (outlined[left] & lungs[left]).sum() > 0.9 * lungs[left].sum()
    assert not outlined[30, 30, 62]
    assert outlined[right].sum() < 0.7 * lungs[right].sum()


def drawn_lessons() -> Lessons:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, len(PROFILE.names))).astype(np.float32)
    return Lessons(rows=rows, nodule=rows[:, 3] + rows[:, 7] > 0.5)


def test_a_forest_learns_what_decides_and_equal_seeds_give_equal_ones() -> None:
    lessons = drawn_lessons()
    forest, again = (train_forest(lessons, 30, 1, 1) for _ in range(2))
    fresh = np.random.default_rng(5).normal(size=(400, len(PROFILE.names))).astype(np.float32)
    true = fresh[:, 3] + fresh[:, 7] > 0.5
    scores = scores_of(forest, fresh)
    assert scores[true].mean() > scores[~true].mean() + 0.15
    assert np.array_equal(scores, scores_of(again, fresh))


def test_the_graph_says_what_the_trees_say_put_on_the_line() -> None:
    lessons, line = drawn_lessons(), Line(slope=1.7, offset=-0.6, fitted=True)
    forest = train_forest(lessons, 10, 1, 1)
    found = run_onnx(exported_forest(forest, line, lessons.rows), lessons.rows, "forest")
    wanted = line.of(scores_of(forest, lessons.rows).tolist())
    assert np.allclose(found[:, 1], wanted, atol=1e-5)
    assert np.allclose(found.sum(axis=1), 1.0, atol=1e-6)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("forest")
    return folder, make_forest(order_in(folder), draw=small_world)


def test_the_whole_way_gives_an_engine_that_passes_its_gate_with_its_figures_in_its_card(made) -> None:
    folder, forest = made
    package = load_package(folder / "mine")
    assert [step.name for step in package.manifest.step] == ["lungs", "candidates", "rows", "forest"]
    assert check_engine(package).passed
    card = (folder / "mine" / "card.md").read_text(encoding="utf-8")
    assert f"at the threshold of {forest.table.threshold:g}" in card
    assert f"{int(forest.lessons.nodule.sum())} candidates on a nodule" in card
    assert "dicomnode train lung-forest --out mine --title Mine --version 1.2.0 --worlds 3" in card
    assert "scikit-learn" in card


def test_a_score_that_no_probability_was_fitted_to_is_not_called_calibrated(made) -> None:
    folder, forest = made
    for line in (Line(), Line(slope=2.0, offset=0.1, fitted=True)):
        judged = Judged(table=forest.table, candidates=forest.candidates, line=line, lessons=forest.lessons)
        (lesion,) = (
            one for one in engine_table(order_in(folder), judged)["output"] if one["kind"] == "lesion"
        )
        assert lesion["calibrated"] is line.fitted
    card = (folder / "mine" / "card.md").read_text(encoding="utf-8")
    assert ("Scores are probabilities" in card) is forest.line.fitted


def test_a_second_try_uses_what_was_drawn_and_gives_the_same_trees(made) -> None:
    folder, forest = made

    def never(seed: int):
        raise AssertionError(seed)

    with pytest.raises(NodeError, match="DN-4204"):
        make_forest(order_in(folder), draw=never)
    notes = "## On real scans\n\nNone was looked at.\n"
    (folder / "mine" / "notes.md").write_text(notes)
    again = make_forest(order_in(folder, replace=True), draw=never)
    assert again.package.digest == forest.package.digest
    card = (folder / "mine" / "card.md").read_text(encoding="utf-8")
    assert f"\n\n{notes}\n## Limits" in card
    assert (folder / "mine" / "notes.md").read_text() == notes


def test_two_do_not_train_in_one_folder(made, tmp_path: Path) -> None:
    folder, _ = made
    order = order_in(folder, out=tmp_path / "other")
    with RunFolder(folder=order.run, of="").held(), pytest.raises(NodeError, match="DN-7111"):
        make_forest(order, draw=small_world)


def test_an_exam_that_is_gone_is_not_left_out_in_silence(made, tmp_path: Path, monkeypatch) -> None:
    folder, _ = made
    monkeypatch.setattr("dicomnode.learn.classical.making.make_looked", lambda order: order.kept.name)
    order = order_in(folder, out=tmp_path / "other", judged=3)
    with pytest.raises(NodeError, match=r"DN-7104.*150002-0\.npz is gone"):
        make_forest(order, draw=small_world)


def test_too_little_to_learn_from_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dicomnode.learn.classical.making._LEAST", 10_000)
    with pytest.raises(NodeError) as error:
        make_forest(order_in(tmp_path, worlds=1, judged=1), draw=small_world)
    assert error.value.fault.code == "DN-7380"
    assert not (tmp_path / "mine").exists()


def test_the_command_tells_how_good_it_is(made, tmp_path: Path, capsys, monkeypatch) -> None:
    folder, _ = made
    monkeypatch.setattr(make_forest, "__defaults__", (*make_forest.__defaults__[:-1], small_world))
    asked_for = (
        "--worlds",
        3,
        "--plantings",
        1,
        "--judged",
        2,
        "--trees",
        10,
        "--run",
        folder / "mine.training",
    )
    assert train("lung-forest", "--out", tmp_path / "yours", *asked_for, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["figures"]["scans"] == 2
    assert document["figures"]["nodules"] >= 4
    assert train("lung-forest", "--out", tmp_path / "theirs", *asked_for) == 0
    assert "sensitivity, 4 to 6 mm" in capsys.readouterr().out
