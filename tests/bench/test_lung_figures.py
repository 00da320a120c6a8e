"""Figures of a suite, of rows that were written by hand, against what can be counted on fingers."""

from __future__ import annotations

import pytest

from tests.bench.lung.figures import GOAL_DICE, of_suite, quartiles, threshold_at
from tests.bench.lung.judging import AlarmRow, CaseRow, LungRow, NoduleRow
from tests.bench.lung.page import number, page


def nodule(mm: float, score: float | None, *, reported: bool, kind: str = "solid", **more) -> NoduleRow:
    return NoduleRow(
        label=f"{mm:g}",
        diameter_mm=mm,
        true_mm3=100.0,
        kind=kind,
        place="free",
        margin="smooth",
        side="left",
        centre_lps_mm=(0.0, 0.0, 0.0),
        score=score,
        reported=reported,
        centre_mm=1.0 if reported else None,
        **more,
    )


def alarm(score: float, on: str = "", *, reported: bool = True) -> AlarmRow:
    return AlarmRow(
        score=score, reported=reported, centre_lps_mm=(0.0, 0.0, 0.0), on=on, where="in the lung", hu=0.0
    )


def case(seed: int, nodules=(), alarms=(), dices=(0.99, 0.99), doubts=(), **more) -> CaseRow:
    given = {
        "seed": seed,
        "size": "small",
        "thickness_mm": 1.0,
        "kernel": "soft",
        "enhanced": False,
        "diseases": (),
        "seeks": True,
        "ignored": (),
        "repeats": 0,
        "down_to": 0.05,
        "nothing": "",
        "seconds": {},
    }
    lungs = tuple(
        LungRow(side=side, dice=dice, hd95_mm=1.0, ml=90.0, true_ml=100.0)
        for side, dice in zip(("right", "left"), dices, strict=True)
    )
    return CaseRow(
        nodules=tuple(nodules), alarms=tuple(alarms), lungs=lungs, doubts=tuple(doubts), **(given | more)
    )


CASES = [
    case(1, [nodule(5.0, 0.9, reported=True), nodule(7.0, 0.3, reported=False)], [alarm(0.6, "osteophyte")]),
    case(
        2,
        [nodule(12.0, 0.8, reported=True, volume_mm3=150.0, dice=0.8, kind="part-solid")],
        [alarm(0.7, "osteophyte"), alarm(0.55), alarm(0.2, reported=False)],
        kernel="sharp",
        thickness_mm=3.0,
        diseases=("effusion",),
        dices=(0.90, 0.98),
    ),
    case(3, [nodule(20.0, None, reported=False)], dices=(0.99, 0.94), doubts=("Left 12.5 ml.",)),
    case(4, dices=(0.99, 0.98), doubts=("Left 7 ml.",), enhanced=True),
]


@pytest.fixture(scope="module")
def figures() -> dict:
    return of_suite(CASES)


def value(one: dict) -> tuple:
    return one["value"], one["part"], one["whole"]


def test_sensitivities_are_counted_by_size_kind_and_scan(figures):
    found = figures["reported"]["sensitivity"]
    assert value(found["all"]) == (0.5, 2, 4)
    assert value(found["6 mm and more"]) == (pytest.approx(1 / 3), 1, 3)
    assert value(found["4 to 6 mm"]) == (1.0, 1, 1)
    assert value(found["solid, 6 mm and more"]) == (0.0, 0, 2)
    assert value(found["> 15 mm"]) == (0.0, 0, 1)
    assert value(found["part-solid"]) == (1.0, 1, 1)
    assert value(found["cavity"]) == (None, 0, 0)
    assert value(found["sharp kernel"]) == (1.0, 1, 1)
    assert value(found["slices above 2.5 mm"]) == (1.0, 1, 1)
    assert value(found["enhanced"]) == (None, 0, 0)


def test_false_alarms_a_scan_are_those_reported_over_all_scans(figures):
    found = figures["reported"]["alarms_a_scan"]
    assert found["all"]["value"] == 0.75
    assert found["sharp kernel"]["value"] == 2.0
    assert found["enhanced"]["value"] == 0.0
    assert found["standard kernel"]["value"] is None


def test_the_curve_and_its_threshold_go_below_what_is_reported(figures):
    found = figures
    assert found["down_to"] == 0.05
    # Alarms 0.7, 0.6, 0.55, 0.2 in four scans: one a scan lets all of them through, and the nodule of 0.3
    assert found["at_rate"]["threshold"] == 0.2
    assert value(found["at_rate"]["sensitivity"]["all"]) == (0.75, 3, 4)
    rates = {one["rate"]: one["value"] for one in found["froc"]}
    assert (rates[0.125], rates[0.5], rates[0.25], rates[1.0], rates[8.0]) == (0.5, 0.5, 0.5, 0.75, 0.75)
    assert found["cpm"]["value"] == pytest.approx((3 * 0.5 + 4 * 0.75) / 7)


