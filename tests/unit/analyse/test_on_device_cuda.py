"""The device path over CUDA, in a process of its own, which finds the test driver and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fixtures.cuda_driver.child import run_pytest


@pytest.mark.long
def test_the_walk_from_volume_to_findings_holds_over_cuda():
    done = run_pytest(Path(__file__).with_name("on_cuda.py"))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 35
