"""When a destination gets something: by the clock on the wall."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.deliver.hours import opens_at


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
