"""How the journal is reached: durable at every commit, one writer at a time, checked on each connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError

from dicomnode.faults import JOURNAL_BROKEN, JOURNAL_FAILED, NodeError

# WAL with FULL loses no commit in a power cut (NORMAL and the rollback journal do). synchronous is not kept
# in the file, so each connection sets it, and reads it back: a database that ignores it is no journal.
_PRAGMAS: Final = (
    ("busy_timeout", "10000", 10000),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("foreign_keys", "ON", 1),
)
# Primary result codes of SQLite that a wrong owner or mode of the file or its folder gives
_NOT_ALLOWED: Final = frozenset({sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
_READ_ONLY: Final = "dicomnode_read_only"


def sqlite_path(url: URL) -> Path | None:
    """File of an SQLite journal; None for another database."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def shown(url: URL) -> str:
    """How a URL is shown to people: without its password."""
    path = sqlite_path(url)
    return str(path) if path is not None else url.render_as_string(hide_password=True)


def not_allowed(error: BaseException | None) -> bool:
    """Tell whether the database or the system refuses for want of a right, not for damage."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_ALLOWED
    return isinstance(error, PermissionError)


def connect(text: str) -> Engine:
    """Make the engine for a URL; nothing is opened yet. Raises NodeError(JOURNAL_BROKEN)."""
    try:
        url = make_url(text)
        if url.get_backend_name() == "sqlite" and sqlite_path(url) is None:
            raise NodeError(JOURNAL_BROKEN, path=text, error="a journal in memory is not durable")
        engine = create_engine(url)
    except (ArgumentError, ImportError) as error:
        raise NodeError(JOURNAL_BROKEN, path=text, error=error) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    del record
    # The driver shall begin nothing by itself: _begin_sqlite does
    connection.isolation_level = None
    try:
        for pragma, value, wanted in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}={value}").close()
            _assert_pragma(pragma, wanted, connection.execute(f"PRAGMA {pragma}").fetchone()[0])
    except (NodeError, sqlite3.Error):
        connection.close()
        raise


def _assert_pragma(pragma: str, wanted: object, found: object) -> None:
    if found != wanted:
        raise NodeError(
            JOURNAL_BROKEN,
            path="of this node",
            error=f"SQLite does not take {pragma} {wanted!r} here, it says {found!r}",
        )


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that read first and writes later would fail with "database is locked" at once, whatever
    # the timeout, when somebody wrote in between: so who may write says so at the beginning
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write: committed at the end, rolled back by any exception."""
    with _database_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view; waits for no writer and holds up none."""
    with _database_errors(), engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


@contextmanager
def _database_errors() -> Iterator[None]:
    """Translate at the door of the room: what the database refuses is a row of the table."""
    try:
        yield
    except DBAPIError as error:
        raise NodeError(JOURNAL_FAILED, error=error.orig) from error
    except StatementError as error:
        # A value that no column takes is a bug of the caller
        if isinstance(error.orig, ValueError):
            raise error.orig from error
        raise
