"""What the closer does beside closing studies."""

from __future__ import annotations

from datetime import timedelta

from dicomnode.journal import Notice, NoticeKind, Reference
from dicomnode.serve.intake.closer import Closer
from dicomnode.settings import Settings
from tests.unit.journal.world import NOON, STUDY, instance, later, receive


def notice(name: str, days: int) -> Notice:
    return Notice(
        name=name, kind=NoticeKind.COMMITMENT, uid=f"1.9.{days}", study_instance_uid=STUDY, status="",
        calling_ae="CT1", address="10.0.0.7", received_at=NOON - timedelta(days=days),
        references=(Reference(instance(0).sop_instance_uid, "1.2"),),
    )  # fmt: skip


def test_notices_of_more_than_a_month_ago_are_forgotten_within_an_hour(journal):
    receive(journal, at=NOON + timedelta(hours=1))  # so that it stays open
    closer = Closer(Settings(), journal, lambda _: 0)
    closer.turn(NOON)
    journal.add_notices([notice("old", 31), notice("new", 29)], NOON)

    def known() -> list[str]:
        (study,) = journal.open_studies(NOON + timedelta(hours=2))
        return [one.uid for one in study.said]

    closer.turn(later(0.5))
    assert sorted(known()) == ["1.9.29", "1.9.31"], "it is not done with every look"
    closer.turn(NOON + timedelta(hours=1))
    assert known() == ["1.9.29"]
