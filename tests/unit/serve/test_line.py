"""The line between the supervisor and a child."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dicomnode.serve.process.line import Beat, ChildLine, ParentLine, line_pair, wait_readable


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


def test_the_kernel_kills_a_child_whose_parent_was_killed(tmp_path):
    mark = tmp_path / "grandchild"
    parent = textwrap.dedent(f"""
        import os, subprocess, sys
        code = '''
        import os, sys, time
        from pathlib import Path
        from dicomnode.serve.process.line import die_with_parent
        die_with_parent(int(sys.argv[1]))
        Path({str(mark)!r}).write_text(str(os.getpid()))
        time.sleep(60)
        '''
        import textwrap
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(os.getpid())])
        while not os.path.exists({str(mark)!r}): pass
        os.kill(os.getpid(), 9)
    """)
    subprocess.run([sys.executable, "-c", parent], check=False, timeout=60)
    pid = int(mark.read_text())
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state in "ZX":
            return
        subprocess.run(["sleep", "0.01"], check=True)
    raise AssertionError("the child lives on without its parent")
