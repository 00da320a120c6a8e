"""The session of TensorRT on the test driver: a process of its own, which finds that driver and no other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.cuda_driver.build import environment
from tests.fixtures.tensorrt.fetched import need_pycuda

TESTS = Path(__file__).with_name("tensorrt_session.py")


@pytest.mark.long
def test_the_session_keeps_the_contract_and_uses_tensorrt_as_it_wants_to_be_used():
    need_pycuda()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(TESTS)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parents[3],
        env=environment(),
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 40
