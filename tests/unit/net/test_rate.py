"""How many bytes go in a second, measured by a clock that only the waits move."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.net.rate import Paced, Rate


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds


def rate_of(mb_s: float) -> tuple[Rate, Clock]:
    clock = Clock()
    return Rate(mb_s, lambda: clock.now_s, clock.wait), clock


@given(
    st.floats(0.01, 1000),
    st.lists(st.tuples(st.integers(1, 300_000), st.floats(0, 3)), min_size=1, max_size=40),
)
def test_in_any_time_no_more_goes_than_the_rate_and_one_piece(
    mb_s: float, pieces: list[tuple[int, float]]
) -> None:
    rate, clock = rate_of(mb_s)
    sent: list[tuple[float, int]] = []
    for count, idle_s in pieces:
        clock.now_s += idle_s
        rate.take(count)
        sent.append((clock.now_s, count))
    for first, (began_s, _) in enumerate(sent):
        for last in range(first, len(sent)):
            between = sum(count for _, count in sent[first:last])  # each takes its time after it went
            assert between / 1e6 <= mb_s * (sent[last][0] - began_s) * (1 + 1e-9) + 1e-9


def test_what_is_slower_than_the_rate_does_not_wait() -> None:
    rate, clock = rate_of(1.0)
    for _ in range(10):
        before = clock.now_s
        rate.take(500_000)
        assert clock.now_s == before
        clock.now_s += 0.5


def test_ten_megabytes_at_two_a_second_take_five_seconds() -> None:
    rate, clock = rate_of(2.0)
    file = Paced(BytesIO(bytes(10_000_000)), rate)
    while file.read(131072):
        pass
    assert clock.now_s - 100.0 == pytest.approx(5.0, abs=0.1)


def test_a_slow_rate_sends_small_pieces_and_not_one_in_a_long_while() -> None:
    rate, clock = rate_of(0.02)
    file = Paced(BytesIO(bytes(100_000)), rate)
    while piece := file.read(131072):
        assert len(piece) <= 5000
        assert len(piece) % 2 == 0
        before = clock.now_s
        rate.take(0)
        assert clock.now_s - before <= 0.25 + 1e-9


def test_a_paced_file_is_read_whole_from_any_place() -> None:
    content = bytes(range(256)) * 100
    file = Paced(BytesIO(content), rate_of(1.0)[0])
    assert file.seek(0, 2) == len(content)
    assert file.seek(100) == 100
    assert b"".join(iter(lambda: file.read(1000), b"")) == content[100:]
    assert file.tell() == len(content)


@pytest.mark.parametrize("mb_s", [0.0, -1.0, float("nan")])
def test_a_rate_of_nothing_is_none(mb_s: float) -> None:
    with pytest.raises(ValueError, match="must be > 0"):
        Rate(mb_s)
