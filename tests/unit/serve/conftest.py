"""A real store and a real journal for the tests of the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from dicomnode.journal import Journal
from dicomnode.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


@pytest.fixture
def journal(tmp_path: Path, store: Store) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{store.root}/journal.sqlite") as journal:
        yield journal


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines
