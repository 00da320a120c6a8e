"""Writing results: from stored Findings to the objects that one destination gets, in the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog

from dicomnode.assemble import DecoderPool
from dicomnode.faults import BUG, DESTINATION_UNKNOWN, NOTHING_TAKEN, NodeError
from dicomnode.journal import Event, Journal, Note, ObjectRecord, TaskRecord, is_of_retraction, place_of
from dicomnode.report import Choice, ReportProfile, ResultObject, SourcePixels, make_objects
from dicomnode.report.fields.technique import technique_of
from dicomnode.report.possible import possible
from dicomnode.serve.analysing.looked_at import looked_at
from dicomnode.serve.deciding.plan import deliver_task
from dicomnode.serve.identity.whose import renaming_of
from dicomnode.serve.results.replaced import replaced_reports
from dicomnode.serve.results.stopped import put_aside
from dicomnode.serve.results.taken import Gets, class_of_images, what_it_gets
from dicomnode.serve.results.withdrawal import write_rejection_note
from dicomnode.serve.work.decoding import decoder_limits
from dicomnode.settings import DestinationSettings, Settings
from dicomnode.store import Store
from dicomnode.values import Findings

log = structlog.get_logger("dicomnode.serve")


class ResultWriter:
    """Does `report` tasks: of results, and of the notes that take some back."""

    def __init__(self, settings: Settings, store: Store, journal: Journal) -> None:
        self._settings, self._store, self._journal = settings, store, journal

    def write(self, task: TaskRecord) -> Event:
        """Make the objects, put them into the outbox, and have them delivered. Raises NodeError."""
        number = self._settings.report.series_number
        if is_of_retraction(task.engine):
            return write_rejection_note(task, self._store, self._journal, number)
        if task.engine is None:
            raise NodeError(BUG, where="report", error="a task without an engine")
        destination = self._destination(task)
        findings = self._store.load_findings(self._finding(task))
        gets = self._gets(destination, task, findings)
        profile = _profile(destination, gets, number)
        with put_aside(findings, self._store):
            made = make_objects(
                findings,
                profile,
                self._store.salt,
                renaming_of(task.study_instance_uid, task.study_version, self._journal),
                replaced_reports(task, findings, self._journal),
                lambda: self._pixels(findings),
            )
        self._journal.finish(
            task,
            Event.COMMITTED,
            datetime.now(UTC),
            objects=[self._kept(one, task) for one in made],
            new_tasks=[deliver_task(task)],
            notes=[
                *_instead(gets.choice, destination.name),
                *_not_possible(findings, profile, made, destination.name),
            ],
        )
        return Event.COMMITTED

    def _gets(self, destination: DestinationSettings, task: TaskRecord, findings: Findings) -> Gets:
        """What the destination, or the sender that it is, gets. Raises NodeError(NOTHING_TAKEN)."""
        back = destination.to_sender
        sender = self._journal.origin(task.study_instance_uid, task.study_version) if back else None
        place = place_of(destination.name, sender)
        images = self._class_of_images(task, findings) if "IMAGES" in destination.objects else None
        gets = what_it_gets(self._journal, destination, place, images, datetime.now(UTC))
        if not gets.choice.kinds:
            wanted = ", ".join(destination.objects)
            raise NodeError(NOTHING_TAKEN, destination=destination.name, refused=wanted)
        return gets

    def _class_of_images(self, task: TaskRecord, findings: Findings) -> str | None:
        """SOP Class of the images that are derived: of those that were, else as they would be."""
        made = self._journal.objects(task.study_instance_uid, task.study_version)
        if known := class_of_images(one for one in made if one.engine == task.engine):
            return known
        technique = technique_of(findings) if findings.images else None
        return technique.sop_class_uid if technique else None

    def _pixels(self, findings: Findings) -> SourcePixels | None:
        """What the findings lie on, decoded again; None, with a line in the log, where that cannot be."""
        studies = {source.study_instance_uid for source in findings.sources}
        instances = [one for study in sorted(studies) for one in self._journal.instances(study)]
        paths = {one.sop_instance_uid: one.path for one in instances}
        with DecoderPool(decoder_limits(self._settings.assemble)) as decode:
            images, why_not = looked_at(findings, paths, decode)
        if why_not:
            log.warning(
                "pages.without_pictures", study=findings.sources[0].study_instance_uid, reason=why_not
            )
        return SourcePixels(images) if images else None

    def _kept(self, made: ResultObject, task: TaskRecord) -> ObjectRecord:
        """Put an object into the outbox."""
        return ObjectRecord(
            sop_instance_uid=made.sop_instance_uid,
            sop_class_uid=made.sop_class_uid,
            series_instance_uid=made.series_instance_uid,
            kind=made.kind,
            study_instance_uid=task.study_instance_uid,
            study_version=task.study_version,
            engine=task.engine or "",
            path=self._store.put_object(made.sop_instance_uid, made.content),
            digest=sha256(made.content).hexdigest(),
        )

    def _destination(self, task: TaskRecord) -> DestinationSettings:
        for destination in self._settings.destination:
            if destination.name == task.destination:
                return destination
        raise NodeError(DESTINATION_UNKNOWN, destination=task.destination)

    def _finding(self, task: TaskRecord) -> Path:
        for engine, version, path in self._journal.findings(task.study_instance_uid):
            if (engine, version) == (task.engine, task.study_version):
                return path
        raise NodeError(BUG, where="report", error="the findings are not in the journal")


def _profile(destination: DestinationSettings, gets: Gets, series_number: int) -> ReportProfile:
    return ReportProfile(
        kinds=gets.choice.kinds,
        series_number=series_number,
        spatial="3d" if gets.in_space else "2d",
        viewer=destination.viewer,
        frames_max=destination.frames_maximum,
        empty_frames=destination.empty_frames,
        fallback=destination.fallback,
        refused=gets.refused if destination.fallback else frozenset(),
    )


def _instead(choice: Choice, destination: str) -> list[Note]:
    """Tell which kinds of objects a destination gets instead of what it refuses."""
    return [
        Note(
            what="objects.instead",
            text=f"{destination} refuses {kind}: it gets {other or 'nothing'} instead.",
            facts={"destination": destination, "kind": kind, "instead": other},
        )
        for kind, other in choice.instead.items()
    ]


def _not_possible(
    findings: Findings, profile: ReportProfile, made: Sequence[ResultObject], destination: str
) -> list[Note]:
    """Tell which kinds of objects the source does not allow, and what the destination gets instead."""
    if {one.kind for one in made} >= set(profile.kinds):
        return []
    makes = possible(findings, profile)
    return [
        Note(
            what="objects.instead",
            text=f"No {kind} can be made: {why}. "
            f"{destination} gets {makes.instead[kind] or 'nothing'} instead.",
            facts={"destination": destination, "kind": kind, "instead": makes.instead[kind]},
        )
        for kind, why in makes.impossible.items()
    ]
