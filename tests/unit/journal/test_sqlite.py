"""The contract on SQLite, and what is special to it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from dicomnode.faults import (
    JOURNAL_BROKEN,
    JOURNAL_FAILED,
    JOURNAL_MISSING,
    JOURNAL_NOT_ALLOWED,
    LEASE_LOST,
    NodeError,
)
from dicomnode.journal import Event, Journal, TaskState, connection, schema, tasks
from dicomnode.journal.connection import connect, reading, shown, writing
from tests.unit.journal.journal_contract import JournalContract
from tests.unit.journal.world import NOON, STUDY, complete, receive


class TestSqlite(JournalContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'journal.sqlite'}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.sqlite'}"


def pragma(held, name: str) -> object:
    return held.execute(text(f"PRAGMA {name}")).scalar()


def test_every_connection_is_durable_and_checks_references(url: str) -> None:
    with Journal.open(url) as journal, reading(journal._engine) as one, writing(journal._engine) as two:
        for held in (one, two):
            assert pragma(held, "journal_mode") == "wal"
            assert pragma(held, "synchronous") == 2
            assert pragma(held, "foreign_keys") == 1
            assert pragma(held, "busy_timeout") == 10000


def test_a_database_that_does_not_take_a_pragma_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PRAGMAS", (("synchronous", "FULL", 3),))
    with pytest.raises(NodeError, match="does not take synchronous 3 here, it says 2") as caught:
        Journal.open(url)
    assert caught.value.fault is JOURNAL_BROKEN


def test_who_may_write_has_the_lock_from_the_beginning(url: str) -> None:
    """Else one that read first and writes later fails at once, whatever the timeout."""
    with Journal.open(url) as journal:
        receive(journal)
        order: list[str] = []

        def second() -> None:
            with writing(journal._engine):
                order.append("second")

        with writing(journal._engine) as held:
            held.execute(text("SELECT * FROM study"))
            thread = threading.Thread(target=second)
            thread.start()
            thread.join(0.2)
            held.execute(text("UPDATE study SET reason = 'x'"))
            order.append("first")
        thread.join()
        assert order == ["first", "second"]


def test_a_reader_waits_for_no_writer(url: str) -> None:
    with Journal.open(url) as journal:
        receive(journal)
        with writing(journal._engine) as held:
            held.execute(text("UPDATE study SET accession_number = 'other'"))
            assert journal.study(STUDY).accession_number == "A17"


def test_a_journal_that_another_program_holds_is_a_fault_and_not_a_crash(
    url: str, monkeypatch, tmp_path
) -> None:
    pragmas = [p if p[0] != "busy_timeout" else ("busy_timeout", "1", 1) for p in connection._PRAGMAS]
    monkeypatch.setattr(connection, "_PRAGMAS", pragmas)
    with Journal.open(url) as journal, closing(sqlite3.connect(tmp_path / "journal.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NodeError, match="locked") as caught:
            receive(journal)
        assert caught.value.fault is JOURNAL_FAILED
        other.rollback()
        receive(journal)


def test_times_without_a_zone_are_a_bug_of_the_caller(url: str) -> None:
    with Journal.open(url) as journal, pytest.raises(ValueError, match="time zone"):
        journal.open_studies(NOON.replace(tzinfo=None))


def test_a_row_that_has_changed_since_it_was_read_is_not_moved(url: str) -> None:
    with Journal.open(url) as journal:
        receive(journal)
        complete(journal)
        with writing(journal._engine) as held:
            row = held.execute(select(schema.task)).one()
            held.execute(update(schema.task).values(fence=row.fence + 1))
            with pytest.raises(NodeError) as caught:
                tasks.move(held, row, Event.CLAIMED, NOON)
        assert caught.value.fault is LEASE_LOST
        assert journal.tasks()[0].state is TaskState.READY


@pytest.mark.parametrize("wrong", ["sqlite://", "sqlite:///:memory:", "nonsense", "unknown://x/y"])
def test_a_url_that_is_no_durable_database_is_refused(wrong: str) -> None:
    with pytest.raises(NodeError) as caught:
        Journal.open(wrong)
    assert caught.value.fault is JOURNAL_BROKEN


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="No such file") as caught:
        Journal.open(f"sqlite:///{tmp_path / 'none' / 'journal.sqlite'}")
    assert caught.value.fault is JOURNAL_BROKEN


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(NodeError) as caught:
        Journal.open(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    assert caught.value.fault is JOURNAL_BROKEN


def test_no_password_is_shown() -> None:
    from sqlalchemy import make_url

    assert shown(make_url("postgresql://me:secret@db/journal")) == "postgresql://me:***@db/journal"


def test_an_engine_without_its_driver_is_refused_and_names_it() -> None:
    with pytest.raises(NodeError) as caught:
        connect("postgresql+nodriver://db/journal")
    assert caught.value.fault is JOURNAL_BROKEN


def test_a_journal_that_this_user_may_not_write_is_told_from_a_damaged_one() -> None:
    # Not in tmp_path, whose parents are closed to everybody else
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/journal.sqlite"
        Journal.open(url).close()
        (folder / "journal.sqlite").chmod(0o444)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        try:
            if root:  # who may do everything
                os.seteuid(65534)
            with pytest.raises(NodeError) as caught:
                Journal.open(url, existing=True)
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
    assert caught.value.fault is JOURNAL_NOT_ALLOWED
    assert "sudo -u dicomnode" in caught.value.remedy


def test_who_only_looks_makes_no_journal(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/journal.sqlite", f"sqlite:///{tmp_path}/none/journal.sqlite"):
        with pytest.raises(NodeError) as caught:
            Journal.open(url, existing=True)
        assert caught.value.fault is JOURNAL_MISSING
    assert list(tmp_path.iterdir()) == []
