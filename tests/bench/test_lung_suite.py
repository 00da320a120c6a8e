"""Measuring lung engines: one that knows all is perfect, one that says nothing is not, and so on between."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from dicomnode.analyse import Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine, load_package
from dicomnode.phantom import ChestScan, Distractor, suite_cases, write_series
from dicomnode.values import Mask
from tests.bench import lung_suite
from tests.bench.lung.answer import Answer, Found, looking, volume_of
from tests.bench.lung.engines import with_scores
from tests.bench.lung.figures import of_suite
from tests.bench.lung.judging import CaseRow, judged
from tests.bench.lung.page import page

CASE = suite_cases("small")[7]  # four nodules in slices of 3 mm: the quickest


@pytest.fixture(scope="module")
def scan() -> ChestScan:
    return CASE.scan()


def truth_of(scan: ChestScan) -> Answer:
    """Answer as one who knows."""
    return Answer(
        found=tuple(
            Found(centre_lps_mm=one.centre_lps_mm, score=0.9, voxels=one.mask) for one in scan.nodules
        ),
        down_to=0.0,
        lungs={"right": scan.lung_right, "left": scan.lung_left},
    )


def counting(scan: ChestScan) -> list:
    return [one for one in scan.nodules if not one.ignore]


def with_found(scan: ChestScan, *centres) -> CaseRow:
    """Judge an answer of the truth and a few candidates more."""
    more = tuple(Found(centre_lps_mm=centre, score=0.8) for centre in centres)
    answer = truth_of(scan)
    return judged(scan, replace(answer, found=answer.found + more))


def figure(figures: dict, stratum: str = "all") -> float:
    return figures["reported"]["sensitivity"][stratum]["value"]


def test_an_engine_that_answers_the_truth_is_perfect(scan):
    figures = of_suite([judged(scan, truth_of(scan))])
    assert figures["nodules"] == len(counting(scan)) > 0
    assert figure(figures) == 1.0
    assert figures["reported"]["alarms_a_scan"]["all"]["value"] == 0.0
    assert figures["cpm"]["value"] == 1.0
    assert figures["misses"] == figures["alarms"] == []
    all_ = figures["lungs"]["by_disease"]["all"]
    for side in ("right", "left"):
        assert all_[side]["dice"]["value"] == 1.0
        assert all_[side]["hd95_mm"]["median"] == 0.0
        assert all_[side]["volume_percent"]["median"] == 0.0
    assert figures["lungs"]["verdict"] == {
        "right_ok": 1,
        "right_doubted": 0,
        "wrong_doubted": 0,
        "wrong_ok": 0,
    }
    errors = figures["measures"]["6 mm and more"]
    assert errors["dice"]["median"] == 1.0
    assert errors["centre_mm"]["median"] == 0.0
    # The truth is finer than slices of 3 mm
    assert abs(errors["volume_percent"]["median"]) < 15.0


def test_an_engine_that_says_nothing_finds_nothing_and_its_silence_is_counted(scan):
    figures = of_suite([judged(scan, Answer(down_to=0.0))])
    assert figure(figures) == 0.0
    assert figures["cpm"]["value"] == 0.0
    assert figures["reported"]["alarms_a_scan"]["all"]["value"] == 0.0
    assert len(figures["misses"]) == len(counting(scan))
    assert figures["measures"]["6 mm and more"]["centre_mm"] is None
    assert figures["calibration"]["reported"] is None
    assert figures["lungs"]["by_disease"]["all"]["right"]["dice"]["value"] == 0.0
    assert figures["lungs"]["by_disease"]["all"]["right"]["not_found"] == 1
    assert figures["lungs"]["verdict"]["wrong_ok"] == 1


def test_wrong_lungs_that_are_doubted_are_not_called_ok(scan):
    answer = Answer(down_to=0.0, lungs={"right": scan.lung_right}, doubts=("Only the right lung was found.",))
    lungs = of_suite([judged(scan, answer)])["lungs"]
    assert lungs["verdict"]["wrong_doubted"] == 1
    assert lungs["wrong_called_ok"] == []


def test_the_sides_of_the_lungs_are_not_taken_for_each_other(scan):
    answer = replace(truth_of(scan), lungs={"right": scan.lung_left, "left": scan.lung_right})
    assert [one.dice for one in judged(scan, answer).lungs] == [0.0, 0.0]


def test_half_of_the_nodules_found_is_half_in_every_column(scan):
    answer = truth_of(scan)
    first = counting(scan)[0]
    found = tuple(one for one in answer.found if one.centre_lps_mm == first.centre_lps_mm)
    figures = of_suite([judged(scan, replace(answer, found=found))])
    assert figure(figures) == 1 / len(counting(scan))
    cells = figures["size_by_kind"][first.kind].values()
    assert sum(hits for hits, _ in cells) == 1


def test_a_candidate_on_healthy_anatomy_is_a_false_alarm_with_its_place(scan):
    row = with_found(scan, scan.grid.to_lps_mm((0, 0, 0)).tolist())
    (alarm,) = row.alarms
    assert (alarm.on, alarm.where, alarm.reported) == ("", "outside the lungs", True)
    assert of_suite([row])["reported"]["alarms_a_scan"]["all"]["value"] == 1.0


def test_a_candidate_on_a_distractor_is_a_false_alarm_of_its_kind(scan):
    far = scan.grid.to_lps_mm((0, 0, 0)).tolist()
    spur = Distractor("osteophyte", tuple(far), 5.0, ignore=False)
    wide = Distractor("effusion", tuple(far), 50.0, ignore=False)
    row = with_found(replace(scan, distractors=(wide, spur)), far)
    assert [one.on for one in row.alarms] == ["osteophyte"]


def test_a_candidate_on_what_no_reader_could_tell_counts_nowhere(scan):
    far = scan.grid.to_lps_mm((0, 0, 0)).tolist()
    knot = Distractor("scar with a knot", tuple(far), 4.0, ignore=True)
    row = with_found(replace(scan, distractors=(knot,)), far)
    assert row.alarms == ()
    assert [one.on for one in row.ignored] == ["scar with a knot"]


def test_a_nodule_comes_before_the_distractor_that_it_lies_on(scan):
    known = counting(scan)[0]
    knot = Distractor("scar with a knot", known.centre_lps_mm, 8.0, ignore=True)
    row = with_found(replace(scan, distractors=(knot,)))
    assert row.ignored == ()
    assert all(one.reported for one in row.nodules)


def test_a_nodule_that_is_to_be_ignored_is_neither_missed_nor_a_false_alarm(scan):
    known = counting(scan)[0]
    nodules = tuple(replace(one, ignore=one.label == known.label or one.ignore) for one in scan.nodules)
    hidden = replace(scan, nodules=nodules)
    found, silent = with_found(hidden), judged(hidden, Answer(down_to=0.0))
    assert known.label not in {one.label for one in found.nodules}
    assert (found.alarms, len(found.ignored)) == ((), 1 + len(scan.nodules) - len(counting(scan)))
    assert len(silent.nodules) == len(counting(scan)) - 1


def test_what_is_below_the_threshold_counts_in_the_curve_and_nowhere_else(scan):
    known = counting(scan)[0]
    places = [(known.centre_lps_mm, 0.3), (tuple(scan.grid.to_lps_mm((0, 0, 0)).tolist()), 0.2)]
    row = judged(scan, Answer(below=tuple(places), down_to=0.1))
    assert [one.score for one in row.nodules if one.score is not None] == [0.3]
    assert not any(one.reported for one in (*row.nodules, *row.alarms))
    figures = of_suite([row])
    assert figure(figures) == 0.0
    assert figures["reported"]["alarms_a_scan"]["all"]["value"] == 0.0
    assert figures["cpm"]["value"] == pytest.approx(1 / len(counting(scan)))
    assert figures["at_rate"]["alarms_a_scan"]["all"]["value"] == 1.0


def test_two_candidates_on_a_nodule_are_one_hit_and_no_false_alarm(scan):
    row = with_found(scan, counting(scan)[0].centre_lps_mm)
    assert (row.repeats, row.alarms) == (1, ())


def test_a_threshold_of_one_false_alarm_a_scan_is_where_there_is_one(scan):
    far = [tuple(scan.grid.to_lps_mm((k, 0, 0)).tolist()) for k in (0, 20, 40)]
    below = tuple((centre, score) for centre, score in zip(far, (0.7, 0.5, 0.3), strict=True))
    known = counting(scan)
    on_it = tuple(Found(centre_lps_mm=one.centre_lps_mm, score=0.6) for one in known[:1])
    row = judged(scan, Answer(found=on_it, below=below, down_to=0.0))
    at_rate = of_suite([row])["at_rate"]
    assert at_rate["threshold"] == 0.6
    assert at_rate["sensitivity"]["all"]["part"] == 1


def test_an_engine_that_seeks_no_nodules_is_asked_for_lungs_alone(scan):
    figures = of_suite([judged(scan, replace(truth_of(scan), found=(), seeks=False))])
    assert "reported" not in figures
    assert figures["lungs"]["reached_goal"] == 1
    assert not any("Nodules" in line for line in page("lungs", figures))


def test_a_case_is_read_back_from_json_as_it_was(scan):
    row = with_found(scan, scan.grid.to_lps_mm((0, 0, 0)).tolist())
    again = CaseRow.read(json.loads(json.dumps(row.document())))
    assert json.dumps(again.document()) == json.dumps(row.document())
    assert of_suite([again]) == of_suite([row])


def test_a_phantom_is_analysed_as_its_series_would_be(scan, tmp_path):
    write_series(scan.voxels, scan.grid, tmp_path, seed=scan.seed)
    (study,) = read_studies([tmp_path]).studies
    read = load_volume(study.series[0].stacks[0])
    straight = volume_of(scan)
    assert np.array_equal(read.voxels, straight.voxels)
    assert np.allclose(read.affine_lps, straight.affine_lps, atol=1e-4)


def test_the_command_prints_what_the_engines_said_and_goes_on_where_it_stopped(
    scan, tmp_path, monkeypatch, capsys
):
    asked = []

    def look(volume):
        asked.append(volume.study_instance_uid)
        return truth_of(scan)

    monkeypatch.setattr(lung_suite, "suite_cases", lambda size: (CASE,))
    monkeypatch.setattr(lung_suite, "_looks", lambda folders, threads: dict.fromkeys(folders, look))
    monkeypatch.setattr(type(CASE), "scan", lambda self: scan)
    out = tmp_path / "out.json"
    command = ["--size", "small", "--json", str(out), "--resume"]
    lung_suite.main(command)
    first = capsys.readouterr().out
    lung_suite.main(command)
    assert capsys.readouterr().out == first
    assert len(asked) == 1
    assert f"| all | 1.00 (1.00–1.00), {len(counting(scan))} of" not in first  # one patient has no interval
    assert f"| all | 1.00, {len(counting(scan))} of {len(counting(scan))} |" in first
    document = json.loads(out.read_text())
    (engine,) = document["engines"].values()
    assert engine["digest"] == find_engine("lung-ct").digest
    assert [case["seed"] for case in engine["cases"]] == [CASE.seed]


def test_two_ways_to_score_are_two_engines_that_differ_by_a_line(tmp_path):
    folders = with_scores(find_engine("lung-ct").folder, tmp_path)
    packages = [load_package(folder) for folder in folders]
    heads = [one.centre_heat for package in packages for one in package.manifest.networks]
    assert [one.score for one in heads if one is not None] == ["heat", "sqrt(heat * mask_support)"]
    assert len({package.digest for package in packages}) == 2


def test_the_shipped_engine_is_measured_as_its_findings_say(scan):
    analyst = Analyst(find_engine("lung-ct"), threads=1, node_version="0")
    try:
        answer = looking(analyst)(volume_of(scan))
    finally:
        analyst.close()
    row = judged(scan, answer)
    for nodule, known in zip(row.nodules, counting(scan), strict=True):
        reach = max(known.diameter_mm / 2, 3.0)
        near = [one for one in answer.found if math.dist(one.centre_lps_mm, known.centre_lps_mm) <= reach]
        assert nodule.reported == bool(near)
        if near:
            assert nodule.score == near[0].score
    assert answer.down_to is not None
    assert len(row.alarms) > sum(one.reported for one in row.alarms)
    assert all(one.dice > 0.9 for one in row.lungs)
    assert isinstance(answer.lungs["right"], Mask)
