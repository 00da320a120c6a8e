"""A few generated studies with outlined lesions, for the tests of tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomnode.learn.generate import SynthPlan, synth_cases


@pytest.fixture(scope="package")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies: CT of ellipsoids, with SEG truth and labels.csv; the second has lesions."""
    folder = tmp_path_factory.mktemp("synth") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=3, seed=1), folder)
    return folder
