"""The line between the supervisor and a child."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from dicomnode.serve.process.line import Beat, ChildLine, ParentLine, line_pair, wait_readable
from tests.fixtures.processes import state_of
from tests.wire.receive_peer import wait_until

_CHILD = """
import sys, time
from dicomnode.serve.process.line import die_with_parent
die_with_parent(int(sys.argv[1]))
print("bound to its parent", flush=True)
time.sleep(60)
"""
_PARENT = f"""
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {_CHILD!r}, str(os.getpid())], stdout=subprocess.PIPE)
assert child.stdout.readline()
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def line():
    ours, theirs = line_pair()
    with ours, theirs:
        child = ChildLine(theirs)
        yield ParentLine(ours), child
        ours.close()
        assert child.stopping.wait(5.0)


def test_beats_arrive_whole_and_in_order(line):
    parent, child = line
    child.beat(Beat(state="loading"))
    child.beat(Beat(state="ready", busy_s=1.5, port=11112))
    wait_readable([parent], 5.0)
    assert parent.beats() == [Beat(state="loading"), Beat(state="ready", busy_s=1.5, port=11112)]
    assert parent.beats() == []


def test_stop_reaches_the_child(line):
    parent, child = line
    parent.stop()
    assert child.stopping.wait(5.0)


def test_a_child_stops_when_the_supervisor_is_gone(line):
    parent, child = line
    parent.close()
    assert child.stopping.wait(5.0)


def test_a_full_line_never_blocks_the_child(line):
    _, child = line
    for _ in range(10_000):
        child.beat(Beat(state="x" * 500))
    assert not child.stopping.is_set()


def test_the_kernel_kills_a_child_whose_parent_was_killed():
    parent = subprocess.run([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, check=False, timeout=60)
    assert parent.returncode == -signal.SIGKILL
    pid = int(parent.stdout)
    wait_until(lambda: not state_of(pid), "the child ends with its parent")
