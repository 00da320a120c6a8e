"""Labelled studies of nobody: small volumes with segmentations, reports and a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.learn.generate import SynthPlan, SynthSet, synth_cases


@pytest.fixture(scope="session")
def volumes(tmp_path_factory) -> tuple[Path, SynthSet]:
    """Eight studies of a few patients, half of them with lesions in the liver; labels.csv beside them."""
    folder = tmp_path_factory.mktemp("volumes") / "data"
    return folder, synth_cases(SynthPlan(kind="volumes", cases=8, seed=3), folder)
