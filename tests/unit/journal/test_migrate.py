"""Journals of other versions: made, brought up to this one after a backup, or refused."""

from __future__ import annotations

import fcntl
import inspect
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from dicomnode.faults import JOURNAL_BROKEN, JOURNAL_TOO_NEW, NodeError
from dicomnode.journal import Journal, migrate, schema
from dicomnode.journal.connection import connect, reading
from tests.fixtures import journals
from tests.unit.journal.world import NOON, STUDY, receive

NOW = migrate.REVISIONS
SECOND = '''
"""One more table."""
import sqlalchemy as sa
from alembic import op
revision = "0099"
down_revision = "LATEST"

def upgrade():
    op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("study", sa.Column("colour", sa.Text))
'''.replace("LATEST", NOW[-1])
AT = "2026-03-01T12:00:00.000000Z"


@pytest.fixture(autouse=True)
def every_migration_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, and not as in other tests: see tests/fixtures/journals.py."""
    monkeypatch.setattr(migrate, "_run", inspect.unwrap(migrate._run))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives what makes this program one migration later: that one."""

    def to(migration: str) -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrate._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "v0099_more.py").write_text(migration)
        monkeypatch.setattr(migrate, "_FOLDER", folder)
        monkeypatch.setattr(migrate, "REVISIONS", (*NOW, "0099"))

    return to


def open_at(path: Path) -> Journal:
    return Journal.open(f"sqlite:///{path}")


