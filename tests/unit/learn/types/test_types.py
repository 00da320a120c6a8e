"""Types of nodules: what they are learned from, that the graph says what was fitted, and the whole way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("sklearn")
needed("skl2onnx")

from dicomnode.analyse import Analysis, Analyst  # noqa: E402
from dicomnode.cli import train_types  # noqa: E402
from dicomnode.cli.app import main  # noqa: E402
from dicomnode.engine import check_engine, load_package, shipped_engines_dir  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.convert.sklearn_child import run_onnx  # noqa: E402
from dicomnode.learn.types import TypesOrder, make_types  # noqa: E402
from dicomnode.learn.types.chests import KINDS, USUAL, wishes_of  # noqa: E402
from dicomnode.learn.types.figures import NOT_SURE, Judged, called, table_of  # noqa: E402
from dicomnode.learn.types.forest import (  # noqa: E402
    Lessons,
    Softmax,
    exported_forest,
    fit_softmax,
    lessons_of,
    said_of,
    train_forest,
    usual_weights,
)
from dicomnode.learn.types.found import (  # noqa: E402
    PROFILE,
    LookOrder,
    look_at,
    make_found,
    measuring,
    read_found,
    volume_of,
)
from dicomnode.phantom.lumps import LEAST_MM  # noqa: E402
from dicomnode.phantom.patients import ChestScan, World, chest  # noqa: E402
from tests.unit.learn.types.drawn_scans import finder, scan  # noqa: E402


def order_in(folder: Path, **more) -> TypesOrder:
    given = TypesOrder(
        engine=folder / "finder",
        out=folder / "typed",
        run=folder / "typed.training",
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
        chests=3,
        judged=2,
        trees=20,
        machine="a machine",
    )
    return replace(given, **more)


# ── What it learns from ───────────────────────────────────────────────────────────────────────────
def test_each_type_is_wished_for_as_often_and_none_is_smaller_than_it_can_be_seen() -> None:
    wishes = wishes_of(350_000)
    assert {kind: sum(one.kind == kind for one in wishes) for kind in KINDS} == dict.fromkeys(KINDS, 6)
    assert all(max(4.0, LEAST_MM[one.kind]) <= one.diameter_mm <= 25.0 for one in wishes)
    assert wishes == wishes_of(350_000)
    assert wishes != wishes_of(350_001)


def test_what_is_usual_adds_up_to_one() -> None:
    assert sum(USUAL.values()) == pytest.approx(1.0)
    assert set(USUAL) == set(KINDS)


def test_every_nodule_that_is_found_has_its_row_and_its_type_and_what_is_ignored_teaches_nothing(
    tmp_path: Path,
) -> None:
    analyst = Analyst(measuring(finder(tmp_path / "e"), 1.0), threads=1, node_version="9.9")
    found = look_at(scan(1), analyst)
    analyst.close()
    assert found.rows.shape == (len(found.kinds), len(PROFILE.names))
    assert np.isfinite(found.rows).all()
    counts = {kind: found.kinds.count(kind) for kind in (*KINDS, "")}
    assert counts == {"solid": 5, "part-solid": 6, "ground glass": 6, "calcified": 5, "cavity": 5, "": 2}
    assert len(found.planted) == 27, "the one that is ignored does not count"
    dense = dict(zip(found.kinds, found.rows[:, PROFILE.names.index("hu_mean")], strict=True))
    assert dense["solid"] < dense["part-solid"] < dense["ground glass"] < dense["calcified"] < dense["cavity"]


def test_an_engine_reports_few_and_measures_all(tmp_path: Path) -> None:
    given = finder(tmp_path / "e", at_most=3)
    analyst = Analyst(given, threads=1, node_version="9.9")
    analysis = Analysis(
        volumes={"ct": volume_of(scan(1))},
        salt=b"s" * 16,
        study_version=1,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert len(analyst.analyse(analysis).segments) == 3
    analyst.close()
    wider = measuring(given, 0.5).manifest
    assert wider.step[0].centre_heat.threshold == pytest.approx(0.45)
    assert given.manifest.step[0].centre_heat.at_most == 3, "the given one stays as it is"


def test_what_was_found_is_kept_to_the_last_bit_and_belongs_to_one_engine(tmp_path: Path) -> None:
    package = finder(tmp_path / "e")
    order = LookOrder(
        seed=4,
        engine=tmp_path / "e",
        digest=package.digest,
        part=1.0,
        kept=tmp_path / "kept.npz",
        scan_of=scan,
    )
    assert read_found(order) is None
    make_found(order)
    first = read_found(order)
    make_found(replace(order, scan_of=never))
    again = read_found(order)
    assert np.array_equal(first.rows, again.rows)
    assert (first.kinds, first.scores, first.planted) == (again.kinds, again.scores, again.planted)
    assert read_found(replace(order, digest="0" * 64)) is None
    assert read_found(replace(order, part=0.5)) is None
    order.kept.write_bytes(b"nothing")
    assert read_found(order) is None


def never(seed: int) -> ChestScan:
    raise AssertionError(seed)


# ── Trees and probabilities ───────────────────────────────────────────────────────────────────────
def drawn_lessons(seed: int, count: int = 300) -> Lessons:
    """Rows of which three numbers tell the type, not without doubt."""
    rng = np.random.default_rng(seed)
    types = np.arange(count) % len(KINDS)
    rows = rng.normal(size=(count, len(PROFILE.names))).astype(np.float32)
    rows[:, 3:6] += np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 2, 0]], np.float32)[types]
    return Lessons(
        rows=rows,
        types=types.astype(np.intp),
        seeds=tuple(int(n) for n in np.arange(count) // 10),
        diameters_mm=(7.0,) * count,
    )


def test_weights_make_types_as_frequent_as_they_usually_are() -> None:
    types = np.array([0, 0, 0, 1, 2, 3, 4, 4])
    weights = usual_weights(types)
    shares = np.bincount(types, weights=weights) / weights.sum()
    assert shares == pytest.approx([USUAL[kind] for kind in KINDS])
    assert weights.mean() == pytest.approx(1.0)


def test_fitted_probabilities_mean_what_they_say_where_types_are_as_frequent_as_usual() -> None:
    forest = train_forest(drawn_lessons(0), 50, 0, 1)
    calibrated, fresh = drawn_lessons(1, 600), drawn_lessons(2, 2000)
    softmax = fit_softmax(said_of(forest, calibrated.rows), calibrated.types)
    assert softmax.fitted
    said = said_of(forest, fresh.rows)
    weights = usual_weights(fresh.types)

    def off(probabilities) -> float:
        right = probabilities.argmax(axis=1) == fresh.types
        return abs(float((weights * (probabilities.max(axis=1) - right)).sum() / weights.sum()))

    assert off(softmax.of(said)) < 0.05
    assert off(softmax.of(said)) < 0.5 * off(said)


def test_too_few_of_a_type_fit_nothing_and_change_nothing() -> None:
    said = np.full((8, len(KINDS)), 0.2)
    softmax = fit_softmax(said, np.array([0, 0, 0, 0, 1, 2, 3, 4]))
    assert not softmax.fitted
    assert softmax.of(said) == pytest.approx(said)


def test_the_graph_says_what_the_trees_say_made_into_probabilities() -> None:
    lessons = drawn_lessons(0)
    forest = train_forest(lessons, 10, 1, 1)
    softmax = Softmax(slope=1.7, offsets=(0.5, -0.3, 0.0, -1.0, 0.2), fitted=True)
    found = run_onnx(exported_forest(forest, softmax, lessons.rows), lessons.rows, "forest")
    assert np.allclose(found, softmax.of(said_of(forest, lessons.rows)), atol=1e-5)
    assert np.allclose(found.sum(axis=1), 1.0, atol=1e-6)


def test_equal_seeds_give_equal_trees() -> None:
    lessons = drawn_lessons(0)
    one, two = (said_of(train_forest(lessons, 10, 3, 1), lessons.rows) for _ in range(2))
    assert np.array_equal(one, two)


# ── Figures ───────────────────────────────────────────────────────────────────────────────────────
def test_what_no_type_is_sure_of_is_not_sure() -> None:
    probabilities = np.array([[0.7, 0.3, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0.1, 0.1, 0.1, 0.1, 0.6]])
    assert called(probabilities, 0.6).tolist() == [0, NOT_SURE, 4]
    assert called(np.zeros((0, 5)), 0.6).tolist() == []


def test_the_table_counts_what_was_said_of_each_true_type_and_of_false_candidates() -> None:
    lessons = Lessons(
        rows=np.zeros((4, len(PROFILE.names)), dtype=np.float32),
        types=np.array([0, 0, 1, 2]),
        seeds=(1, 2, 2, 3),
        diameters_mm=(5.0, 7.0, 9.0, 20.0),
    )
    probabilities = np.eye(5)[[0, 1, 1, 2]] * 0.9 + 0.02
    probabilities[3] = 0.2
    judged = Judged(
        lessons=lessons,
        probabilities=probabilities,
        of_alarms=np.array([[0.9, 0.1, 0, 0, 0], [0.3, 0.3, 0.2, 0.1, 0.1]]),
        planted=(3, 1, 1, 0, 0),
    )
    table = table_of(judged, 0.6, 0)
    assert table.answers[0].tolist() == [1, 1, 0, 0, 0, 0]
    assert table.answers[2].tolist() == [0, 0, 0, 0, 0, 1]
    assert (table.alarms, table.alarms_typed, table.patients) == (2, 1, 3)
    values = {one.name: one.interval.figure for one in table.lines}
    assert (values["right, of all that were found"].part, values["given a type"].part) == (2, 3)
    assert values["right, of those given a type"].value == pytest.approx(2 / 3)
    assert values["solid: called so"].value == pytest.approx(0.5)
    assert values["called part-solid: is so"].value == pytest.approx(0.5)
    assert values["right, under 6 mm"].whole == 1
    assert values["right, from 15 mm"].value == 0.0
    assert values["calcified: called so"].value is None


# ── The whole way ─────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("types")
    (finder(folder / "finder").folder / "card.md").write_text("# Cubes\n\nIt finds cubes.\n")
    (folder / "finder" / "curves.csv").write_text("step,loss\n1,0.5\n")
    return folder, make_types(order_in(folder), draw=scan)


def test_the_engine_is_the_given_one_with_two_steps_and_says_the_type_of_each_nodule(made) -> None:
    folder, types = made
    package = load_package(folder / "typed")
    assert [one.name for one in package.manifest.step] == ["net", "type-rows", "types"]
    assert check_engine(package).passed
    assert (folder / "typed" / "curves.csv").read_text() == "step,loss\n1,0.5\n"
    analyst = Analyst(package, threads=1, node_version="9.9")
    analysis = Analysis(
        volumes={"ct": volume_of(scan(77))},
        salt=b"s" * 16,
        study_version=1,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    findings = analyst.analyse(analysis)
    analyst.close()
    assert len(findings.segments) == 3, "as many as the given one reports"
    truth = {one.centre_lps_mm: one.kind for one in scan(77).nodules}
    for segment in findings.segments:
        assert {one.attribute.value for one in segment.classes} == {"RDE1301"}
        present = [one.label for one in segment.classes if one.present]
        near = min(truth, key=lambda at: np.linalg.norm(np.subtract(at, segment.centre_lps_mm)))
        assert present == [truth[near].replace(" ", "-")]
    assert types.table.answers.trace() > 0.8 * types.table.answers.sum()


def test_its_card_is_that_of_the_given_engine_with_the_table_of_answers(made) -> None:
    folder, types = made
    card = (folder / "typed" / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# Cubes\n\nIt finds cubes.\n\n## The type of each nodule\n")
    cells = " | ".join(str(one) for one in types.table.answers[0])
    assert f"| solid | 10 | {types.table.answers[0].sum()} | {cells} |" in card
    assert "dicomnode train lung-types --engine finder --out typed --chests 3 --judged 2" in card


def test_types_of_types_take_the_place_of_the_first_ones(made, tmp_path: Path) -> None:
    folder, types = made
    order = order_in(
        tmp_path, engine=folder / "typed", out=tmp_path / "again", version="2.0.0", judged=1, chests=2
    )
    again = make_types(order, draw=scan)
    assert [one.name for one in again.package.manifest.step] == ["net", "type-rows", "types"]
    assert again.package.manifest.version == "2.0.0"
    assert len(again.package.manifest.output) == len(types.package.manifest.output)
    card = (tmp_path / "again" / "card.md").read_text(encoding="utf-8")
    assert card.count("## The type of each nodule") == 1


def test_a_second_try_uses_what_was_found_and_gives_the_same_engine(made) -> None:
    folder, types = made
    assert make_types(order_in(folder), draw=never).package.digest == types.package.digest


def test_too_few_of_a_type_and_an_engine_without_outlines_are_said(tmp_path: Path, monkeypatch) -> None:
    finder(tmp_path / "finder")
    monkeypatch.setattr("dicomnode.learn.types.making._LEAST", 10_000)
    with pytest.raises(NodeError) as error:
        make_types(order_in(tmp_path, chests=1, judged=1), draw=scan)
    assert error.value.fault.code == "DN-7390"
    with pytest.raises(NodeError) as error:
        make_types(order_in(tmp_path, engine=shipped_engines_dir() / "lung-ct-classical"), draw=never)
    assert error.value.fault.code == "DN-7391"
    assert not (tmp_path / "typed").exists()


@pytest.mark.parametrize("wrong", [{"chests": 0}, {"judged": 501}, {"seed": 10}, {"trees": 1}, {"sure": 0.4}])
def test_what_cannot_be_is_not_begun(wrong, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"TypesOrder.{next(iter(wrong))}"):
        order_in(tmp_path, **wrong)


def test_no_patient_is_for_two_things() -> None:
    order = order_in(Path("nowhere"), chests=500, judged=500, seed=9)
    parts = [set(order.trained), set(order.calibrated), set(order.held_out)]
    assert sum(len(part) for part in parts) == len(set.union(*parts))


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", "lung-types", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_the_command_tells_what_was_said_of_each_type(made, tmp_path: Path, capsys, monkeypatch) -> None:
    folder, _ = made
    monkeypatch.setattr(make_types, "__defaults__", (*make_types.__defaults__[:-1], scan))
    asked = ("--engine", folder / "finder", "--chests", 3, "--judged", 2, "--trees", 20)
    asked += ("--run", folder / "typed.training")
    assert run("--out", tmp_path / "yours", *asked, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    figures = document["figures"]
    assert figures["types"] == [*KINDS, "not sure"]
    assert sum(figures["answers"]["cavity"]) > 0
    train_types._print(json.loads(json.dumps(document)))
    assert "right, of those given a type" in capsys.readouterr().out


def test_what_cannot_be_asked_for_is_usage(made, tmp_path: Path, capsys) -> None:
    engine = ("--engine", made[0] / "finder")
    assert run(*engine, "--out", tmp_path / "mine", "--sure", 0.3, "--json") == 2
    assert "--sure must be from 0.5 to 0.99" in json.loads(capsys.readouterr().out)["error"]["text"]
    (tmp_path / "mine").mkdir()
    assert run(*engine, "--out", tmp_path / "mine", "--json") == 2
    assert run(*engine, "--out", tmp_path / "mine", "--replace", "--json") == 2  # it is no engine


def test_the_help_ends_with_the_exit_status(capsys) -> None:
    assert run("--help") == 0
    assert "EXIT STATUS: 0 trained" in " ".join(capsys.readouterr().out.split())


def small_chest(seed: int) -> ChestScan:
    return chest(seed, "small", world=World(diseases=(), nodules=wishes_of(seed, 20)))


@pytest.mark.long
def test_types_of_nodules_of_lung_ct_are_learned_from_small_chests(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dicomnode.learn.types.making._LEAST", 1)
    order = order_in(tmp_path, engine=shipped_engines_dir() / "lung-ct", chests=6, judged=3)
    types = make_types(order, draw=small_chest)
    assert check_engine(types.package).passed
    assert types.table.answers.sum() >= 15
    assert lessons_of([]).rows.shape == (0, len(PROFILE.names))
