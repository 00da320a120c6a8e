"""Networks that never come to an end: the service ends them, says so, and goes on with the next study."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from tests.fixtures.processes import state_of
from tests.wire.node import running_node
from tests.wire.peers import until
from tests.wire.plain_engines import ABOVE_GATE, BELOW_GATE, endless_engine, mean_engine, series
from tests.wire.test_walk import NOWHERE

pytestmark = [pytest.mark.crash, pytest.mark.wire, pytest.mark.slow]

ANALYSED = {StudyState.DELIVERING, StudyState.FAILED}


def _sent(node, files) -> str:
    assert not push_study(node.peer, "SCANNER", files).failed
    return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def _no_process_holds(folder) -> bool:
    """Whether nothing below the folder is locked by a process that is no more, or by any."""
    inodes = {f"{path.stat().st_ino}" for path in folder.rglob("*") if path.is_file()}
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return not any(line.split()[-3].rpartition(":")[2] in inodes for line in lines)


def _stop_between_transactions(pid: int, path: Path) -> None:
    """Stop a process, but not while it holds the journal, as everybody else would wait for it then."""

    def is_stopped() -> bool:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", "the process is stopped")
        with closing(sqlite3.connect(path, timeout=0.5)) as journal:
            try:
                journal.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                return False
            return True

    until(is_stopped, "the process is stopped and holds nothing")


@pytest.mark.long
def test_an_analysis_that_never_ends_is_ended_three_times_and_the_next_study_runs(tmp_path):
    """The network passes its gate; the voxels of a CT make it go round for ever."""
    endless = endless_engine(tmp_path / "endless", ABOVE_GATE)
    fine = mean_engine(tmp_path / "fine", "MR")
    limits = {"time_limit_s": 5.0, "runtime": "onnxruntime"}
    with running_node(tmp_path / "node", [endless, fine], NOWHERE, analyse=limits) as node:
        stuck = _sent(node, series(tmp_path / "ct", 1))
        node.wait_for(stuck, states={StudyState.ANALYSING})
        after = _sent(node, series(tmp_path / "mr", 2, "MR"))
        assert node.wait_for(after, states=ANALYSED).state is StudyState.DELIVERING
        study = node.wait_for(stuck, states=ANALYSED)
        assert study.state is StudyState.DELIVERING  # of what says that it failed
        assert "ended its process 3 times" in study.reason
        with node.journal() as journal:
            happened = [event.what for event in journal.events(stuck)]
        assert happened.count("analyse.claimed") == 3
        assert len(node.lines("process.hangs")) == 3
        assert node.stop() == 0
    assert _no_process_holds(tmp_path / "node")


@pytest.mark.long
def test_a_network_that_hangs_in_its_gate_is_left_out_and_the_others_serve(tmp_path):
    hanging = endless_engine(tmp_path / "hanging", BELOW_GATE)
    fine = mean_engine(tmp_path / "fine", "MR")
    limits = {"load_limit_s": 8.0, "runtime": "onnxruntime"}
    with running_node(tmp_path / "node", [hanging, fine], NOWHERE, analyse=limits) as node:
        until(lambda: len(node.lines("process.ended")) == 1, "the first try is ended", 90)
        served = _sent(node, series(tmp_path / "mr", 2, "MR"))
        until(lambda: node.lines("engine.failed"), "it is left out", 120)
        (left_out,) = node.lines("engine.failed")
        assert (left_out["engine"], left_out["code"]) == ("hanging", "DN-4251")
        assert len(node.lines("process.ended")) == 3
        assert node.wait_for(served, states=ANALYSED).state is StudyState.DELIVERING
        wanted = _sent(node, series(tmp_path / "ct", 1))
        study = node.wait_for(wanted, states=ANALYSED)
        assert study.state is StudyState.DELIVERING  # of what says that it failed
        assert "Engine hanging is left out: 3 processes ended or hung while they loaded it" in study.reason
        command = [sys.executable, "-m", "dicomnode", "why", wanted, "--config", str(node.config), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        assert "left out" in json.loads(done.stdout)["study"]["reason"]
        assert len(node.lines("process.ended")) == 3  # nothing restarts any more


@pytest.mark.long
def test_two_workers_share_the_studies_and_analyse_none_twice(tmp_path):
    fine = mean_engine(tmp_path / "fine")
    two = {"devices": ["cpu", "cpu"], "runtime": "onnxruntime"}
    with running_node(tmp_path / "node", [fine], NOWHERE, analyse=two) as node:
        until(lambda: len(node.lines("engine.ready")) == 2, "both are warm", 60)
        workers = [one["pid"] for one in node.lines("process.started") if one["process"][:6] == "worker"]
        for pid in workers:  # all the work is there when they begin: a quick one would have it alone
            _stop_between_transactions(pid, node.folder / "store" / "journal.sqlite")
        uids = [_sent(node, series(tmp_path / f"ct{n}", n)) for n in range(1, 13)]
        node.wait_for_all(uids, states={StudyState.QUEUED})
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        for uid in uids:
            assert node.wait_for(uid, states=ANALYSED).state is StudyState.DELIVERING
        alone = []
        for n, resting in enumerate(workers, start=13):  # either has a share, however quick the other was
            _stop_between_transactions(resting, node.folder / "store" / "journal.sqlite")
            alone.append(_sent(node, series(tmp_path / f"ct{n}", n)))
            assert node.wait_for(alone[-1], states=ANALYSED).state is StudyState.DELIVERING
            os.kill(resting, signal.SIGCONT)
        with node.journal() as journal:
            owners = {}
            for uid in [*uids, *alone]:
                claims = [event for event in journal.events(uid) if event.what == "analyse.claimed"]
                assert len(claims) == len(journal.findings(uid)) == 1
                owners[uid] = claims[0].facts["owner"]
        assert len({owners[uid] for uid in alone}) == 2
        started = {line["process"] for line in node.lines("process.started")}
        assert started == {"receiver", "scheduler", "worker-0", "worker-1"}