@contextmanager
def old_journal(path: Path, revision: str) -> Iterator[Callable[[str], object]]:
    """Make a journal as an earlier version did; gives what writes into it, before it is closed."""
    engine = connect(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrate._FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection.exec_driver_sql
    engine.dispose()


def a_study(uid: str, version: int) -> str:
    """The statement that enters a study, of any revision."""
    return (
        "INSERT INTO study (study_instance_uid, accession_number, version, state, calling_ae, "
        "first_received_at, last_received_at, last_added_at) "
        f"VALUES ('{uid}', 'A17', {version}, 'done', 'CT1', '{AT}', '{AT}', '{AT}')"
    )


def ask(path: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(question).fetchall()


def test_the_migrations_make_what_the_schema_says(path: Path) -> None:
    with open_at(path) as journal, reading(journal._engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    made = dict(ask(path, "SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    for table in schema.metadata.tables.values():
        for check in table.constraints:
            if hasattr(check, "sqltext"):  # what autogenerate does not compare
                assert f"CONSTRAINT {check.name} CHECK ({check.sqltext})" in " ".join(
                    str(made[table.name]).split()
                )


def test_the_journals_of_other_tests_are_those_that_the_migrations_make(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_run", journals.once(migrate._run))
    open_at(path).close()
    monkeypatch.setattr(command, "upgrade", lambda *_: pytest.fail("the migrations ran again"))
    open_at(path.with_name("second.sqlite")).close()
    for question in (
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name",
        "SELECT version_num FROM alembic_version",
    ):
        made = ask(path, question)
        assert len(made) > 0
        assert ask(path.with_name("second.sqlite"), question) == made


def test_the_list_of_revisions_is_that_of_the_files() -> None:
    found = ScriptDirectory(str(migrate._FOLDER)).walk_revisions()
    assert tuple(revision.revision for revision in found)[::-1] == migrate.REVISIONS


def test_a_journal_is_made_without_a_backup_and_opened_again_without_a_word(path: Path) -> None:
    open_at(path).close()
    open_at(path).close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["journal.sqlite"]


def test_opening_a_journal_loads_no_migration_tool(path: Path) -> None:
    open_at(path).close()
    code = (
        "import sys; from dicomnode.journal import Journal; Journal.open(sys.argv[1]).close();"
        "print([name for name in ('alembic', 'numpy', 'pydicom') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{path}"], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_an_older_journal_is_brought_up_and_keeps_what_it_knows(
    path: Path, update: Callable[[str], None]
) -> None:
    with open_at(path) as journal:
        receive(journal)
    update(SECOND)
    with open_at(path) as journal:
        assert journal.study(STUDY).instances == 3
    assert ask(path, "SELECT * FROM more") == []
    backup = path.with_name("journal.sqlite.before-0099")
    assert ask(backup, "SELECT version_num FROM alembic_version") == [(NOW[-1],)]
    assert ask(backup, "SELECT count(*) FROM instance") == [(3,)]


def test_a_migration_that_fails_leaves_the_journal_as_it_was(
    path: Path, update: Callable[[str], None]
) -> None:
    with open_at(path) as journal:
        receive(journal)
    update(SECOND + '    op.execute("INSERT INTO nowhere VALUES (1)")\n')
    with pytest.raises(NodeError, match="nowhere") as caught:
        open_at(path)
    assert caught.value.fault is JOURNAL_BROKEN
    assert ask(path, "SELECT version_num FROM alembic_version") == [(NOW[-1],)]
    assert ask(path, "SELECT count(*) FROM sqlite_master WHERE name = 'more'") == [(0,)]
    assert ask(path, "SELECT count(*) FROM instance") == [(3,)]


def test_a_journal_of_a_later_version_is_refused_and_untouched(path: Path) -> None:
    open_at(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '0042'")
        database.commit()
    before = path.read_bytes()
    with pytest.raises(NodeError, match=f"schema 0042, this version knows up to {NOW[-1]}") as caught:
        open_at(path)
    assert caught.value.fault is JOURNAL_TOO_NEW
    assert path.read_bytes() == before


def test_another_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recipes (id INTEGER)")
        database.commit()
    with pytest.raises(NodeError, match="another database") as caught:
        open_at(path)
    assert caught.value.fault is JOURNAL_BROKEN


def test_all_who_open_a_new_journal_at_once_get_the_same(path: Path) -> None:
    gate, failed = threading.Barrier(6), []

    def work(number: int) -> None:
        gate.wait(10)
        try:
            with open_at(path) as journal:
                receive(journal, 1, study=f"1.{number}")
        except Exception as error:  # noqa: BLE001  a thread's error must fail the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with open_at(path) as journal:
        assert len(journal.studies()) == 6


def test_a_journal_of_before_there_was_evidence_keeps_its_studies(path: Path) -> None:
    with old_journal(path, "0001") as write:
        write(a_study("1.2.3", 2))
        write(f"UPDATE study SET complete_at = '{AT}', complete_evidence = 'nothing new came for 60 s'")
    with open_at(path) as journal:
        study = journal.study(STUDY)
        assert (study.complete_evidence, study.shortfall) == ("nothing new came for 60 s", None)
        assert study.predecessor == 1
        assert journal.evidence(STUDY) == {}
    assert path.with_name(f"journal.sqlite.before-{NOW[-1]}").exists()


def test_a_journal_of_before_keeps_which_priors_its_analyses_were_given(path: Path) -> None:
    with old_journal(path, "0004") as write:
        write(a_study("1.2.3", 1))
        for kind in ("fetch", "analyse"):
            write(
                "INSERT INTO task (kind, study_instance_uid, study_version, engine, destination, payload, "
                "state, priority, not_before, attempt, lost, fence, created_at, changed_at) VALUES "
                f"('{kind}', '1.2.3', 1, 'growth', '', "
                '\'{"series": "1.2.3.1", "prior.before.study": "1.2.4", "prior.before.series": "1.2.4.1"}\', '
                f"'done', 0, '{AT}', 1, 0, 1, '{AT}', '{AT}')"
            )
    open_at(path).close()
    assert ask(path, "SELECT * FROM given_prior") == [("1.2.3", 1, "growth", "1.2.4", "1.2.4.1")]


def test_what_an_archive_had_sent_back_is_no_image_of_its_study_any_more(path: Path) -> None:
    with old_journal(path, "0006") as write:
        for study in ("1.2.3", "1.2.4"):
            write(a_study(study, 1))
            for series in (f"{study}.1", f"{study}.9"):
                write(f"INSERT INTO series VALUES ('{study}', '{series}', 'SR')")
        write(f"INSERT INTO object VALUES ('5', '6', '1.2.3.9', 'SR', '1.2.3', 1, 'e', '/o', 'd', '{AT}')")
        for study, series, uid in (
            ("1.2.3", "1.2.3.1", "4"),
            ("1.2.3", "1.2.3.9", "5"),
            ("1.2.4", "1.2.4.1", "4"),
            ("1.2.4", "1.2.4.9", "5"),  # another study's, under the same UID
        ):
            write(
                "INSERT INTO instance VALUES "
                f"('{study}', '{uid}', '{series}', '6', '1', '/i', 1, 'd', '{AT}', 'CT1', 'N', 'a', 1)"
            )
    with open_at(path) as journal:
        assert (journal.study("1.2.3").instances, journal.study("1.2.4").instances) == (1, 2)
    left = ask(path, "SELECT series_instance_uid FROM series ORDER BY 1")
    assert left == [("1.2.3.1",), ("1.2.4.1",), ("1.2.4.9",)]


def test_a_journal_of_before_says_when_an_engine_found_what_a_later_version_took_over(path: Path) -> None:
    days = {version: f"2026-03-0{version}T12:00:00.000000Z" for version in (1, 2, 3)}
    with old_journal(path, "0007") as write:
        write(a_study("1.2.3", 3))
        for version, day in days.items():
            for name in ("ct", "mr"):
                over = {"ct": {2: 1, 3: 2}}.get(name, {}).get(version)
                payload = f'{{"stack": 0, "findings_of": {over}}}' if over else "{}"
                write(f"INSERT INTO finding VALUES ('1.2.3', {version}, '{name}', '/f', '{day}')")
                write(
                    "INSERT INTO task (kind, study_instance_uid, study_version, engine, destination, "
                    "payload, state, priority, not_before, attempt, lost, fence, created_at, changed_at) "
                    f"VALUES ('analyse', '1.2.3', {version}, '{name}', '', '{payload}', 'done', 0, "
                    f"'{AT}', 1, 0, 1, '{AT}', '{AT}')"
                )
    open_at(path).close()
    found = ask(path, "SELECT engine, found_at FROM finding ORDER BY engine, study_version")
    assert found == [("ct", days[1])] * 3 + [("mr", days[version]) for version in (1, 2, 3)]
    assert ask(path, "SELECT DISTINCT engine_version, engine_digest, taken_back FROM finding") == [
        (None, None, None)
    ]


def test_a_journal_of_before_keeps_what_was_put_right_and_asks_again_whose_studies_are(path: Path) -> None:
    with old_journal(path, "0008") as write:
        for uid in ("1.2.3", "1.2.4"):
            write(a_study(uid, 3))
        write("UPDATE study SET patient_key = 'key'")
        write("INSERT INTO series VALUES ('1.2.3', '1.2.3.1', 'CT')")
        write(
            "INSERT INTO instance VALUES ('1.2.3', '1.2.3.1.1', '1.2.3.1', '1.2', '1.2', '/1', 1, 'd', "
            f"'{AT}', 'CT1', 'NODE', '10.0.0.7', 1)"
        )
        for version, kind, code, keywords in (
            (2, "header", "113038", '["PatientID"]'),
            (3, "header", "", '["PatientWeight"]'),
            (3, "identity", "", '["PatientName"]'),
        ):
            write(
                "INSERT INTO correction (study_instance_uid, study_version, at, kind, keywords, is_renaming, "
                f"code, path) VALUES ('1.2.3', {version}, '{AT}', '{kind}', '{keywords}', 0, '{code}', '')"
            )
        write(
            "INSERT INTO event (at, study_instance_uid, what, text, facts) "
            f"VALUES ('{AT}', '1.2.4', 'study.reanalysed', 'x', '{{\"version\": 3}}')"
        )
    open_at(path).close()
    assert ask(path, "SELECT first_received_at, another_in FROM instance") == [(AT, None)]
    found = ask(path, "SELECT study_instance_uid, kind, anew, cures_below FROM correction ORDER BY id")
    assert found == [
        ("1.2.3", "header", '["PatientID"]', 2),
        ("1.2.3", "header", '["PatientWeight"]', 0),
        ("1.2.3", "identity", '["PatientName"]', 0),
        ("1.2.4", "again", "[]", 3),
    ]
    keys = ask(path, "SELECT study_instance_uid, patient_key FROM study ORDER BY 1")
    assert keys == [("1.2.3", None), ("1.2.4", "key")]


def test_who_opens_a_journal_waits_for_who_is_making_it(path: Path) -> None:
    done = threading.Event()

    def work() -> None:
        open_at(path).close()
        done.set()

    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    thread = threading.Thread(target=work)
    thread.start()
    assert not done.wait(0.3)
    os.close(folder)
    assert done.wait(10)
    thread.join()


def test_a_backup_is_whole_while_others_write(path: Path, tmp_path: Path) -> None:
    with open_at(path) as journal:
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                receive(journal, 5, first=number, at=NOON)
                number += 5

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for turn in range(5):
                target = tmp_path / f"backup-{turn}"
                migrate.backup(path, target)
                assert ask(target, "PRAGMA integrity_check") == [("ok",)]
                assert ask(target, "SELECT count(*) % 5 FROM instance") == [(0,)]
        finally:
            stop.set()
            thread.join()
