"""SIGTERM: what is under way comes to its end or is given back, and the next start goes on with it."""

from __future__ import annotations

import shutil

import pytest
from pydicom import dcmread
from pynetdicom import AE

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState, TaskState
from tests.wire.node import WALK_S, running_node
from tests.wire.peers import CT, EXPLICIT_LE, answers, store_scp, until
from tests.wire.plain_engines import ABOVE_GATE, endless_engine, mean_engine, series
from tests.wire.test_walk import NOWHERE, RESULTS

pytestmark = [pytest.mark.wire, pytest.mark.slow]

SENT = 12


def _study(files) -> str:
    return str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


@pytest.mark.long
def test_an_association_that_is_open_at_sigterm_may_finish_its_study(tmp_path, small_phantom, lungs_engine):
    files = small_phantom.files[:SENT]
    entity = AE("SCANNER")
    entity.add_requested_context(CT, EXPLICIT_LE)
    with running_node(tmp_path, [lungs_engine], NOWHERE, quiet_time_s=600) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
        assert association.is_established
        statuses = [association.send_c_store(path).Status for path in files[: SENT // 2]]
        node.ask_to_stop()
        until(lambda: not answers(node.port), "nobody new is let in")
        statuses += [association.send_c_store(path).Status for path in files[SENT // 2 :]]
        association.release()
        assert node.wait_ended() == 0
        assert statuses == [0x0000] * SENT
        ended = [line for line in node.lines() if line["level"] in ("warning", "error")]
        assert ended == []
        node.start()
        with node.journal() as journal:
            until(lambda: len(journal.instances(_study(files))) == SENT, "all of it is known")


def test_an_association_that_does_not_end_is_aborted_in_time(tmp_path, lungs_engine):
    entity = AE("SCANNER")
    entity.add_requested_context(CT, EXPLICIT_LE)
    with running_node(tmp_path, [lungs_engine], NOWHERE, stop_timeout_s=1.0) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
        assert association.is_established
        assert node.stop() == 0
        until(lambda: association.is_aborted, "it is told")


@pytest.mark.long
def test_an_analysis_that_runs_at_sigterm_is_finished_where_there_is_time(
    tmp_path, small_phantom, lungs_engine
):
    uid = _study(small_phantom.files)
    with (
        store_scp(contexts=RESULTS) as archive,
        running_node(tmp_path, [lungs_engine], archive.peer, stop_timeout_s=20.0) as node,
    ):
        push_study(node.peer, "SCANNER", small_phantom.files)
        # The event, not the state: an analysis of a second may be over before a busy machine looks again
        until(lambda: "analyse.claimed" in _happened(node, uid), "it is analysed", WALK_S)
        assert node.stop() == 0
        assert _analysis(node, uid) == (TaskState.DONE, 0)
        node.start()
        assert node.wait_for(uid).state is StudyState.DONE
        assert len(archive.stored) == len(set(archive.stored)) == 2


@pytest.mark.long
def test_an_analysis_that_has_no_time_at_sigterm_is_given_back_and_done_after_the_next_start(tmp_path):
    """The engine never comes to an end; that of the next start, of the same name, does."""
    engine, files = tmp_path / "engine", series(tmp_path / "ct", 1)
    endless_engine(engine, ABOVE_GATE)
    settings = {"stop_timeout_s": 0.05, "analyse": {"runtime": "onnxruntime"}}
    with (
        store_scp(contexts=RESULTS) as archive,
        running_node(tmp_path / "node", [engine], archive.peer, **settings) as node,
    ):
        push_study(node.peer, "SCANNER", files)
        node.wait_for(_study(files), states={StudyState.ANALYSING})
        assert node.stop() == 0
        assert _analysis(node, _study(files)) == (TaskState.READY, 1)
        shutil.rmtree(engine)
        mean_engine(engine)
        node.start()
        assert node.wait_for(_study(files)).state is StudyState.DONE
        assert len(archive.stored) == len(set(archive.stored)) == 1
        with node.journal() as journal:
            assert "analyse.lease_expired" not in [event.what for event in journal.events(_study(files))]


def _analysis(node, uid: str) -> tuple[TaskState, int]:
    """The state of the study's analysis, and how often it was given back; nothing is left running."""
    with node.journal() as journal:
        (analysis,) = [task for task in journal.tasks(uid) if task.kind == "analyse"]
        assert journal.tasks(uid, {TaskState.RUNNING}) == []
    return analysis.state, _happened(node, uid).count("analyse.given_back")


def _happened(node, uid: str) -> list[str]:
    with node.journal() as journal:
        return [event.what for event in journal.events(uid)]
