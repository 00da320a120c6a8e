"""The demonstration that ships: small, with its gate, and marked wherever it appears."""

from __future__ import annotations

import pytest

from dicomnode.analyse.checks import check_package
from dicomnode.engine import EnginePackage, check_engine, find_engine


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return find_engine("anomaly-lung")


def test_it_passes_its_gate_and_the_node_can_run_all_its_steps(package: EnginePackage) -> None:
    check_package(package)
    assert check_engine(package).passed


def test_it_is_small(package: EnginePackage) -> None:
    (network,) = package.manifest.networks
    assert len(package.network_bytes(network)) < 4_000_000


def test_all_that_it_gives_is_called_a_demonstration(package: EnginePackage) -> None:
    manifest = package.manifest
    assert manifest.title.startswith("Demonstration: ")
    assert manifest.use.startswith("Demonstration only.")
    assert manifest.demonstration is not None
    assert all(one.concept.meaning.startswith("Demonstration: ") for one in manifest.output)


def test_its_card_says_what_it_says_of_real_scans_and_how_to_make_it_again(package: EnginePackage) -> None:
    card = (package.folder / "card.md").read_text(encoding="utf-8")
    for words in ("**A demonstration.**", "## On the real scans at hand", "## Limits", "lung-anomaly --out"):
        assert words in card
    assert "python -m tests.bench.anomaly_lung" in card
