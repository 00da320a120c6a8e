"""Bringing a journal up to this version: a backup first, then all migrations in one transaction.

Alembic is loaded only when there is something to migrate: opening a journal costs one query.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from dicomnode.faults import JOURNAL_BROKEN, JOURNAL_MISSING, JOURNAL_NOT_ALLOWED, JOURNAL_TOO_NEW, NodeError
from dicomnode.journal.connection import not_allowed, shown, sqlite_path

log = structlog.get_logger("dicomnode.journal")

# In order; each is a file in migrations/versions. A test compares the two, and schema.py with the last.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
_FOLDER: Final = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Bring the journal to the last revision; a journal that is there already costs one query.

    Raises NodeError: JOURNAL_TOO_NEW for a later revision than this version knows, JOURNAL_NOT_ALLOWED when
    this user may not open it, JOURNAL_BROKEN when it is no journal or the file cannot be opened.
    """
    path = sqlite_path(engine.url)
    try:
        # SQLite makes a file and sets its journal mode without waiting for others who do the same
        with _alone(path.parent) if path is not None else nullcontext():
            _upgrade(engine, path)
    except (DBAPIError, OSError, sqlite3.Error) as error:
        cause = getattr(error, "orig", error)
        fault = JOURNAL_NOT_ALLOWED if not_allowed(cause) else JOURNAL_BROKEN
        raise NodeError(fault, path=shown(engine.url), error=cause) from error


def require_file(url: URL) -> None:
    """Raise NodeError unless the file of an SQLite journal is there: JOURNAL_MISSING, JOURNAL_NOT_ALLOWED."""
    path = sqlite_path(url)
    if path is None:
        return
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NodeError(JOURNAL_MISSING, path=path) from error
    except OSError as error:
        raise NodeError(JOURNAL_NOT_ALLOWED, path=path, error=error.strerror) from error
    if stat.S_ISDIR(found.st_mode):
        raise NodeError(JOURNAL_BROKEN, path=path, error="it is a folder")


def _upgrade(engine: Engine, path: Path | None) -> None:
    with engine.connect() as connection:
        found = revision(connection)
    if found == REVISIONS[-1]:
        return
    if found is not None and found not in REVISIONS:
        raise NodeError(JOURNAL_TOO_NEW, path=shown(engine.url), found=found, known=REVISIONS[-1])
    if found is not None and path is not None:
        backup(path, path.with_name(f"{path.name}.before-{REVISIONS[-1]}"))
    with engine.begin() as connection:
        _run(connection)
    if path is not None:
        _flush_folder(path.parent)
    log.info("journal.migrated", path=shown(engine.url), before=found, after=REVISIONS[-1])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time open a journal in this folder; released by the end of the process, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def revision(connection: Connection) -> str | None:
    """The revision of a journal; None for an empty database. Raises NodeError(JOURNAL_BROKEN) for others."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise NodeError(JOURNAL_BROKEN, path=shown(connection.engine.url), error="it is another database")
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def backup(source: Path, target: Path) -> None:
    """Copy an SQLite journal as it stands, while others use it; durable when it returns.

    Raises sqlite3.Error and OSError. An earlier copy of that name is replaced only by a whole one.
    """
    temporary = target.with_name(f"{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as whole, closing(sqlite3.connect(temporary)) as copy:
        whole.backup(copy)
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(target)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  a third of a second, and nearly never needed
    from alembic.config import Config  # noqa: PLC0415  as above

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    # It asks for the revision again, inside the transaction: another process may have been faster
    command.upgrade(config, "head")