def test_without_an_allowed_alarm_no_score_is_high_enough():
    from dicomnode.evaluate import froc
    from tests.bench.lung.figures import outcome

    assert threshold_at(froc([outcome(case(1, alarms=[alarm(0.9), alarm(0.9)]))]), 1.0) == 2.0


def test_what_false_alarms_lie_on_and_what_is_missed_is_listed(figures):
    found = figures
    assert [(one["on"], one["count"]) for one in found["alarms"]] == [("osteophyte", 2), ("", 1)]
    assert [(one["case"], one["diameter_mm"], one["score"]) for one in found["misses"]] == [
        (3, 20.0, None),
        (1, 7.0, 0.3),
    ]


def test_errors_are_of_what_is_reported_with_an_outline(figures):
    found = figures["measures"]
    assert found["6 mm and more"]["volume_percent"]["median"] == pytest.approx(50.0)
    assert found["6 mm and more"]["volume_percent"]["count"] == 1
    assert found["4-6 mm"]["volume_percent"] is None
    assert found["4-6 mm"]["centre_mm"]["count"] == 1


def test_quartiles_of_four_are_those_between_them():
    assert quartiles([1.0, 2.0, 3.0, 4.0]) == {"low": 1.75, "median": 2.5, "high": 3.25, "count": 4}
    assert quartiles([]) is None


def test_a_wrong_lung_that_nobody_doubted_is_the_number_that_matters(figures):
    lungs = figures["lungs"]
    assert lungs["verdict"] == {"right_ok": 1, "right_doubted": 1, "wrong_doubted": 1, "wrong_ok": 1}
    assert lungs["wrong_called_ok"] == [{"case": 2, "diseases": ["effusion"], "right": 0.9, "left": 0.98}]
    assert lungs["doubts"] == [{"text": "Left … ml.", "right": 1, "wrong": 1}]
    assert lungs["reached_goal"] == sum(min(d) >= GOAL_DICE for d in ((0.99, 0.99), (0.99, 0.98)))
    assert lungs["by_disease"]["effusion"]["right"]["least_dice"] == 0.90
    assert lungs["by_disease"]["all"]["left"]["volume_percent"]["median"] == pytest.approx(-10.0)


def test_scores_are_calibrated_where_they_are_as_often_right_as_they_say():
    cases = [
        case(n, [nodule(9.0, 0.5, reported=True)] if n % 2 else (), () if n % 2 else [alarm(0.5)])
        for n in range(20)
    ]
    found = of_suite(cases)["calibration"]["reported"]
    assert (found["candidates"], found["ece"]) == (20, 0.0)
    assert found["brier"] == pytest.approx(0.25)
    sure = [case(n, alarms=[alarm(0.9)]) for n in range(20)]
    assert of_suite(sure)["calibration"]["reported"]["ece"] == pytest.approx(0.9)


def test_intervals_are_drawn_over_patients():
    cases = [case(n, [nodule(9.0, 0.9, reported=n % 2 == 0)] * 5) for n in range(12)]
    alone = [case(n, [nodule(9.0, 0.9, reported=n % 2 == 0)]) for n in range(12)]
    many, few = (of_suite(some)["reported"]["sensitivity"]["all"] for some in (cases, alone))
    # Five nodules of a patient that are all alike tell no more than one
    assert (many["low"], many["high"]) == (few["low"], few["high"])
    assert many["low"] < 0.5 < many["high"]


def test_an_interval_of_no_width_is_not_printed():
    assert number({"value": 0.75, "low": None, "high": None, "part": 6, "whole": 8}) == "0.75, 6 of 8"
    assert number({"value": None, "low": None, "high": None, "part": 0, "whole": 0}) == "–"


def test_the_page_names_what_the_card_needs(figures):
    text = "\n".join(page("invented", figures, CASES))
    assert "| false alarms a scan | 0.75 (" in text
    assert "≥ 0.90" in text
    assert "| osteophyte | in the lung | 2 |" in text
    assert "| 3 | 20 | 20.0 | solid | free | 1 | no candidate |" in text
    assert "Wrong and called ok: case 2, right 0.9, left 0.98 (effusion)." in text
    assert "| 4 | 1 | soft | 0 of 0 | 0 | 0.990, 0.980 | doubtful |  |" in text
