"""The table of every engine × series, for a person who never read the code."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.cli.output import result_console
from dicomnode.cli.why import _rules
from dicomnode.cli.why_series import print_verdicts, series_name, series_of
from dicomnode.journal import EventRecord
from tests.unit.journal.world import NOON, instance
from tests.wire.plain_engines import series

CT = {
    "series_instance_uid": "1.2.3",
    "modality": "CT",
    "series_number": 3,
    "series_description": "Thorax 1.0",
}
MR = {"series_instance_uid": "1.2.1", "modality": "MR", "series_number": 12, "series_description": None}


def verdict(
    uid="1.2.3", *, chosen=False, score=None, rule="Modality is CT", found="MR", stack=0, engine="lung-ct"
):
    return {
        "engine": engine,
        "version": "1.0.0",
        "series_instance_uid": uid,
        "stack": stack,
        "chosen": chosen,
        "score": score,
        "rule": rule,
        "found": found,
    }


@pytest.fixture
def printed(capsys, monkeypatch):
    """What is printed, on a terminal of a width."""

    def show(document, width=160):
        monkeypatch.setattr(result_console, "width", width)
        print_verdicts(document)
        return capsys.readouterr().out

    return show


def test_each_engine_has_a_table_with_its_series_in_the_order_of_the_scanner(printed):
    taken = verdict(chosen=True, score=0.9, rule="holds all rules", found="spacing between slices: 2 mm")
    other = verdict("1.2.1")
    text = printed({"series": [MR | {"instances": 20}, CT | {"instances": 143}], "verdicts": [other, taken]})
    assert "Engine lung-ct 1.0.0" in text
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert lines == [
        ["3 CT Thorax 1.0", "143", "taken", "0.90", "holds all rules (spacing between slices: 2 mm)"],
        ["12 MR", "20", "not taken", "–", "wanted: Modality is CT; found: MR"],
    ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            verdict(
                score=0.5, rule="another series is preferred", found="score 0.500, the chosen one has 0.900"
            ),
            "another series is preferred (score 0.500, the chosen one has 0.900)",
        ),
        (verdict(rule="Slices are missing.", found="DN-3005"), "Slices are missing. (DN-3005)"),
        (
            verdict(rule="spacing between slices at most 5 mm", found="7 mm"),
            "wanted: spacing between slices at most 5 mm; found: 7 mm",
        ),
    ],
    ids=["preferred", "refused", "a rule"],
)
def test_why_a_series_was_not_taken_is_a_sentence(printed, said, why):
    assert why in printed({"series": [CT], "verdicts": [said]})


def test_the_parts_of_a_series_say_by_what_they_are_told_apart(printed):
    stacks = [{"phase": "EchoTime 4.6, 1 of 2"}, {"phase": "EchoTime 9.2, 2 of 2"}]
    document = {"series": [CT | {"stacks": stacks}], "verdicts": [verdict(), verdict(stack=1)]}
    text = printed(document)
    assert "3 CT Thorax 1.0, part 1 of 2 (EchoTime 4.6, 1 of 2)" in text
    assert "part 2 of 2 (EchoTime 9.2, 2 of 2)" in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_on_a_narrow_terminal_the_text_folds_and_nothing_is_lost(printed, width):
    said = verdict(rule="length that the slices cover at least 20 mm", found="12.5 mm")
    text = printed({"series": [CT], "verdicts": [said]}, width)
    assert max(map(len, text.splitlines())) <= width
    folded = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    why = "".join(row[-1] for row in folded).replace(" ", "")
    assert why == "wanted:lengththattheslicescoveratleast20mm;found:12.5mm"


def test_without_an_engine_that_was_asked_it_says_so(printed):
    assert "No engine was asked" in printed({"series": [CT], "verdicts": []})


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (CT, "3 CT Thorax 1.0"),
        (MR, "12 MR"),
        ({"series_instance_uid": "1.2.840.113619.2.55.3.1234", "modality": "CT"}, "CT ….55.3.1234"),
    ],
)
def test_a_series_goes_by_what_the_scanner_shows(known, name):
    assert series_name(known) == name


def test_the_series_of_a_study_are_named_by_an_image_that_is_still_there(tmp_path):
    files = series(tmp_path, seed=1)
    for path in files:
        dataset = dcmread(path)
        dataset.SeriesNumber, dataset.SeriesDescription = 7, "Thorax"
        dataset.save_as(path)
    uid = dcmread(files[0]).SeriesInstanceUID
    here = [_instance(n, path, uid) for n, path in enumerate(files)]
    gone = _instance(0, tmp_path / "gone.dcm", "1.9")
    assert series_of([*here, gone]) == [
        {
            "series_instance_uid": "1.9",
            "instances": 1,
            "modality": None,
            "series_number": None,
            "series_description": None,
        },
        {
            "series_instance_uid": uid,
            "instances": len(files),
            "modality": "CT",
            "series_number": 7,
            "series_description": "Thorax",
        },
    ]


def _instance(number: int, path: Path, uid: str):
    return replace(instance(number), path=path, series_instance_uid=uid)


def test_of_the_rules_of_the_site_those_are_told_that_were_asked_last():
    def asked(minute: int, name: str, fits: bool) -> EventRecord:
        facts = {"rule": name, "fits": fits}
        at = NOON + timedelta(minutes=minute)
        return EventRecord(at=at, what="rule.asked", text=f"Rule {name}.", facts=facts)

    other = EventRecord(at=NOON, what="study.complete", text="It is complete.", facts={})
    events = [other, asked(0, "old", True), asked(5, "er", False), asked(5, "rest", True)]
    assert _rules(events) == [
        {"rule": "er", "fits": False, "text": "Rule er."},
        {"rule": "rest", "fits": True, "text": "Rule rest."},
    ]
    assert _rules([other]) == []
