"""The engine of patterns by the classical route that ships: small, with its gate, its row and its figures."""

from __future__ import annotations

import tomllib

import pytest

from dicomnode.analyse.algorithms import ROW_ALGORITHMS
from dicomnode.analyse.checks import check_package
from dicomnode.engine import EnginePackage, check_engine, find_engine

PATTERNS = ("emphysema", "consolidation", "effusion", "collapse")


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return find_engine("lung-ct-patterns")


def test_it_passes_its_gate_and_the_node_can_run_all_its_steps(package: EnginePackage) -> None:
    check_package(package)
    assert check_engine(package).passed


def test_it_says_in_each_result_that_it_demonstrates(package: EnginePackage) -> None:
    assert package.manifest.demonstration is not None
    assert "no finding" in package.manifest.demonstration


def test_all_its_forests_together_are_small(package: EnginePackage) -> None:
    sizes = [len(package.network_bytes(network)) for network in package.manifest.networks]
    assert len(sizes) == len(PATTERNS)
    assert sum(sizes) < 2_000_000


def test_its_trees_take_as_many_numbers_as_the_node_measures_of_the_lungs(package: EnginePackage) -> None:
    steps = {step.name: step for step in package.manifest.step}
    profile = ROW_ALGORITHMS[steps["numbers"].algorithm or ""]
    table = tomllib.loads((package.folder / "engine.toml").read_text(encoding="utf-8"))
    gates = [step["gate"]["shape"] for step in table["step"] if "network" in step]
    assert gates == [[1, len(profile.names)]] * len(PATTERNS)


def test_each_pattern_is_a_probability_with_a_threshold_and_a_code_of_snomed(
    package: EnginePackage,
) -> None:
    told = {one.label: one for one in package.manifest.output if one.what == "classification"}
    assert tuple(told) == PATTERNS
    for one in told.values():
        assert one.calibrated
        assert 0.0 < one.threshold < 1.0
        assert one.concept.scheme == "SCT"


def test_its_card_says_what_it_was_made_with_and_at_which_thresholds_its_figures_are(
    package: EnginePackage,
) -> None:
    card = (package.folder / "card.md").read_text(encoding="utf-8")
    for one in package.manifest.output:
        if one.what == "classification":
            assert f"| {one.threshold:.3g} |" in card
            assert f"| {one.label} | forest |" in card
    assert f"`{ROW_ALGORITHMS['lung_profile'].label}`" in card
    assert "dicomnode train lung-patterns" in card
    assert "Not for clinical use" in card
    assert "## Limits" in card
