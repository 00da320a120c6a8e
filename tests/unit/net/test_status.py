from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from dicomnode.net import abort_text, rejection_text, status_text
from dicomnode.net.status import QUERY_STATUSES, REJECTIONS, STORE_STATUSES, query_status_text

UNDEFINED = "the standard does not define this status here"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x0000, "stored"),
        (0xA700, "out of resources"),
        (0xA7A7, "out of resources"),
        (0xA900, "does not fit its SOP Class"),
        (0xB000, "changed some attributes"),
        (0xB006, "dropped some elements"),
        (0xB007, "though the data set does not fit"),
        (0xB123, "warning"),
        (0xC000, "cannot understand"),
        (0xCFFF, "cannot understand"),
        (0x0111, "already"),
        (0x0117, "SOP Instance UID"),
        (0x0122, "does not support this SOP Class"),
        (0x0124, "not allowed"),
        (0x7777, UNDEFINED),
        (0xFFFF, UNDEFINED),
    ],
)
def test_a_status_of_storing_is_told_in_words(status: int, words: str) -> None:
    assert words in status_text(status)


def test_every_status_that_another_library_knows_for_storing_has_words() -> None:
    unknown = [hex(code) for code in STORAGE_SERVICE_CLASS_STATUS if status_text(code) == UNDEFINED]
    assert unknown == []


def test_a_query_has_words_of_its_own_where_they_differ() -> None:
    assert "query" in query_status_text(0xC001)
    assert "query" not in query_status_text(0x0117)
    assert query_status_text(0x0117) == status_text(0x0117)


def test_each_row_cites_where_it_is_written_and_spans_something() -> None:
    for row in (*STORE_STATUSES, *QUERY_STATUSES):
        assert row.source.startswith("PS3.")
        assert 0 <= row.first <= row.last <= 0xFFFF


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1, 1, 3), "does not know the calling AE title"),
        ((1, 1, 7), "does not go by the called AE title"),
        ((2, 3, 1), "congested"),
        ((2, 3, 2), "as many associations as it allows"),
        ((1, 2, 2), "version of the protocol"),
        ((1, 1, 9), "does not define"),
    ],
)
def test_a_rejection_is_told_in_words_with_its_numbers(numbers: tuple[int, int, int], words: str) -> None:
    text = rejection_text(*numbers)
    assert words in text
    assert f"result {numbers[0]}" in text
    assert f"source {numbers[1]}, reason {numbers[2]}" in text


@pytest.mark.parametrize(("source", "reason"), REJECTIONS)
def test_each_rejection_in_the_table_is_one_of_the_standard(source: int, reason: int) -> None:
    pdu = A_ASSOCIATE_RJ()
    pdu.result, pdu.source, pdu.reason_diagnostic = 1, source, reason
    assert pdu.reason_str  # raises for a pair that PS3.8 table 9-21 leaves out


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_any_numbers_of_a_peer_have_words(result: int, source: int, reason: int) -> None:
    assert rejection_text(result, source, reason)
    assert abort_text(source, reason)


@given(st.integers(0, 0xFFFF))
def test_any_status_has_words(status: int) -> None:
    assert status_text(status)
    assert query_status_text(status)
