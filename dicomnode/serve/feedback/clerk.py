"""The clerk that has what others send after our results compared with these, and writes it down."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from dicomnode.faults import FAULTS, FEEDBACK_UNREADABLE, NodeError
from dicomnode.journal import (
    NO_IMAGES,
    OBJECT,
    Event,
    FeedbackRecord,
    Journal,
    Note,
    TaskKind,
    TaskRecord,
    is_failure,
    is_of_retraction,
)
from dicomnode.serve.feedback.apart import StoppedError, answer_of
from dicomnode.serve.naming import engine_of
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import Settings
from dicomnode.store import Store
from dicomnode.values import Instance

_LEASE_S: Final = 60.0
_GB: Final = 1e9
_LEAST_MEMORY_GB: Final = 4.0  # masks of a large volume, ours beside theirs
_READ: Final = ("SEG", "LABELMAP", "SR", "RTSTRUCT")  # kinds of ours that others correct


class FeedbackClerk(Clerk):
    """Does `feedback` tasks, one at a time."""

    def __init__(self, settings: Settings, store: Store, journal: Journal, stopping: threading.Event) -> None:
        post = Post(name=owner_name("scheduler", "feedback"), kinds=(TaskKind.FEEDBACK,), lease_s=_LEASE_S)
        super().__init__(post, journal, stopping)
        self._store = store
        memory_gb = max(settings.assemble.decoder_memory_gb, _LEAST_MEMORY_GB)
        self._memory_bytes = int(memory_gb * _GB)

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Have one object compared, in a process of its own."""
        uid, study_uid = str(task.payload[OBJECT]), task.study_instance_uid
        instances = self._journal.instances(study_uid)
        theirs = next((one for one in instances if one.sop_instance_uid == uid), None)
        if theirs is None:
            return self._end(task, [], _note("feedback.gone", uid, "was set aside by a rejection note"))
        request = self._request(task, theirs, instances)
        try:
            answer = answer_of(request, self._memory_bytes, self._stopping, pulse)
        except StoppedError:
            return self._give_back(task)
        if self._journal.marks(study_uid).get(uid) != (theirs.digest, theirs.size):
            return self._give_back(task)  # it was edited meanwhile: what was read is not its last word
        if "failed" in answer:
            raise NodeError(FAULTS[answer["failed"]], **answer["values"])
        if "unreadable" in answer:
            said = FEEDBACK_UNREADABLE.text(sop_instance_uid=uid, reason=answer["unreadable"].rstrip("."))
            facts = {"code": FEEDBACK_UNREADABLE.code, "sop_instance_uid": uid}
            return self._end(task, [], Note(what="feedback.unreadable", text=said, facts=facts))
        records = records_of(answer, theirs)
        if not records:
            return self._end(task, [], _note("feedback.none", uid, "says nothing of our results"))
        self._keep(theirs, answer, instances)
        return self._end(task, records, _told(uid, records))

    def _give_back(self, task: TaskRecord) -> Event:
        self._journal.finish(task, Event.GIVEN_BACK, datetime.now(UTC))
        return Event.GIVEN_BACK

    def _request(self, task: TaskRecord, theirs: Instance, instances: Sequence[Instance]) -> dict[str, Any]:
        study_uid = task.study_instance_uid
        objects: dict[tuple[str, int], list[dict[str, str]]] = defaultdict(list)
        for made in self._journal.objects(study_uid):
            if not is_of_retraction(made.engine) and made.kind in _READ:
                one = {"uid": made.sop_instance_uid, "path": str(made.path)}
                objects[made.engine, made.study_version].append(one)
        return {
            "study": study_uid,
            "theirs": str(theirs.path),
            "images": [str(one.path) for one in instances if one.sop_class_uid not in NO_IMAGES],
            "own": [
                {
                    "engine": engine_of(one.engine),
                    "study_version": one.study_version,
                    "findings": str(one.path),
                    "objects": objects[one.engine, one.study_version],
                }
                for one in self._journal.findings(study_uid)
                if not is_failure(one.engine) and objects[one.engine, one.study_version]
            ],
        }

    def _end(self, task: TaskRecord, records: Sequence[FeedbackRecord], note: Note) -> Event:
        self._journal.finish(task, Event.COMMITTED, datetime.now(UTC), notes=[note], feedback=records)
        return Event.COMMITTED

    def _keep(self, theirs: Instance, answer: Mapping[str, Any], instances: Sequence[Instance]) -> None:
        """Keep the object as a label, with the images that it speaks of. Before the journal tells of it."""
        series = {uid for one in answer["recognised"] for uid in one["series"]} | {answer["of_series"]}
        record = {
            "schema": 1,
            "study_instance_uid": theirs.study_instance_uid,
            "sop_instance_uid": theirs.sop_instance_uid,
            "sop_class_uid": theirs.sop_class_uid,
            "received_at": theirs.received_at.isoformat(),
            "engines": sorted({one["engine"] for one in answer["recognised"]}),
            "images": [
                {"series_instance_uid": one.series_instance_uid, "sop_instance_uid": one.sop_instance_uid}
                for one in instances
                if one.series_instance_uid in series and one.sop_class_uid not in NO_IMAGES
            ],
        }
        names = (theirs.study_instance_uid, theirs.sop_instance_uid)
        self._store.keep_label(theirs.path, names, json.dumps(record, indent=1).encode())


def records_of(answer: Mapping[str, Any], theirs: Instance) -> list[FeedbackRecord]:
    """Make the rows of what the process has found out."""
    return [
        FeedbackRecord(
            study_instance_uid=theirs.study_instance_uid,
            study_version=one["study_version"],
            engine=one["engine"],
            engine_version=one["engine_version"],
            engine_digest=one["engine_digest"],
            their_uid=theirs.sop_instance_uid,
            their_class_uid=theirs.sop_class_uid,
            recognised_by=one["recognised_by"],
            at=theirs.received_at,
            verified=answer["verified"],
            **said,
        )
        for one in answer["recognised"]
        for said in one["judgements"]
    ]


def _note(what: str, uid: str, text: str) -> Note:
    return Note(what=what, text=f"Object {uid} of somebody else {text}.", facts={"sop_instance_uid": uid})


def _told(uid: str, records: Sequence[FeedbackRecord]) -> Note:
    counts = Counter(one.kind for one in records)
    words = ", ".join(f"{counts[kind]} {kind}" for kind in ("accepted", "changed", "rejected", "missed"))
    engines = ", ".join(sorted({one.engine for one in records}))
    return Note(
        what="feedback.recorded",
        text=f"Somebody has answered the results of {engines}: {words}. The answer is kept as a label.",
        facts={"sop_instance_uid": uid, **dict(counts.items())},
    )
