"""What is refused is made otherwise where that helps, and never again and again: desk and courier."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.uid import Comprehensive3DSRStorage, CTImageStorage

from dicomnode.deliver import FileOutcome
from dicomnode.faults import NO_PRESENTATION_CONTEXT, NOTHING_MADE, NOTHING_TAKEN, NodeError
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord, TaskState
from dicomnode.report import ReportProfile, ResultObject, make_objects
from dicomnode.report.choice import SOP_CLASSES
from dicomnode.serve.results import courier as courier_room
from dicomnode.serve.results import writing as writing_room
from dicomnode.serve.results.courier import Courier
from dicomnode.serve.results.taken import what_it_gets
from dicomnode.serve.results.writing import ResultWriter
from dicomnode.serve.work.carry import carry_out
from dicomnode.settings import DestinationSettings, Settings
from dicomnode.store import Store
from dicomnode.store.persons import NO_RENAMING
from dicomnode.values.uids import derive_uid
from tests.unit.journal.delivery_contract import again
from tests.unit.journal.world import NOON, PACS, STUDY, analyse, claim, complete, receive
from tests.unit.report.test_possible import on_a_picture

CLASSES = {**SOP_CLASSES, "IMAGES": CTImageStorage}
LATER = datetime(9999, 1, 1, tzinfo=UTC)


def destination(kinds: str, **more: Any) -> DestinationSettings:
    return DestinationSettings(
        name=PACS, ae_title="PACS", host="127.0.0.1", confirm="status", objects=tuple(kinds.split()), **more
    )


class House:
    """Desk, courier, and an archive that refuses SOP Classes.

    associations: what it was asked to take. profiles: how results were wanted.
    """

    def __init__(self, journal: Journal, store: Store, to: DestinationSettings, monkeypatch: Any) -> None:
        self.journal, self.refused = journal, frozenset[str]()
        self.associations: list[set[str]] = []
        self.profiles: list[ReportProfile] = []
        self.makes: Callable[[str], str] = lambda kind: kind
        monkeypatch.setattr(Store, "load_findings", lambda *_: SimpleNamespace(images=("one",)))
        monkeypatch.setattr(writing_room, "make_objects", self.made)
        monkeypatch.setattr(
            writing_room, "technique_of", lambda _: SimpleNamespace(sop_class_uid=CLASSES["IMAGES"])
        )
        monkeypatch.setattr(writing_room, "put_aside", lambda *_: nullcontext())
        monkeypatch.setattr(writing_room, "renaming_of", lambda *_: None)
        monkeypatch.setattr(writing_room, "replaced_reports", lambda *_: ())
        monkeypatch.setattr(courier_room, "route_to", lambda *_, **__: SimpleNamespace(send=self.send))
        settings = Settings(destination=(to,))
        self.writer = ResultWriter(settings, store, journal)
        self.courier = Courier(settings, to, journal, threading.Event())

    def made(self, _findings: object, profile: ReportProfile, *_: object) -> tuple[ResultObject, ...]:
        self.profiles.append(profile)
        in_space = profile.spatial == "3d"
        classes = {**CLASSES, "SR": Comprehensive3DSRStorage} if in_space else CLASSES
        return tuple(
            ResultObject(
                kind=kind,
                sop_class_uid=classes[self.makes(kind)],
                sop_instance_uid=derive_uid(b"", kind, str(in_space)),
                series_instance_uid=derive_uid(b"", kind),
                content=kind.encode(),
            )
            for kind in profile.kinds
        )

    def send(
        self, files: Sequence[Path], *, on_outcome: Any, on_negotiated: Any, stop: object
    ) -> list[FileOutcome]:
        del stop
        classes = {one.path: one.sop_class_uid for one in self.journal.objects(STUDY)}
        proposed = {classes[path] for path in files}
        self.associations.append(proposed)
        outcomes: list[FileOutcome] = []
        if on_negotiated({uid: uid not in self.refused for uid in proposed}):
            for path in files:
                why = NodeError(NO_PRESENTATION_CONTEXT, name=PACS, sop_class="it", transfer_syntax="any")
                refused = classes[path] in self.refused
                outcomes.append(
                    FileOutcome(
                        path=path,
                        sop_instance_uid="",
                        outcome="refused" if refused else "stored",
                        fault=why if refused else None,
                    )
                )
                on_outcome(outcomes[-1])
        return outcomes

    def analysed(self) -> None:
        """A study up to its report."""
        receive(self.journal)
        complete(self.journal)
        done = Event.COMMITTED
        self.journal.finish(claim(self.journal, TaskKind.DISPATCH), done, NOON, new_tasks=[analyse()])
        self.journal.finish(
            claim(self.journal, TaskKind.ANALYSE),
            done,
            NOON,
            finding_path=Path("findings"),
            new_tasks=[again(TaskKind.REPORT)],
        )

    def turns(self, most: int = 40) -> None:
        """Whatever is due, until nothing is; no hour passes."""
        for _ in range(most):
            report = self.journal.claim([TaskKind.REPORT], "desk", 60, datetime.now(UTC))
            if report is not None:
                carry_out(report, lambda task, _: self.writer.write(task), self.journal, 60)
                continue
            delivery = self.courier._claim()
            if delivery is None:
                return
            carry_out(delivery, self.courier.work, self.journal, 60)
        raise AssertionError(f"it does not end: {len(self.associations)} associations")

    def task(self, kind: TaskKind) -> TaskRecord:
        (found,) = (one for one in self.journal.tasks(STUDY) if one.kind is kind)
        return found

    def outcomes(self) -> dict[str, str]:
        return {one.kind: one.outcome for one in self.journal.deliveries(STUDY)}


@pytest.fixture
def house(journal: Journal, store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., House]:
    return lambda kinds, **more: House(journal, store, destination(kinds, **more), monkeypatch)


def classes(kinds: str) -> frozenset[str]:
    return frozenset(CLASSES[kind] for kind in kinds.split())  # type: ignore[index]


# Wanted, refused, what it has in the end, and in how many associations
TABLE = [
    ("IMAGES SR", "IMAGES", "SR", 2),
    ("IMAGES SR", "SR", "IMAGES PDF", 2),
    ("IMAGES SEG SR", "IMAGES SEG SR", "GSPS PDF", 2),
    ("SEG SR", "SEG GSPS", "SC SR", 3),
    ("LABELMAP SEG KOS", "LABELMAP KOS", "SEG", 2),
    ("RTSTRUCT SR", "RTSTRUCT", "SR", 2),
]


@pytest.mark.parametrize(("wanted", "refused", "has", "associations"), TABLE)
def test_what_is_refused_is_made_otherwise_in_as_many_associations_as_there_is_news(
    house: Callable[..., House], wanted: str, refused: str, has: str, associations: int
) -> None:
    one = house(wanted)
    one.refused = classes(refused)
    one.analysed()
    one.turns()
    assert {kind for kind, outcome in one.outcomes().items() if outcome == "stored"} == set(has.split())
    assert len(one.associations) == associations
    assert one.task(TaskKind.DELIVER).state is TaskState.DONE


@pytest.mark.parametrize("wanted", ["IMAGES", "SEG SR", "KOS"])
def test_where_all_is_refused_a_person_is_needed(house: Callable[..., House], wanted: str) -> None:
    one = house(wanted)
    one.refused = frozenset(CLASSES.values())
    one.analysed()
    one.turns()
    task = one.task(TaskKind.REPORT)
    assert (task.state, task.error_code) == (TaskState.PARKED, NOTHING_TAKEN.code)


def test_a_report_whose_points_in_space_are_refused_has_them_in_its_images(
    house: Callable[..., House],
) -> None:
    one = house("SEG SR", coordinates="3d")
    one.refused = frozenset({Comprehensive3DSRStorage})
    one.analysed()
    one.turns()
    assert one.associations[-1] == classes("SEG SR")
    assert one.task(TaskKind.DELIVER).state is TaskState.DONE


# Settings of a destination, and what the report room is asked for by each of them
WISHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"frames_maximum": 400}, {"frames_max": 400}),
    ({"empty_frames": True}, {"empty_frames": True}),
    ({"viewer": "cornerstone"}, {"viewer": "cornerstone"}),
    ({"coordinates": "3d"}, {"spatial": "3d"}),
]


@pytest.mark.parametrize(("set_to", "asked"), WISHES, ids=[next(iter(one)) for one, _ in WISHES])
def test_each_wish_of_a_destination_reaches_those_who_write_its_results(
    house: Callable[..., House], set_to: dict[str, Any], asked: dict[str, Any]
) -> None:
    one = house("SEG SR", **set_to)
    one.analysed()
    one.turns()
    assert one.profiles == [replace(ReportProfile(kinds=("SEG", "SR")), **asked)]


def test_an_object_of_a_class_that_nobody_thought_of_is_not_made_again_and_again(
    house: Callable[..., House],
) -> None:
    """It would be made as it is: the rest is sent, and it waits for a person."""
    one = house("SEG SR")
    one.makes = lambda kind: "RTSTRUCT" if kind == "SEG" else kind
    one.refused = classes("RTSTRUCT")
    one.analysed()
    one.turns()
    assert len(one.associations) == 1
    assert one.outcomes() == {"SEG": "refused", "SR": "stored"}
    task = one.task(TaskKind.DELIVER)
    assert (task.state, task.error_code) == (TaskState.PARKED, NO_PRESENTATION_CONTEXT.code)


def test_results_that_are_made_again_as_they_were_are_sent_back_once(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Desk and courier do not agree on what is to be made: whatever is wrong there, it ends."""
    one = house("SEG SR")
    monkeypatch.setattr(writing_room, "what_it_gets", gets_all)
    one.refused = classes("SEG")
    one.analysed()
    one.turns()
    assert len(one.associations) == 2
    assert one.outcomes() == {"SEG": "refused", "SR": "stored"}


