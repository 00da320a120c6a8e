"""The acceptance of an engine at a site: counts, times and agreement, recomputed by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from dicomnode.evaluate.site import SiteAcceptance, SiteState, accept, site_html
from dicomnode.evaluate.site.acceptance import SiteCase
from dicomnode.journal import FeedbackRecord

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAITS = (10.0, 20.0, 30.0, 40.0, 400.0)


def case(n: int, state: SiteState = SiteState.ANALYSED, **more) -> SiteCase:
    return SiteCase(study_instance_uid=f"1.2.{n}", came_at=NOON + timedelta(minutes=n), state=state, **more)


def analysed(n: int, **more) -> SiteCase:
    given = {"found": n, "wait_s": WAITS[n], "work_s": WAITS[n] - 5, "version": "1.0.0", **more}
    return case(n, **given)


def said(n: int, kind: str, finding: str = "a", *, minute: int = 0, **more) -> FeedbackRecord:
    return FeedbackRecord(
        study_instance_uid=f"1.2.{n}",
        study_version=1,
        engine="nodules",
        engine_version="1.0.0",
        engine_digest="0" * 64,
        their_uid=f"1.9.{n}.{minute}",
        their_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        finding=finding,
        label=finding,
        kind=kind,
        recognised_by="tracking",
        at=NOON + timedelta(hours=1, minutes=minute),
        **more,
    )


def judged(cases, records=()) -> SiteAcceptance:
    return accept(cases, records, engine=("nodules", "shadow"), made_at=NOON, node_version="1")


FIVE = [analysed(n) for n in range(5)]
OTHERS = [
    case(6, SiteState.REFUSED, code="DN-3001"),
    case(7, SiteState.REFUSED, code="DN-3001"),
    case(8, SiteState.FAILED, code="DN-4301"),
    case(9, SiteState.NOT_WANTED),
]


def test_every_study_is_counted_once_and_reasons_by_their_code() -> None:
    of = judged([*FIVE, *OTHERS])
    assert {state: of.count(state) for state in SiteState} == {
        SiteState.ANALYSED: 5,
        SiteState.REFUSED: 2,
        SiteState.FAILED: 1,
        SiteState.NOT_WANTED: 1,
        SiteState.WAITING: 0,
    }
    assert of.codes == {(SiteState.FAILED, "DN-4301"): 1, (SiteState.REFUSED, "DN-3001"): 2}
    document = of.to_document()
    assert sum(document["states"].values()) == document["studies"] == 9
    assert document["findings_per_study"] == pytest.approx(2.0)
    assert document["studies_with_findings"] == 4


def test_times_are_percentiles_of_what_was_analysed() -> None:
    of = judged([*FIVE, *OTHERS])
    assert of.wait is not None
    assert of.work is not None
    assert (of.wait.cases, of.wait.p50_s, of.wait.most_s) == (5, 30.0, 400.0)
    assert of.wait.p95_s == pytest.approx(np.quantile(WAITS, 0.95)) == pytest.approx(328.0)
    assert of.work.p50_s == 25.0
    assert judged(OTHERS).wait is None


def test_agreement_counts_the_last_word_on_each_finding_of_these_studies_alone() -> None:
    records = [
        said(1, "rejected"),
        said(1, "accepted", minute=1),  # the last word on it
        said(2, "changed", dice=0.8),
        said(2, "rejected", "b"),
        said(3, "missed", "c"),
        said(77, "rejected"),  # of no study among these
    ]
    of = judged(FIVE, records)
    left, kind, found, dice = of.figures
    assert (left.part, left.whole) == (1, 3)
    assert (kind.part, kind.whole) == (2, 3)
    assert (found.part, found.whole) == (2, 3)
    assert dice.value == 0.8
    assert of.answered == 3
    assert any("3 of 5 analysed" in one for one in of.warnings)


def test_without_an_answer_it_says_that_nothing_is_known_of_what_is_right() -> None:
    of = judged(FIVE)
    assert [one.value for one in of.figures] == [None] * 4
    assert any("Nobody has answered" in one for one in of.warnings)
    assert any("Only 5 studies" in one for one in of.warnings)


def test_versions_that_are_counted_as_one_are_named() -> None:
    of = judged([analysed(1), analysed(2, version="2.0.0")])
    assert any("1.0.0: 1, 2.0.0: 1" in one for one in of.warnings)


def test_the_page_is_well_formed_says_it_all_and_takes_nothing_from_elsewhere() -> None:
    of = judged([*FIVE, *OTHERS], [said(1, "accepted")])
    page = site_html(of)
    ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    for word in ("nodules, shadow", "DN-3001", "DN-4301", "30.0", "400.0", "1.000 (1 of 1)"):
        assert word in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page == site_html(of)


def test_a_site_without_a_result_has_a_page_as_well() -> None:
    page = site_html(judged(OTHERS))
    assert page.count("Nothing was analysed.") == 2
    assert "Nobody has answered." in page
