"""When a destination gets something: by the clock on the wall."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.deliver.hours import open_between, opens_at


def at(day: int, clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02} {clock}")


NIGHT, DAY = "22:00-06:00", "08:00-17:30"


@pytest.mark.parametrize(
    ("hours", "wall", "opens"),
    [
        ("", at(5, "12:00:00"), None),
        (DAY, at(5, "07:59:59"), at(5, "08:00")),
        (DAY, at(5, "08:00:00"), None),
        (DAY, at(5, "17:29:59"), None),
        (DAY, at(5, "17:30:00"), at(6, "08:00")),
        (DAY, at(31, "23:00:00"), datetime.fromisoformat("2026-04-01 08:00")),
        (NIGHT, at(5, "21:59:59"), at(5, "22:00")),
        (NIGHT, at(5, "22:00:00"), None),
        (NIGHT, at(5, "23:59:59"), None),
        (NIGHT, at(6, "00:00:00"), None),
        (NIGHT, at(6, "05:59:59"), None),
        (NIGHT, at(6, "06:00:00"), at(6, "22:00")),
        ("19:00-00:00", at(5, "23:59:59"), None),
        ("19:00-00:00", at(6, "00:00:00"), at(6, "19:00")),
        ("00:00-06:00", at(5, "23:59:59"), at(6, "00:00")),
        ("00:00-06:00", at(6, "00:00:00"), None),
    ],
)
def test_a_destination_is_open_in_its_hours_and_says_when_next(
    hours: str, wall: datetime, opens: datetime | None
) -> None:
    assert opens_at(hours, wall) == opens


_TIMES = st.times().map(lambda time: f"{time:%H:%M}")


@given(_TIMES, _TIMES, st.datetimes(at(1, "00:00"), datetime.fromisoformat("2030-01-01")))
def test_what_it_says_is_within_a_day_and_true(begin: str, end: str, wall: datetime) -> None:
    hours = f"{begin}-{end}"
    opens = opens_at(hours, wall)
    if opens is not None:
        assert timedelta(0) < opens - wall <= timedelta(days=1)
        assert opens_at(hours, opens) is None
        assert opens_at(hours, opens - timedelta(microseconds=1)) == opens


@pytest.mark.parametrize(
    ("hours", "begin", "end", "open_h"),
    [
        ("", at(5, "12:00"), at(6, "13:30"), 25.5),
        (DAY, at(5, "07:00"), at(5, "09:00"), 1.0),
        (DAY, at(5, "17:00"), at(6, "08:30"), 1.0),
        (DAY, at(5, "18:00"), at(6, "07:00"), 0.0),
        (DAY, at(5, "12:00"), at(8, "12:00"), 28.5),
        (NIGHT, at(5, "12:00"), at(5, "23:00"), 1.0),
        (NIGHT, at(5, "23:00"), at(6, "05:00"), 6.0),
        (NIGHT, at(6, "01:00"), at(6, "23:00"), 6.0),
        (NIGHT, at(5, "12:00"), at(6, "12:00"), 8.0),
        (NIGHT, at(5, "12:00"), at(5, "11:00"), 0.0),
    ],
)
def test_how_long_a_destination_was_open(hours: str, begin: datetime, end: datetime, open_h: float) -> None:
    assert open_between(hours, begin, end) == timedelta(hours=open_h)


@given(_TIMES, _TIMES, st.datetimes(at(1, "00:00"), at(3, "00:00")), st.integers(1, 5000))
def test_the_open_minutes_are_those_in_which_it_is_open(
    begin: str, end: str, first: datetime, minutes: int
) -> None:
    if begin == end:
        return
    hours, first = f"{begin}-{end}", first.replace(second=0, microsecond=0)
    clock = [first + timedelta(minutes=n) for n in range(minutes)]
    is_open = sum(opens_at(hours, wall) is None for wall in clock)
    assert open_between(hours, first, first + timedelta(minutes=minutes)) == timedelta(minutes=is_open)
