"""Figures of a matrix need no extra: scikit-learn is loaded by what needs it, when it needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dicomnode.evaluate

_MODULES = sorted(path.stem for path in Path(dicomnode.evaluate.__file__).parent.glob("[a-z]*.py"))


def _runs(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


def test_no_module_loads_scikit_learn_by_being_imported() -> None:
    imports = "\n".join(f"import dicomnode.evaluate.{name}" for name in _MODULES)
    assert _runs(f"{imports}\nimport sys\nprint('sklearn' in sys.modules)") == "False"


@pytest.mark.parametrize(
    "call",
    [
        "headline(classification_report(matrix_of_labels(['a', 'b'], ['a', 'b'], ['a', 'b']))).lead.value",
        "froc([StudyOutcome(lesions=(KnownLesion(diameter_mm=5, score=0.5),), false_alarms=())]).cpm.value",
        "fleiss_kappa([['a', 'a'], ['b', 'b']], ['a', 'b']).value",
    ],
    ids=["classification", "detection", "agreement of many"],
)
def test_without_scikit_learn_there_are_figures_all_the_same(call: str) -> None:
    without = "import sys\nsys.modules['sklearn'] = None\nfrom dicomnode.evaluate import *"
    assert _runs(f"{without}\nprint({call})") == "1.0"
