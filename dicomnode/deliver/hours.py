"""The hours of a destination: whether it gets something now, when it does next, and how long it did."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

_DAY: Final = timedelta(days=1)


def opens_at(hours: str, wall: datetime) -> datetime | None:
    """When a destination gets something next; None: now.

    hours: as of [[destination]], "19:00-06:30"; "" for at any time. The end is no part of it. wall: what the
    clock on the wall shows, without a time zone, as is what is given.
    """
    if not hours:
        return None
    begin, end = _times(hours)
    now = wall.time()
    is_open = begin <= now < end if begin < end else now >= begin or now < end
    if is_open:
        return None
    today = datetime.combine(wall.date(), begin)
    return today if now < begin else today + timedelta(days=1)


def open_between(hours: str, begin: datetime, end: datetime) -> timedelta:
    """How much of the time from `begin` to `end` a destination gets results; none where `end` is earlier.

    hours: as above. begin, end: what the clock on the wall shows.
    """
    if end <= begin:
        return timedelta(0)
    if not hours:
        return end - begin
    opens, closes = _times(hours)
    each = (datetime.combine(begin, closes) - datetime.combine(begin, opens)) % _DAY
    days = (end - begin) // _DAY
    # What is left of whole days meets the window of its first day, of the day before, or of the next one
    rest = begin + days * _DAY
    windows = [datetime.combine(rest + n * _DAY, opens) for n in (-1, 0, 1)]
    parts = [min(end, window + each) - max(rest, window) for window in windows]
    return sum((max(part, timedelta(0)) for part in parts), start=days * each)


def _times(hours: str) -> tuple[time, time]:
    begin, end = (time.fromisoformat(text) for text in hours.split("-"))
    return begin, end
