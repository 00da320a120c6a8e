"""What open associations bring: seen while they are open, and never longer than their process lives."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.store import Arriving, arriving_studies
from dicomnode.store import arriving as room

LONGEST = "1." + "2" * 62


def left(root: Path) -> list[Path]:
    return list((root / "arriving").iterdir())


def test_an_association_brings_the_study_of_its_last_instance_until_it_ends(tmp_path: Path) -> None:
    one = Arriving(tmp_path)
    assert arriving_studies(tmp_path) == frozenset()
    for study in (LONGEST, "1.2.3", "1.2.3", LONGEST):
        one.say(study)
        assert arriving_studies(tmp_path) == {study}
    one.end()
    one.end()
    assert arriving_studies(tmp_path) == frozenset()
    assert left(tmp_path) == []


def test_a_study_arrives_as_long_as_one_of_several_associations_brings_it(tmp_path: Path) -> None:
    one, two, three = (Arriving(tmp_path) for _ in range(3))
    one.say("1.2.3")
    two.say("1.2.3")
    three.say("1.2.4")
    one.end()
    assert arriving_studies(tmp_path) == {"1.2.3", "1.2.4"}
    two.say("1.2.5")
    assert arriving_studies(tmp_path) == {"1.2.5", "1.2.4"}
    two.end()
    three.end()
    assert arriving_studies(tmp_path) == frozenset()


def test_an_association_that_brings_nothing_leaves_no_file(tmp_path: Path) -> None:
    Arriving(tmp_path).end()
    assert list(tmp_path.iterdir()) == []


def test_only_another_study_costs_a_call_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    pwrite = os.pwrite
    monkeypatch.setattr(
        room.os, "pwrite", lambda fd, data, at: (written.append(data), pwrite(fd, data, at))[1]
    )
    one = Arriving(tmp_path)
    for _ in range(500):
        one.say("1.2.3")
    one.say("1.2.4")
    assert len(written) == 2
    one.end()


BRINGS = """
import sys
from pathlib import Path
from dicomnode.store import Arriving
one, two = Arriving(Path(sys.argv[1])), Arriving(Path(sys.argv[1]))
one.say("1.2.3")
two.say("1.2.4")
print("said", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_receiver_brought_arrives_no_more(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BRINGS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "said\n"
        assert arriving_studies(tmp_path) == {"1.2.3", "1.2.4"}
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(left(tmp_path)) == 2
    assert arriving_studies(tmp_path) == frozenset()
    assert left(tmp_path) == [], "nothing of them is left to be looked at again"


def test_who_is_taken_for_dead_before_it_has_its_lock_makes_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, looked = fcntl.flock, []

    def late(fd: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not looked:
            looked.append(arriving_studies(tmp_path))  # the scheduler looks just now
        flock(fd, how)

    monkeypatch.setattr(room.fcntl, "flock", late)
    one = Arriving(tmp_path)
    one.say("1.2.3")
    assert looked == [frozenset()]
    assert arriving_studies(tmp_path) == {"1.2.3"}
    one.end()


def test_what_cannot_be_noted_is_told_and_costs_no_instance(tmp_path: Path) -> None:
    (tmp_path / "arriving").write_text("no folder")
    one = Arriving(tmp_path)
    with capture_logs() as logged:
        one.say("1.2.3")
        one.end()
    assert [(line["event"], line["log_level"]) for line in logged] == [("association.not_noted", "warning")]
    with pytest.raises(NodeError) as caught:
        arriving_studies(tmp_path)
    assert caught.value.fault is STORE_WRITE_FAILED
