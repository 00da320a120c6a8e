"""What every journal must do, whatever database it lies in. A new database is one subclass with `url`."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from dicomnode.journal import (
    Event,
    Journal,
    TaskKind,
    TaskRecord,
    TaskState,
)
from tests.unit.journal.backlog_contract import BacklogContract
from tests.unit.journal.delivery_contract import DeliveryContract
from tests.unit.journal.result_contract import ResultContract
from tests.unit.journal.study_contract import StudyContract
from tests.unit.journal.task_contract import TaskContract
from tests.unit.journal.waiting_contract import WaitingContract
from tests.unit.journal.world import (
    NOON,
    STUDY,
    analyse,
    claim,
    complete,
    later,
    receive,
)


def claim_all(url: str, owner: str, kinds: Sequence[TaskKind]) -> list[int]:
    """Claim and finish until nothing is left; give the ids (run in threads and processes)."""
    done: list[int] = []
    with Journal.open(url) as journal:
        while (task := journal.claim(kinds, owner, 60, NOON)) is not None:
            done.append(task.id)
            journal.finish(task, Event.COMMITTED, NOON)
    return done


class JournalContract(
    StudyContract, TaskContract, ResultContract, DeliveryContract, WaitingContract, BacklogContract
):
    """The contract; a subclass gives the fixture `url` of an empty database."""

    @pytest.fixture
    def journal(self, url: str) -> Iterator[Journal]:
        with Journal.open(url) as journal:
            yield journal

    def fill(self, journal: Journal, count: int) -> None:
        receive(journal)
        complete(journal)
        new = [analyse(engine=f"engine-{n}") for n in range(count)]
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=new)

    def test_threads_claim_each_task_once(self, journal: Journal) -> None:
        self.fill(journal, 200)
        claimed: list[TaskRecord] = []

        def work(owner: str) -> None:
            while (task := journal.claim([TaskKind.ANALYSE], owner, 60, NOON)) is not None:
                claimed.append(task)

        threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(Counter(task.engine for task in claimed).values()) == [1] * 200

    def test_processes_claim_and_finish_each_task_once(self, journal: Journal, url: str) -> None:
        self.fill(journal, 200)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            done = pool.starmap(claim_all, [(url, f"process-{n}", [TaskKind.ANALYSE]) for n in range(2)])
        assert sorted(done[0] + done[1]) == sorted(
            task.id for task in journal.tasks() if task.kind == "analyse"
        )
        assert {task.state for task in journal.tasks()} == {TaskState.DONE}

    def test_readers_see_a_study_whole_while_it_is_written(self, journal: Journal) -> None:
        receive(journal, 1)
        stop, torn = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                study = journal.study(STUDY)
                if study.instances % 10 != 1:
                    torn.append(study.instances)

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(30):
            receive(journal, 10, first=1 + turn * 10, at=later(turn))
        stop.set()
        reader.join()
        assert torn == []
        assert journal.study(STUDY).instances == 301
