"""The hours of a destination: whether it gets something now, and when it does next."""

from __future__ import annotations

from datetime import datetime, time, timedelta


def opens_at(hours: str, wall: datetime) -> datetime | None:
    """When a destination gets something next; None: now.

    hours: as of [[destination]], "19:00-06:30"; "" for at any time. The end is no part of it. wall: what the
    clock on the wall shows, without a time zone, as is what is given.
    """
    if not hours:
        return None
    begin, end = (time.fromisoformat(text) for text in hours.split("-"))
    now = wall.time()
    is_open = begin <= now < end if begin < end else now >= begin or now < end
    if is_open:
        return None
    today = datetime.combine(wall.date(), begin)
    return today if now < begin else today + timedelta(days=1)
