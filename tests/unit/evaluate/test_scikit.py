"""Without scikit-learn everything that needs it says so, in the same words and with the line that helps."""

from __future__ import annotations

import subprocess
import sys

from dicomnode.faults import EVALUATE_MISSING

_CALLS = (
    "average_precision(cases)",
    "roc_curve(cases)",
    "precision_recall_curve(cases)",
    "brier(cases)",
    "calibration_of(cases)",
    "look_at(table)",
    "feature_suspects(table, ['a', 'b'] * 6)",
)


def test_page_and_data_set_load_it_only_when_they_need_it() -> None:
    code = (
        "import sys\n"
        "import dicomnode.evaluate.page, dicomnode.evaluate.pictures, dicomnode.evaluate.dataset.studies\n"
        "import dicomnode.evaluate.dataset.look, dicomnode.evaluate.dataset.suspects\n"
        "print({'sklearn', 'torch', 'highdicom', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"


def test_every_call_that_needs_it_ends_in_the_same_fault() -> None:
    code = f"""
import sys
sys.modules['sklearn'] = None
import numpy as np
from dicomnode.evaluate import *
from dicomnode.evaluate.dataset import *
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.faults import NodeError
cases = ScoredCases(truth=np.array([0, 1, 0, 1], bool), scores=np.array([0.1, 0.3, 0.5, 0.9]))
names = tuple(CaseName(patient=str(n), study_instance_uid=str(n)) for n in range(12))
table = FeatureTable(cases=names, names=('x', 'y'), values=np.arange(24.0).reshape(12, 2) ** 2)
for call in {_CALLS!r}:
    try:
        eval(call)
    except NodeError as error:
        print(error.fault.code, error.remedy, str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    told = done.stdout.splitlines()
    assert len(told) == len(_CALLS)
    for line in told:
        assert line.startswith(EVALUATE_MISSING.code)
        assert "pip install 'dicomnode[evaluate]'" in line
        assert "scikit-learn" in line
