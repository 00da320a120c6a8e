"""What the tests of planted nodules share: one thread, so that weights repeat to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.frameworks import needed

from .small_worlds import small_world

needed("torch")
needed("monai")

from tests.unit.learn.drawn.trainings import one_thread  # noqa: E402

__all__ = ["kept", "one_thread"]


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, ...]:
    """Two small worlds on disk."""
    from dicomnode.learn.planted.world import write_world

    folders = tuple(tmp_path / "worlds" / str(seed) for seed in (1, 2))
    for seed, folder in zip((1, 2), folders, strict=True):
        write_world(small_world(seed), folder)
    return folders
