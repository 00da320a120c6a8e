"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give the path of a folder or file of the real studies; the test is skipped where they are absent.

    They lie where DICOMNODE_TEST_DATA says, else in ../shared/data beside the repository.
    """
    root = Path(os.environ.get("DICOMNODE_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"no real data: {path} is not there (set DICOMNODE_TEST_DATA)")
        return path

    return find
