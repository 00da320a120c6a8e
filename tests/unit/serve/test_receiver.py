"""The receiver process ends itself when it is of no use any more, and the door of every child holds."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from dicomnode.faults import BUG, STORE_WRITE_FAILED, NodeError
from dicomnode.receive import Receiver
from dicomnode.serve import receiver as room
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.line import ChildLine, line_pair
from dicomnode.serve.receiver import run_receiver
from dicomnode.settings import ReceiveSettings, Settings
from dicomnode.store import Store


@pytest.fixture
def frame(tmp_path):
    settings = Settings(receive=ReceiveSettings(address="127.0.0.1", port=0))
    settings = replace(settings, store=replace(settings.store, path=tmp_path / "store", reserve_gb=0.0))
    (tmp_path / "store").mkdir()
    ours, theirs = line_pair()
    frame = ChildFrame(settings=settings, line=ChildLine(theirs), listener=None)
    yield frame
    ours.close()
    assert frame.line.stopping.wait(5)
    theirs.close()


@pytest.mark.parametrize(
    ("of", "name", "value", "fault", "drains"),
    [
        (Store, "failure", "a flush failed", STORE_WRITE_FAILED, False),
        (Receiver, "is_accepting", False, BUG, True),
    ],
    ids=["a failed flush", "a dead accept thread"],
)
def test_a_receiver_that_can_keep_no_promise_ends(frame, monkeypatch, of, name, value, fault, drains):
    drained: list[float] = []
    stop = Receiver.stop
    monkeypatch.setattr(Receiver, "stop", lambda self, drain_s: (drained.append(drain_s), stop(self, 0.0)))
    monkeypatch.setattr(room, "_BEAT_S", 0.01)
    monkeypatch.setattr(of, name, property(lambda _: value))
    with pytest.raises(NodeError) as caught:
        run_receiver(frame)
    assert caught.value.fault is fault
    assert [drain_s > 0 for drain_s in drained] == [drains]


def test_a_receiver_accepts_from_start_to_stop(frame):
    with Store.open(frame.settings.store.path) as store:
        receiver = Receiver(frame.settings.receive, "NODE", (), store)
        assert not receiver.is_accepting
        receiver.start()
        assert receiver.is_accepting
        receiver.stop(drain_s=0)
        assert not receiver.is_accepting


DOOR = textwrap.dedent("""
    import os, sys
    from dicomnode.serve import child
    from dicomnode.serve.process.line import line_pair

    def fail(frame):
        raise ValueError("Doe^Jane")

    child.ROLES["worker"] = fail
    ours, theirs = line_pair()
    line = str(theirs.detach())
    parent = str(os.getppid())
    sys.exit(child.main(["worker", "--config", sys.argv[1], "--line", line, "--parent", parent]))
""")


@pytest.mark.parametrize(
    ("text", "status", "code"), [("schema = 1", 1, "DN-6099"), ("schema = 'one'", 10, "DN-9001")]
)
def test_no_traceback_leaves_a_child_and_its_exit_status_says_what_it_was(tmp_path, text, status, code):
    config = tmp_path / "dicomnode.toml"
    tables = [f'[store]\npath = "{tmp_path}"', '[[sender]]\nae_title = "CT1"', '[[engine]]\nname = "lung-ct"']
    tables.append('[[destination]]\nname = "archive"\nae_title = "ARCHIVE"\nhost = "10.0.0.1"')
    config.write_text("\n".join([text, *tables]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", DOOR, str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert code in done.stderr
    assert "process.failed" in done.stderr
    assert "Doe" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
