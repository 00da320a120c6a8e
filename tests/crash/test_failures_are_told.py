"""An engine that breaks for good on a study: its archive is told, once."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from tests.wire.node import Node, running_node
from tests.wire.peers import EXPLICIT_LE, Scp, store_scp, until
from tests.wire.plain_engines import ABOVE_GATE, endless_engine, mean_engine, series

pytestmark = [pytest.mark.crash, pytest.mark.wire, pytest.mark.slow, pytest.mark.long]

REPORTS = [("1.2.840.10008.5.1.4.1.1.88.22", (EXPLICIT_LE,))]
FAILED = "111224"


def _told(node: Node) -> bool:
    """Whether the Findings that say it are kept, and their report may be at work."""
    done = [line for line in node.lines("task.done") if line["kind"] == "report"]
    return any(line["engine"] == "engine:failed" for line in done)


def _codes(report: Dataset) -> set[str]:
    return {element.value for element in report.iterall() if element.keyword == "CodeValue"}


def _arrived(archive: Scp) -> list[Dataset]:
    return [dcmread(BytesIO(archive.datasets[uid]), force=True) for uid in dict.fromkeys(archive.stored)]


def test_a_failure_is_told_once_though_the_node_is_killed_and_undone_when_the_engine_is_mended(tmp_path):
    files = series(tmp_path / "ct", 1)
    uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    broken = endless_engine(tmp_path / "engine", ABOVE_GATE)
    limits = {"time_limit_s": 1.0, "runtime": "onnxruntime"}
    with (
        store_scp(contexts=REPORTS) as archive,
        running_node(tmp_path / "node", [broken], archive.peer, analyse=limits) as node,
    ):
        assert not push_study(node.peer, "SCANNER", files).failed
        until(lambda: _told(node), "it is told", 90)
        node.kill()
        node.start()
        study = node.wait_for(uid, states={StudyState.FAILED})
        assert "ended its process 3 times" in study.reason
        (failure,) = _arrived(archive)
        assert FAILED in _codes(failure)
        assert node.stop() == 0

        node.engines = [mean_engine(tmp_path / "mended" / "engine")]
        node.analyse = {"runtime": "onnxruntime"}
        node.start()
        command = [sys.executable, "-m", "dicomnode", "retry", uid, "--config", str(node.config)]
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
        assert node.wait_for(uid, states={StudyState.DONE})
        _, result = _arrived(archive)
    assert FAILED not in _codes(result)
    (of_study,) = result.PredecessorDocumentsSequence
    (of_series,) = of_study.ReferencedSeriesSequence
    (named,) = of_series.ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == failure.SOPInstanceUID
