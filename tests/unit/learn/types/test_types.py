"""Types of nodules: what they are learned from, and the whole way."""

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
from dicomnode.engine import check_engine, load_package, shipped_engines_dir  # noqa: E402
from dicomnode.faults import NodeError  # noqa: E402
from dicomnode.learn.drawn.looking import volume_of  # noqa: E402
from dicomnode.learn.train.run_folder import RunFolder  # noqa: E402
from dicomnode.learn.types import TypesOrder, make_types  # noqa: E402
from dicomnode.learn.types.card import HEADING, with_section  # noqa: E402
from dicomnode.learn.types.chests import KINDS, USUAL, wishes_of  # noqa: E402
from dicomnode.learn.types.forest import (  # noqa: E402
    lessons_of,
)
from dicomnode.learn.types.found import (  # noqa: E402
    PROFILE,
    LookOrder,
    look_at,
    make_found,
    measuring,
    read_found,
    write_found,
)
from dicomnode.phantom.lumps import LEAST_MM  # noqa: E402
from dicomnode.phantom.patients import ChestScan, World, chest  # noqa: E402
from tests.unit.learn.drawn.trainings import asked, train  # noqa: E402
from tests.unit.learn.types.drawn_scans import finder, scan  # noqa: E402


def order_in(folder: Path, **more) -> TypesOrder:
    return asked(
        TypesOrder,
        folder,
        **{
            "out": folder / "typed",
            "run": folder / "typed.training",
            "title": "",
            "version": "",
            "chests": 3,
            "judged": 2,
            "trees": 20,
        }
        | more,
    )


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
    for said in (
        "dicomnode train lung-types --out typed --engine DIR --chests 3 --judged 2 --trees 20 --sure 0.6",
        f"finder 1.0.0 (digest {load_package(folder / 'finder').digest}) found in 3 drawn chests",
        "2 other chests (seeds 150000 to 150001)",
        "held-out seeds (160000 to 160001)",
        "on a machine, cpu, 1 thread(s)",
        "scikit-learn",
    ):
        assert said in card, said
    assert "gave no numbers" not in card


def test_what_stands_behind_the_types_in_a_card_stays() -> None:
    section = f"{HEADING}\n\nNew.\n"
    said = f"# Mine\n\nIt is.\n\n{HEADING}\n\nOld.\n\n- more\n\n## Seen by people\n\nNothing.\n"
    assert with_section(said, section) == f"# Mine\n\nIt is.\n\n{section}\n## Seen by people\n\nNothing.\n"
    assert with_section("# Mine\n\n\n", section) == f"# Mine\n\n{section}"
    assert with_section(f"{HEADING}\n\nOld.\n", section).strip() == section.strip()


def test_lesions_without_numbers_are_told_and_chests_in_which_nothing_was_found_count(tmp_path: Path) -> None:
    finder(tmp_path / "finder")

    def half(seed: int) -> ChestScan:
        drawn = scan(seed)
        return replace(drawn, voxels=np.zeros_like(drawn.voxels)) if seed == 160_001 else drawn

    with pytest.MonkeyPatch.context() as patch:
        real = write_found
        patch.setattr(
            "dicomnode.learn.types.found.write_found",
            lambda found, order: real(replace(found, unmeasured=1), order),
        )
        made = make_types(order_in(tmp_path), draw=half)
    card = (tmp_path / "typed" / "card.md").read_text(encoding="utf-8")
    assert made.table.patients == 2
    assert "Judged on 2 chests" in card
    assert "7 lesions gave no numbers" in card


def test_what_is_right_where_types_are_as_frequent_as_usual_has_an_interval(made) -> None:
    right, sure = made[1].table.usual
    assert 0.0 < right.figure.value <= 1.0
    assert right.low is None or right.low <= right.figure.value <= right.high
    assert 0.6 <= sure <= 1.0


def test_two_do_not_train_in_one_folder(made, tmp_path: Path) -> None:
    order = order_in(made[0], out=tmp_path / "other")
    with RunFolder(folder=order.run, of="").held(), pytest.raises(NodeError, match="DN-7111"):
        make_types(order, draw=never)


def test_a_chest_that_is_gone_is_not_left_out_in_silence(tmp_path: Path, monkeypatch) -> None:
    finder(tmp_path / "finder")
    monkeypatch.setattr("dicomnode.learn.types.making.make_found", lambda order: order.kept.name)
    with pytest.raises(NodeError, match=r"DN-7104.*-350000\.npz is gone"):
        make_types(order_in(tmp_path), draw=scan)


def test_an_engine_that_was_exchanged_meanwhile_is_not_looked_with(tmp_path: Path) -> None:
    package = finder(tmp_path / "finder")
    looks = order_in(tmp_path).looks(range(1, 2), "0" * 64, 1.0, scan)
    with pytest.raises(NodeError, match=r"DN-7104.*finder has become another one"):
        make_found(next(looks))
    assert package.digest != "0" * 64


def test_an_engine_that_appeared_meanwhile_stays(made, tmp_path: Path) -> None:
    order = order_in(made[0], out=tmp_path / "mine")
    finder(order.out)
    with pytest.raises(NodeError, match="DN-4204"):
        make_types(order, draw=never)
    assert [one.name for one in load_package(order.out).manifest.step] == ["net"]


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
    assert make_types(order_in(folder, replace=True), draw=never).package.digest == types.package.digest


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


def test_the_command_tells_what_was_said_of_each_type(made, tmp_path: Path, capsys, monkeypatch) -> None:
    folder, _ = made
    monkeypatch.setattr(make_types, "__defaults__", (*make_types.__defaults__[:-1], scan))
    asked_for = ("--engine", folder / "finder", "--chests", 3, "--judged", 2, "--trees", 20)
    asked_for += ("--run", folder / "typed.training")
    assert train("lung-types", "--out", tmp_path / "yours", *asked_for, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    figures = document["figures"]
    assert figures["types"] == [*KINDS, "not sure"]
    assert sum(figures["answers"]["cavity"]) > 0
    assert train("lung-types", "--out", tmp_path / "theirs", *asked_for) == 0
    assert "right, of those given a type" in capsys.readouterr().out


def test_what_cannot_be_asked_for_is_usage(made, tmp_path: Path, capsys) -> None:
    engine = ("--engine", made[0] / "finder")
    assert train("lung-types", *engine, "--out", tmp_path / "mine", "--sure", 0.3, "--json") == 2
    assert "--sure must be from 0.5 to 0.99" in json.loads(capsys.readouterr().out)["error"]["text"]


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