def gets_all(journal: Journal, to: DestinationSettings, *_: object) -> object:
    return what_it_gets(journal, to, "nobody", None, LATER)


def test_what_was_made_before_another_study_taught_the_node_better_is_made_otherwise(
    house: Callable[..., House], journal: Journal
) -> None:
    one = house("SEG SR")
    one.refused = classes("SEG")
    one.analysed()
    report = journal.claim([TaskKind.REPORT], "desk", 60, datetime.now(UTC))
    assert report is not None
    carry_out(report, lambda task, _: one.writer.write(task), journal, 60)
    journal.note_classes(PACS, {CLASSES["SEG"]: False}, datetime.now(UTC))
    one.turns()
    assert one.outcomes() == {"SEG": "replaced", "SR": "stored", "GSPS": "stored"}


def test_one_bad_negotiation_does_not_keep_results_from_being_offered_the_next_hour(
    journal: Journal,
) -> None:
    wants = destination("SEG SR")
    journal.note_classes(PACS, dict.fromkeys(CLASSES.values(), False), NOON)

    def kinds(minutes: int, known: Collection[str] = ()) -> tuple[str, ...]:
        now = NOON + timedelta(minutes=minutes)
        for uid in known:
            journal.note_classes(PACS, {uid: False}, now)
        return what_it_gets(journal, wants, PACS, None, now).choice.kinds

    assert kinds(59) == ()
    assert kinds(61) == ("SEG", "SR")
    assert kinds(62, classes("SEG")) == ("SR", "GSPS")
    assert kinds(63, classes("GSPS SC SR PDF")) == ()
    journal.note_classes(PACS, {CLASSES["SR"]: True}, NOON + timedelta(minutes=64))
    assert kinds(65) == ("SR",)
    assert kinds(60 * 26) == ("SEG", "SR")


