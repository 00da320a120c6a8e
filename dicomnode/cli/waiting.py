"""What waits, for people and as JSON: the tasks of a study, and what there is for each destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dicomnode.cli.output import print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from dicomnode.journal import Backlog, Wait

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


def age_words(age: timedelta) -> str:
    """A duration in its two largest units, as "3 h 12 min"."""
    left, parts = max(0, round(age.total_seconds())), list[str]()
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or f"{left} s"


def wait_document(wait: Wait) -> dict[str, Any]:
    """Give a task that waits as JSON."""
    return {
        "kind": wait.kind.value,
        "study_version": wait.study_version,
        "engine": wait.engine,
        "destination": wait.destination,
        "state": wait.state.value,
        "waits_for": wait.waits_for,
        "since": wait.since.isoformat(),
        "not_before": _iso(wait.not_before),
        "code": wait.code,
    }


def print_waits(waits: Sequence[Wait]) -> None:
    """Print what each task waits for, and since when."""
    rows = [
        (
            " ".join(filter(None, (wait.kind.value, wait.engine, wait.destination))),
            f"{wait.waits_for} ({wait.code})" if wait.code else wait.waits_for,
            _local(wait.since),
            _local(wait.not_before),
        )
        for wait in waits
    ]
    if rows:
        print_table("Waiting", ("what", "waits for", "since", "next try"), rows)


def backlog_documents(
    names: Iterable[str], backlogs: Mapping[str, Backlog], now: datetime
) -> list[dict[str, Any]]:
    """Give what waits for each destination as JSON: those of these names, then those of another time."""
    return [_backlog_document(name, backlogs.get(name), now) for name in _all(names, backlogs)]


def _all(names: Iterable[str], backlogs: Mapping[str, Backlog]) -> list[str]:
    known = list(names)
    return [*known, *(name for name in backlogs if name not in known)]


def _backlog_document(name: str, backlog: Backlog | None, now: datetime) -> dict[str, Any]:
    if backlog is None:
        return {
            "name": name, "waiting": 0, "oldest_since": None, "oldest_s": None, "next_try": None, "why": None,
            "unconfirmed": 0, "unconfirmed_since": None, "held": 0, "for_a_person": 0,
        }  # fmt: skip
    since = backlog.since
    return {
        "name": name,
        "waiting": backlog.waiting,
        "oldest_since": _iso(since),
        "oldest_s": None if since is None else max(0.0, round((now - since).total_seconds(), 1)),
        "next_try": _iso(backlog.next_try),
        "why": backlog.why or None,
        "unconfirmed": backlog.unconfirmed,
        "unconfirmed_since": _iso(backlog.unconfirmed_since),
        "held": backlog.held,
        "for_a_person": backlog.for_a_person,
    }


def print_backlogs(names: Iterable[str], backlogs: Mapping[str, Backlog], now: datetime) -> None:
    """Print what waits for each destination that something waits for."""
    there = [backlogs[name] for name in _all(names, backlogs) if name in backlogs]
    rows = [
        (
            one.destination,
            one.waiting,
            None if one.since is None else age_words(now - one.since),
            _next_try(one, now),
            one.unconfirmed,
            one.held,
            one.for_a_person,
            one.why,
        )
        for one in there
    ]
    columns = (
        "destination", "to send", "oldest", "next try", "unconfirmed", "held", "for a person", "last try",
    )  # fmt: skip
    if rows:
        print_table("Objects that wait for a destination", columns, rows)


def _next_try(backlog: Backlog, now: datetime) -> str | None:
    if backlog.next_try is None:
        return None
    return "now" if backlog.next_try <= now else _local(backlog.next_try)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _local(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone().isoformat(timespec="seconds")
