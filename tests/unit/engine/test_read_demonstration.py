"""An engine that only demonstrates says so in its title, too: lists show nothing else."""

from __future__ import annotations

from pathlib import Path

from dicomnode.engine import read_manifest
from tests.unit.engine.small_engine import MANIFEST

GOOD = MANIFEST.replace("SHA256", "0" * 64)
WHY = 'use = "Tests."\ndemonstration = "It knows drawn lungs alone."'


def read(text: str):
    return read_manifest(Path("engine.toml"), text.encode())


def test_an_engine_is_meant_unless_it_says_that_it_demonstrates() -> None:
    manifest, _ = read(GOOD)
    assert manifest.demonstration is None
    shown = GOOD.replace('use = "Tests."', WHY).replace("A small engine", "Demonstration: a small engine")
    manifest, problems = read(shown)
    assert problems == []
    assert manifest.demonstration == "It knows drawn lungs alone."


def test_a_demonstration_under_another_title_is_refused() -> None:
    manifest, problems = read(GOOD.replace('use = "Tests."', WHY))
    assert manifest is None
    (problem,) = problems
    assert problem.key == "title"
    assert 'begins with "Demonstration"' in str(problem)


def test_a_demonstration_without_a_reason_is_refused() -> None:
    _, problems = read(GOOD.replace('use = "Tests."', 'use = "Tests."\ndemonstration = ""'))
    assert "demonstration" in [one.key for one in problems]