@pytest.fixture
def on_a_film(house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> Callable[..., House]:
    """The desk as it is, and a lesion on a picture, which no segmentation can hold."""

    def made(kinds: str, **more: Any) -> House:
        one = house(kinds, **more)
        monkeypatch.setattr(Store, "load_findings", lambda *_: on_a_picture())
        monkeypatch.setattr(writing_room, "make_objects", make_objects)
        monkeypatch.setattr(writing_room, "renaming_of", lambda *_: NO_RENAMING)
        return one

    return made


def told_instead(one: House) -> list[str]:
    return [event.text for event in one.journal.events(STUDY) if event.what == "objects.instead"]


def test_what_a_picture_does_not_allow_is_made_otherwise_and_why_says_so(
    on_a_film: Callable[..., House],
) -> None:
    one = on_a_film("SEG SR")
    one.analysed()
    one.turns()
    assert one.outcomes() == {"GSPS": "stored", "SR": "stored"}
    (said,) = told_instead(one)
    assert said == f"No SEG can be made: the images have no patient space. {PACS} gets GSPS instead."


def test_the_next_best_of_what_a_picture_does_not_allow_is_none_that_is_refused(
    on_a_film: Callable[..., House],
) -> None:
    one = on_a_film("SEG SR")
    one.refused = classes("GSPS SC")
    one.analysed()
    one.turns()
    stored = [each.kind for each in one.journal.deliveries(STUDY) if each.outcome == "stored"]
    assert stored == ["SR"]
    assert one.task(TaskKind.DELIVER).state is TaskState.DONE


@pytest.mark.parametrize(("kinds", "more"), [("RTSTRUCT", {}), ("SEG", {"fallback": False})])
def test_findings_of_which_no_object_can_be_made_wait_for_a_person(
    on_a_film: Callable[..., House], kinds: str, more: dict[str, Any]
) -> None:
    one = on_a_film(kinds, **more)
    one.analysed()
    one.turns()
    task = one.task(TaskKind.REPORT)
    assert (task.state, task.error_code) == (TaskState.PARKED, NOTHING_MADE.code)
    assert f"{kinds}: the images have no patient space" in str(task.error_text)
