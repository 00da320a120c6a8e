"""What a peer sends is not gathered without end: a message, all messages of an association, an object."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt

from dicomnode.faults import FETCH_TOO_LARGE, QUERY_FAILED, NodeError
from dicomnode.net import FetchLimits, Meter, count_instances, get_series
from dicomnode.net.limits import AnswerLimits
from tests.wire.earlier import BEFORE_UID, FIND, GET, query_scp
from tests.wire.floods import Flood
from tests.wire.peers import socket_peer
from tests.wire.test_priors_net import SERIES_UID, image, one_series

pytestmark = pytest.mark.wire

_BUFFERS = 30_000_000  # bytes that the two kernels hold between them, generously


def test_an_identifier_without_end_is_left_at_a_megabyte() -> None:
    flood = Flood(most=100_000_000)
    with socket_peer(flood, timeout_s=10.0) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", "1.2.3")
    assert caught.value.fault is QUERY_FAILED
    assert "a message of it is longer than 1 MB" in str(caught.value)
    assert flood.taken < AnswerLimits().message_bytes + _BUFFERS


def test_answers_that_are_short_each_and_long_in_all_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.net.association.AnswerLimits", lambda: AnswerLimits(bytes=2_000_000))

    def long_ones(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for number in range(900):
            found = Dataset()
            found.SeriesInstanceUID, found.NumberOfSeriesRelatedInstances = f"1.2.3.{number}", 1
            found.StudyComments = "x" * 10_000
            yield 0xFF00, found

    with query_scp((FIND,), (evt.EVT_C_FIND, long_ones)) as peer, pytest.raises(NodeError) as caught:
        count_instances(peer, "DICOMNODE", "1.2.3")
    assert "it sent more than 2 MB" in str(caught.value)


@pytest.mark.parametrize(
    "limits", [{"object_bytes": 100_000}, {"bytes": 100_000}], ids=["of an object", "of all of them"]
)
def test_an_object_longer_than_allowed_is_not_gathered_by_c_get(limits: dict[str, int]) -> None:
    def give(_: evt.Event) -> Iterator[object]:
        yield 1
        long = image(1)
        long.PixelData = bytes(8_000_000)
        long["PixelData"].VR = "OW"
        yield 0xFF00, long

    content: list[bytes] = []
    allowed = Meter("PACS1", FetchLimits(**limits))  # type: ignore[arg-type]
    handlers = [(evt.EVT_C_FIND, one_series), (evt.EVT_C_GET, give)]
    with query_scp((FIND, GET), *handlers) as peer, pytest.raises(NodeError) as caught:
        get_series(peer, "DICOMNODE", BEFORE_UID, SERIES_UID, content.append, allowed)
    assert caught.value.fault is FETCH_TOO_LARGE
    assert "a message of it is longer than 1.1 MB" in str(caught.value)
    assert content == []


def test_many_objects_may_be_longer_together_than_one_may_be() -> None:
    def give(_: evt.Event) -> Iterator[object]:
        yield 2
        for number in (1, 2):
            long = image(number)
            long.PixelData = bytes(900_000)
            long["PixelData"].VR = "OW"
            yield 0xFF00, long

    content: list[bytes] = []
    allowed = Meter("PACS1", FetchLimits(object_bytes=1_000_000, bytes=2_000_000))
    handlers = [(evt.EVT_C_FIND, one_series), (evt.EVT_C_GET, give)]
    with query_scp((FIND, GET), *handlers) as peer:
        assert get_series(peer, "DICOMNODE", BEFORE_UID, SERIES_UID, content.append, allowed) == 2
    assert [len(one) > 900_000 for one in content] == [True, True]
