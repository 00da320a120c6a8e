"""How an engine fares over time: each finding counts once, by the last word on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from dicomnode.evaluate.feedback import by_month, last_words
from dicomnode.journal import FeedbackRecord

MARCH = datetime(2026, 3, 31, 23, 0, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, 1, 0, tzinfo=UTC)


def row(finding: str = "2.25.7", **changes: object) -> FeedbackRecord:
    one = FeedbackRecord(
        study_instance_uid="1.2.3", study_version=1, engine="lung-ct", engine_version="1.0.0",
        engine_digest="ab" * 32, their_uid="1.9.1", their_class_uid="SEG", finding=finding, label="x",
        kind="accepted", recognised_by="tracking", at=MARCH,
    )  # fmt: skip
    return replace(one, **changes)  # type: ignore[arg-type]


def test_what_was_said_anew_counts_once_and_as_the_last_word():
    first = row(kind="changed", dice=0.5)
    second = row(their_uid="1.9.2", at=APRIL, kind="accepted", dice=1.0)
    assert last_words([second, first]) == [second]


def test_what_was_missed_counts_by_the_last_object_of_its_class_alone():
    first = row("segment 3", kind="missed")
    second = row(their_uid="1.9.2", at=APRIL)
    report = row("1.9.6", kind="missed", their_uid="1.9.5", their_class_uid="SR")
    assert last_words([first, second, report]) == [report, second]


def test_a_month_counts_kinds_and_gives_the_median_of_the_outlines():
    rows = [
        row("a", dice=1.0),
        row("b", kind="changed", dice=0.8),
        row("c", kind="changed", dice=0.5),
        row("d", kind="rejected"),
        row("e", kind="missed", study_instance_uid="1.2.4"),
        row("f", at=APRIL),
        row("g", engine_version="2.0.0"),
    ]
    months = by_month(rows)
    assert [(one.version, one.month) for one in months] == [
        ("1.0.0", "2026-03"),
        ("1.0.0", "2026-04"),
        ("2.0.0", "2026-03"),
    ]
    first = months[0]
    assert (first.accepted, first.changed, first.rejected, first.missed) == (1, 2, 1, 1)
    assert (first.studies, first.dice) == (2, 0.8)
    assert months[1].dice is None
