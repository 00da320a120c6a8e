"""A network that is cut in the middle of every message to an archive: nothing is lost, nothing is doubled."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState, TaskState
from tests.wire.archives import running_archive
from tests.wire.node import Node, running_node
from tests.wire.plain_engines import block_series, bright_engine
from tests.wire.relays import relay
from tests.wire.test_destinations import at, destination
from tests.wire.test_next_best import classes

# 25 destinations, two studies each: minutes on a machine with much else to do; beside no other of its kind
pytestmark = [
    pytest.mark.wire,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("many destinations"),
]

CUTS = 8  # of each conversation
# What an archive offers, and how it is asked: associations with C-STORE and C-FIND; with N-ACTION and the
# N-EVENT-REPORT on it; with the report on an association of its own
WAYS: dict[str, dict[str, Any]] = {"query": {}, "same": {"commits": "same"}, "later": {"commits": "later"}}


def send(node: Node, folder: Path, seed: int) -> str:
    files = block_series(folder, seed)
    assert not push_study(node.peer, "SCANNER", files).failed
    return str(dcmread(files[0]).StudyInstanceUID)


def test_a_cut_in_the_middle_of_any_message_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """One study goes through whole, to measure the conversations; then each is cut at another place."""
    engine = bright_engine(tmp_path / "engine" / "bright")
    names = [(way, n) for way in WAYS for n in range(CUTS)]
    with ExitStack() as stack:
        archives = {
            name: stack.enter_context(running_archive(classes("SEG SR"), **WAYS[name[0]])) for name in names
        }
        relays = {name: stack.enter_context(relay(one.peer.port)) for name, one in archives.items()}
        more = [
            line
            for name, one in archives.items()
            for line in destination(
                f"{name[0]}-{name[1]}", **at(one) | {"port": relays[name].port}, confirm_wait_s=20.0
            )
        ]
        first = stack.enter_context(running_archive(classes("SEG SR")))
        node = stack.enter_context(running_node(tmp_path / "node", [engine], first.peer, more=more))
        returns = {name: stack.enter_context(relay(node.port)) for name in names if name[0] == "later"}
        for name, archive in archives.items():
            port = returns[name].port if name in returns else node.port
            archive.node = type(node.peer)("node", "DICOMNODE", "127.0.0.1", port, 30.0)

        assert node.wait_for(send(node, tmp_path / "whole", 1), 500).state is StudyState.DONE
        for name, one in relays.items():
            there = one.passed
            back = returns[name].passed if name in returns else 0
            place = round((there + back) * (name[1] + 0.5) / CUTS)
            # The way back is used last
            cut = one if place < there else returns[name]
            cut.cut_at = cut.passed + (place if place < there else place - there)

        uid = send(node, tmp_path / "cut", 2)
        assert node.wait_for(uid, 500).state is StudyState.DONE
        for name, archive in archives.items():
            of_study = [one for one in archive.objects.values() if one.StudyInstanceUID == uid]
            assert len(of_study) == 2, f"{name}: each object once"
        done = [one.cuts for one in (*relays.values(), *returns.values())]
        assert sum(done) == len(names), "each conversation was cut"
        with node.journal() as journal:
            assert all(task.state is TaskState.DONE for task in journal.tasks(uid))
            by = {one.confirmed_by for one in journal.deliveries(uid)}
        assert by <= {"query", "commitment"}, "what was cut is asked for again"
