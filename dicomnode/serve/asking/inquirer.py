"""An inquirer: one clerk a source, who asks how many images a study has. A silent one delays nobody else."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Final

import structlog

from dicomnode.faults import BUG, NodeError
from dicomnode.journal import Event, Journal, SourceAnswer, TaskKind, TaskRecord
from dicomnode.net import StudyCount, WebPeer, count_by_web, count_instances
from dicomnode.serve.asking.fetching import peer_to_ask
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import QuerySettings, Settings

log = structlog.get_logger("dicomnode.serve")

_LEASE_S: Final = 60.0


class Inquirer(Clerk):
    """Does the `fetch` tasks of one [[query]]."""

    def __init__(
        self, settings: Settings, query: QuerySettings, journal: Journal, stopping: threading.Event
    ) -> None:
        post = Post(
            name=owner_name("scheduler", f"inquirer-{query.name}"),
            kinds=(TaskKind.FETCH,),
            lease_s=_LEASE_S,
            destination=query.name,
        )
        super().__init__(post, journal, stopping)
        self._calling_ae = settings.node.ae_title
        self._query = query

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Ask, and write the answer; that there is none is an answer, too, and the quiet time decides."""
        del pulse  # one question
        images_here = task.payload.get("images_here")
        if task.payload.get("asks") != "count" or not isinstance(images_here, int):
            raise NodeError(BUG, where="fetch", error="a task that asks for nothing known")
        problem, count = "", StudyCount({})
        try:
            count = self._count(task.study_instance_uid)
        except NodeError as error:
            log.warning(
                "source.silent", source=self._query.name, study=task.study_instance_uid, **fault_facts(error)
            )
            problem = str(error)
        now = datetime.now(UTC)
        answer = SourceAnswer(
            source=self._query.name,
            images_here=images_here,
            found_at=now,
            series=count.series,
            problem=problem,
        )
        text = problem or _words(self._query.name, count)
        self._journal.record_answer(task, answer, text)
        self._journal.finish(task, Event.COMMITTED, now)
        return Event.COMMITTED

    def _count(self, study_uid: str) -> StudyCount:
        peer = peer_to_ask(self._query)
        if isinstance(peer, WebPeer):
            return count_by_web(peer, study_uid)
        return count_instances(peer, self._calling_ae, study_uid)


def _words(name: str, count: StudyCount) -> str:
    if not count.series:
        return f"{name} does not know the study"
    return f"{name} counts {count.instances} images in {len(count.series)} series"
