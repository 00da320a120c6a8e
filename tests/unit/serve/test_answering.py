"""An engine answers study after study as the node would; what goes wrong with one is its answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dicomnode.assemble import read_studies
from dicomnode.evaluate.evaluation import RunState
from dicomnode.faults import NETWORK_FAILED, NodeError
from dicomnode.serve import Answering, AnsweringPlan, Occasion
from dicomnode.serve.once import answering as module
from dicomnode.values import no_progress
from tests.unit.analyse.engines import tissue_engine

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN = AnsweringPlan(threads=1, occasion=Occasion(study_version=1, made_at=WHEN, salt=b"s" * 32))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    from dicomnode.learn.generate import SynthPlan, synth_cases

    folder = tmp_path_factory.mktemp("answering") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=1, seed=1), folder)
    (study,) = read_studies([folder]).studies
    return study


@pytest.fixture
def package(tmp_path):
    return tissue_engine(tmp_path / "tissue")


def test_what_the_engine_takes_is_analysed(package, study):
    with Answering(package, PLAN) as answering:
        (answer,) = answering(study, no_progress)
    assert answer.state is RunState.ANALYSED
    assert {one.label for one in answer.findings.segments} == {"soft"}
    assert answer.findings.made_at == WHEN
    assert answer.seconds > 0


def test_a_study_that_the_engine_does_not_want_is_answered_with_the_rule(tmp_path, study, package):
    folder = tmp_path / "of-mr"
    folder.mkdir()
    for path in package.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes().replace(b'equals = "CT"', b'equals = "MR"'))
    from dicomnode.engine import load_package

    with Answering(load_package(folder), PLAN) as answering:
        (answer,) = answering(study, no_progress)
    assert answer.state is RunState.NOT_WANTED
    assert answer.stack is None
    assert answer.reason == "it wants Modality is MR, found CT"


def test_a_network_that_fails_on_one_study_is_its_answer_and_not_the_end(package, study, monkeypatch):
    def fails(*_: object) -> None:
        raise NodeError(NETWORK_FAILED, **dict.fromkeys(NETWORK_FAILED.names(), "x"))

    with Answering(package, PLAN) as answering:
        monkeypatch.setattr(module, "analyse_stack", fails)
        (answer,) = answering(study, no_progress)
        assert answer.state is RunState.FAILED
        assert answer.code == NETWORK_FAILED.code
        assert answer.findings is None
        monkeypatch.undo()
        assert answering(study, no_progress)[0].state is RunState.ANALYSED
