from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.deliver import Decision, FileOutcome, decide, peer_of
from dicomnode.deliver.outcome import OUTCOMES, Word, outcome_of
from dicomnode.faults import PEER_BUSY, STORE_REFUSED, NodeError
from dicomnode.settings import DestinationSettings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WHERE = DestinationSettings(
    name="PACS1", ae_title="PACS", host="10.0.0.1", port=104, retry_first_s=10.0, retry_longest_s=100.0
)
BUSY = NodeError(PEER_BUSY, name="PACS1", status=0xA700, sop_instance_uid="1.2", meaning="full")
REFUSED = NodeError(
    STORE_REFUSED, name="PACS1", sop_class="CT", sop_instance_uid="1.2", status=0xC000, meaning="no"
)


def outcome(word: Word, fault: NodeError | None = None) -> FileOutcome:
    return FileOutcome(path=Path("a.dcm"), sop_instance_uid="1.2", outcome=word, fault=fault)


STORED, AGAIN, NO = outcome("stored"), outcome("retry", BUSY), outcome("refused", REFUSED)
NOT_TRIED = outcome("retry")


@pytest.mark.parametrize(
    ("outcomes", "attempt", "decision"),
    [
        ([], 1, Decision(event="COMMITTED")),
        ([STORED, STORED], 1, Decision(event="COMMITTED")),
        ([STORED, NO], 1, Decision(event="NEEDS_PERSON", fault=REFUSED)),
        ([STORED, AGAIN], 1, Decision(event="FAILED", not_before=NOW + timedelta(seconds=10), fault=BUSY)),
        ([AGAIN], 3, Decision(event="FAILED", not_before=NOW + timedelta(seconds=40), fault=BUSY)),
        ([AGAIN], 99, Decision(event="FAILED", not_before=NOW + timedelta(seconds=100), fault=BUSY)),
        ([NO, AGAIN], 1, Decision(event="FAILED", not_before=NOW + timedelta(seconds=10), fault=BUSY)),
        ([STORED, NOT_TRIED], 5, Decision(event="GIVEN_BACK")),
        ([NOT_TRIED, AGAIN], 1, Decision(event="FAILED", not_before=NOW + timedelta(seconds=10), fault=BUSY)),
    ],
)
def test_the_task_becomes_what_its_files_came_to(
    outcomes: list[FileOutcome], attempt: int, decision: Decision
) -> None:
    assert decide(outcomes, attempt, WHERE, NOW, 0.0) == decision


def test_a_task_is_done_only_when_every_file_is_stored() -> None:
    for other in (AGAIN, NO, NOT_TRIED):
        assert decide([STORED, other, STORED], 1, WHERE, NOW, 0.5).event != "COMMITTED"


def test_a_destination_becomes_a_peer() -> None:
    peer = peer_of(WHERE)
    assert (peer.name, peer.ae_title, peer.host, peer.port, peer.timeout_s) == (
        "PACS1",
        "PACS",
        "10.0.0.1",
        104,
        30.0,
    )


def test_only_success_warnings_and_a_duplicate_count_as_stored() -> None:
    stored = [status for status in range(0x10000) if outcome_of(status) == "stored"]
    assert stored == [0x0000, 0x0107, 0x0111, 0x0116, *range(0xB000, 0xC000)]


def test_no_row_of_the_table_of_outcomes_hides_another() -> None:
    for n, row in enumerate(OUTCOMES):
        assert all(row.last < other.first or other.last < row.first for other in OUTCOMES[:n])
