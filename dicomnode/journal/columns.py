"""Kinds of columns: times in UTC, words of an enumeration."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC as text of one length, so that its order is that of time, and it comes back exactly."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """2026-01-31T12:00:00.000000Z; ValueError for a time without a time zone."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the journal takes times with a time zone only")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """A time-zone aware datetime in UTC."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


def one_of(column: str, words: type[StrEnum]) -> str:
    """SQL condition that a column holds one of the words of an enumeration."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"
