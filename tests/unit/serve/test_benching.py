"""The process that measures an engine: what becomes of its end."""

from __future__ import annotations

import time

import pytest

from dicomnode.analyse.benching_child import BenchJob
from dicomnode.engine import RuntimeWish
from dicomnode.faults import BENCH_ENDED, ENGINE_NOT_FOUND, NodeError
from dicomnode.serve import measure_in_child
from dicomnode.serve.once import benching


def a_job(name="lung-ct"):
    return BenchJob(name=name, path=None, wish=RuntimeWish(), threads=1, rounds=0, started=time.time())


def test_a_child_that_only_starts_tells_when_it_was_ready():
    ready = measure_in_child(a_job())["ready"]
    assert ready["load"] > 0
    assert ready["seconds"] > ready["load"]


def test_what_the_child_raises_is_raised_here():
    with pytest.raises(NodeError) as raised:
        measure_in_child(a_job("no-such-engine"))
    assert raised.value.fault is ENGINE_NOT_FOUND
    assert "no-such-engine" in str(raised.value)


def test_a_child_that_ends_before_it_has_told_is_a_failure(monkeypatch):
    monkeypatch.setattr(benching, "_CHILD", "no.such.module")
    with pytest.raises(NodeError) as raised:
        measure_in_child(a_job())
    assert raised.value.fault is BENCH_ENDED
    assert raised.value.values["status"] == "exit status 1"
