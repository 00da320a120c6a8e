"""The engine by the classical route that ships: small, with its gate, its rows and its figures."""

from __future__ import annotations

import tomllib

import pytest

from dicomnode.analyse.algorithms import LESION_ALGORITHMS, ROW_ALGORITHMS
from dicomnode.analyse.checks import check_package
from dicomnode.engine import EnginePackage, check_engine, find_engine


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return find_engine("lung-ct-forest")


def test_it_passes_its_gate_and_the_node_can_run_all_its_steps(package: EnginePackage) -> None:
    check_package(package)
    assert check_engine(package).passed


def test_it_is_small(package: EnginePackage) -> None:
    (network,) = package.manifest.networks
    assert len(package.network_bytes(network)) < 4_000_000


def test_its_trees_take_as_many_numbers_as_the_node_measures_of_each_candidate(
    package: EnginePackage,
) -> None:
    steps = {step.name: step for step in package.manifest.step}
    profile = ROW_ALGORITHMS[steps["rows"].algorithm or ""]
    gate = tomllib.loads((package.folder / "engine.toml").read_text(encoding="utf-8"))["step"][-1]["gate"]
    assert gate["shape"] == [1, len(profile.names)]
    assert steps["rows"].each == steps["forest"].each == "candidates"
    assert steps["candidates"].algorithm in LESION_ALGORITHMS


def test_its_card_says_what_it_was_made_with_and_at_which_threshold_its_figures_are(
    package: EnginePackage,
) -> None:
    card = (package.folder / "card.md").read_text(encoding="utf-8")
    nodule = next(one for one in package.manifest.output if one.score is not None)
    assert f"at the threshold of {nodule.score.threshold:g}" in card
    for algorithm in (LESION_ALGORITHMS["blobs"], ROW_ALGORITHMS["blob_profile"]):
        assert f"`{algorithm.label}`" in card
    assert "dicomnode train lung-forest" in card
    assert "Not for clinical use" in card
    assert "## Limits" in card
