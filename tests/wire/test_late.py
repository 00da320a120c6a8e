"""An archive that is down: the node says so once, tells what waits, and says when it is over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from tests.unit.serve.test_corrections import ENHANCED_SR
from tests.wire.archives import running_archive
from tests.wire.node import Node, running_node
from tests.wire.peers import free_port, peer_at, until
from tests.wire.plain_engines import mean_engine, series

pytestmark = pytest.mark.wire


def told(node: Node, *verb: str) -> dict[str, object]:
    """What a command says, as JSON."""
    command = [sys.executable, "-m", "dicomnode", *verb, "--config", str(node.config), "--json"]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def test_p33_an_archive_that_is_down_is_told_of_once_and_again_when_it_is_back(tmp_path: Path) -> None:
    engine = mean_engine(tmp_path / "mean")
    port = free_port()
    with running_node(tmp_path / "node", [engine], peer_at(port), more=["warn_after_s = 0.4"]) as node:
        files = series(tmp_path / "ct", 1)
        uid = str(dcmread(files[0]).StudyInstanceUID)
        assert not push_study(node.peer, "SCANNER", files).failed
        until(lambda: bool(node.lines("destination.late")), "the log tells of the archive")
        (destination,) = told(node, "studies")["destinations"]
        assert (destination["name"], destination["waiting"]) == ("archive", 1)
        assert destination["oldest_s"] > 0.4
        assert "connection refused" in destination["why"]
        (wait,) = told(node, "why", uid)["waiting"]
        assert (wait["kind"], wait["since"]) == ("deliver", destination["oldest_since"])
        with running_archive([ENHANCED_SR], port=port) as archive:
            assert node.wait_for(uid).state is StudyState.DONE
            assert len(archive.taken) == 1
            until(lambda: bool(node.lines("destination.not_late")), "the log tells that it is over")
        (line,) = node.lines("destination.late")
        assert (line["level"], line["code"], line["destination"]) == ("warning", "DN-6020", "archive")
        assert len(node.lines("destination.not_late")) == 1
