"""A new version's report names the one that it takes the place of: which, and which not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.journal import Event, NewTask, TaskKind, TaskRecord, TaskState
from dicomnode.serve.results.replaced import replaced_reports
from dicomnode.settings import AnalyseSettings, DestinationSettings, EngineSettings, Settings
from dicomnode.values import Findings, SourceFrame
from tests.unit.journal.world import ALL_HERE, PACS, STUDY, claim, complete, deliver, later, report, result
from tests.unit.journal.world import receive as receive_instances
from tests.unit.serve.test_clerks import ARCHIVE, ENHANCED_SR
from tests.unit.serve.test_corrections import KOS, Walk, changed, note_on
from tests.unit.store.findings import full_findings
from tests.wire.peers import EXPLICIT_LE, store_scp
from tests.wire.plain_engines import mean_engine, series

ONE_SERIES = '[[input]]\nname = "ct"'
EVERY_SERIES = '[[input]]\nseries = "all"\nname = "ct"'


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return series(tmp_path / "ct", 1)


@pytest.fixture
def engine(tmp_path: Path) -> EngineSettings:
    return EngineSettings(name="mean", path=mean_engine(tmp_path / "mean"))


@pytest.fixture
def walk(store, journal, engine: EngineSettings) -> Iterator[Walk]:
    with store_scp(contexts=[(one, (EXPLICIT_LE,)) for one in (ENHANCED_SR, KOS)]) as archive:
        destination = dataclasses.replace(ARCHIVE, port=archive.peer.port)
        runtime = AnalyseSettings(runtime="onnxruntime")
        settings = Settings(engine=(engine,), analyse=runtime, destination=(destination,))
        walk = Walk(store, journal, settings, archive)
        yield walk
        walk.worker.close()
    walk.ours.close()
    assert walk.stopping.wait(5)
    walk.theirs.close()


def named_in(report: Dataset) -> list[tuple[str, str, str]]:
    """Study, series and instance of each report that is named as replaced."""
    found = []
    for study in report.get("PredecessorDocumentsSequence", ()):
        for of_series in study.ReferencedSeriesSequence:
            for one in of_series.ReferencedSOPSequence:
                assert one.ReferencedSOPClassUID == ENHANCED_SR
                assert [code.CodeValue for code in one.PurposeOfReferenceCodeSequence] == ["121360"]
                found.append(
                    (study.StudyInstanceUID, of_series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
                )
    return found


def ids_of(report: Dataset) -> tuple[str, str, str]:
    return (report.StudyInstanceUID, report.SeriesInstanceUID, report.SOPInstanceUID)


def told_in(report: Dataset) -> bool:
    return "This report takes the place of 1 earlier report on this study." in [
        element.value for element in report.iterall() if element.keyword == "TextValue"
    ]


def first_version(walk: Walk, files: list[Path]) -> str:
    uid = walk.receive(files)
    walk.turn()
    return uid


def late(walk: Walk, uid: str, *files: bytes) -> None:
    walk.send(*files)
    walk.complete(uid)


def test_a_late_image_makes_a_report_that_names_the_one_of_the_version_before(walk, files):
    uid = first_version(walk, files[:4])
    late(walk, uid, files[4].read_bytes())
    late(walk, uid, files[5].read_bytes())
    first, second, third = walk.arrived()
    assert [named_in(one) for one in (first, second, third)] == [[], [ids_of(first)], [ids_of(second)]]
    assert [told_in(one) for one in (first, second, third)] == [False, True, True]


def test_a_corrected_identity_does_not_break_the_chain(walk, files):
    uid = first_version(walk, files)
    late(walk, uid, *(changed(path, PatientID="P2") for path in files))
    first, second = walk.arrived()
    assert first.PatientID != second.PatientID == "P2"
    assert named_in(second) == [ids_of(first)]


def test_a_report_that_was_taken_back_is_not_named_and_the_one_before_it_is_only_if_it_stands(walk, files):
    uid = first_version(walk, files[:4])
    late(walk, uid, files[4].read_bytes())
    first, _ = walk.arrived()
    note = note_on([one.path for one in walk.journal.objects(uid, 2)], "113001")
    late(walk, uid, note, files[5].read_bytes())
    assert named_in(walk.arrived()[-1]) == [ids_of(first)], "the second is rejected, the first is not"
    walk.journal.retract(uid, "113038", datetime.now(UTC))
    walk.turn()
    late(walk, uid, *(changed(path, PatientID="P2") for path in files))
    assert named_in(walk.arrived()[-1]) == []


def test_images_that_are_rejected_take_their_report_out_of_the_chain(walk, files):
    uid = first_version(walk, files)
    late(walk, uid, note_on(files[-1:], "113001"))
    assert len(walk.arrived()) == 2
    assert named_in(walk.arrived()[-1]) == []


def test_what_no_archive_has_is_not_named(walk, files):
    uid = walk.receive(files[:-1])
    walk.do(TaskKind.DISPATCH, walk.desk.work)
    walk.do(TaskKind.ANALYSE, walk.worker.work)
    walk.do(TaskKind.REPORT, walk.desk.work)
    late(walk, uid, files[-1].read_bytes())
    assert [one.state for one in walk.journal.tasks(uid) if one.kind is TaskKind.DELIVER] == [
        TaskState.SUPERSEDED,
        TaskState.DONE,
    ]
    (only,) = walk.arrived()
    assert named_in(only) == []


def test_each_destination_is_told_of_what_it_has(walk, files):
    """One gets reports since the second version only: for it nothing is replaced."""
    uid = first_version(walk, files[:-1])
    (first,) = walk.arrived()
    second = DestinationSettings(name="second", ae_title="ARCHIVE", host="127.0.0.1", objects=("SR",))
    settings = dataclasses.replace(walk.settings, destination=(*walk.settings.destination, second))
    walk.worker.close()
    fresh = Walk(walk.store, walk.journal, settings, walk.archive)
    fresh.send(files[-1].read_bytes())
    assert walk.journal.close_study(uid, ALL_HERE, datetime.now(UTC)) is not None
    fresh.do(TaskKind.DISPATCH, fresh.desk.work)
    fresh.do(TaskKind.ANALYSE, fresh.worker.work)
    for _ in settings.destination:
        fresh.do(TaskKind.REPORT, fresh.desk.work)
    made = [dcmread(one.path) for one in walk.journal.objects(uid, 2)]
    assert sorted(map(named_in, made)) == [[], [ids_of(first)]]
    assert len({one.SOPInstanceUID for one in made}) == 2
    fresh.worker.close()
    fresh.ours.close()
    fresh.theirs.close()


def test_of_several_series_each_report_names_the_one_on_its_own(walk, engine, files):
    """A late series stands before the others: the numbers of the analyses change."""
    text = (engine.path / "engine.toml").read_text()
    assert ONE_SERIES in text
    (engine.path / "engine.toml").write_text(text.replace(ONE_SERIES, EVERY_SERIES))
    three = [of_series(files, number) for number in (3, 5, 7)]
    for path, content in zip(files, three[1], strict=True):
        path.write_bytes(content)
    walk.send(*three[2])
    uid = first_version(walk, files)
    before = {_series_of(one): one for one in walk.arrived()}
    assert analysed_as(walk, uid, 1) == {"mean": "1.2.9.5", "mean:2": "1.2.9.7"}
    late(walk, uid, *three[0])
    after = {_series_of(one): one for one in walk.arrived()[2:]}
    assert analysed_as(walk, uid, 2) == {"mean": "1.2.9.3", "mean:2": "1.2.9.5", "mean:3": "1.2.9.7"}
    assert {number: named_in(report) for number, report in after.items()} == {
        "1.2.9.3": [],
        "1.2.9.5": [ids_of(before["1.2.9.5"])],
        "1.2.9.7": [ids_of(before["1.2.9.7"])],
    }


def of_series(files: list[Path], number: int) -> list[bytes]:
    """The same images once more, as another series of the study."""
    copies = []
    for n, path in enumerate(files):
        image, target = dcmread(path), BytesIO()
        image.SeriesInstanceUID = f"1.2.9.{number}"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}.{n}"
        image.save_as(target)
        copies.append(target.getvalue())
    return copies


def analysed_as(walk: Walk, uid: str, version: int) -> dict[str, str]:
    return {
        one.engine: one.payload["series_instance_uid"]
        for one in walk.journal.tasks(uid)
        if one.kind is TaskKind.ANALYSE and one.study_version == version
    }


def _series_of(report: Dataset) -> str:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (of_series,) = study.ReferencedSeriesSequence
    return str(of_series.SeriesInstanceUID)


def test_of_several_stacks_of_a_series_each_report_names_the_one_on_its_own_images(store, journal):
    """A late image makes the second stack the first: the numbers of both change."""
    receive_instances(journal)
    first = reported(store, journal, 1, {"mean": "ab", "mean:2": "cd"})
    receive_instances(journal, 1, first=9, at=later(5))
    second = written(store, journal, 2, {"mean": "cde", "mean:2": "ab", "mean:3": "f"})
    assert {name: names_of(*one, journal) for name, one in second.items()} == {
        "mean": [first["mean:2"]],
        "mean:2": [first["mean"]],
        "mean:3": [],
    }


def test_stacks_that_become_one_are_both_replaced_by_it(store, journal):
    receive_instances(journal)
    first = reported(store, journal, 1, {"mean": "ab", "mean:2": "cd", "mean:3": "f"})
    receive_instances(journal, 1, first=9, at=later(5))
    second = written(store, journal, 2, {"mean": "abecd", "mean:2": "f"})
    assert sorted(names_of(*second["mean"], journal)) == sorted([first["mean"], first["mean:2"]])


def test_where_earlier_findings_cannot_be_read_the_number_of_the_stack_tells(store, journal, logged):
    receive_instances(journal)
    first = reported(store, journal, 1, {"mean": "ab", "mean:2": "cd"})
    for one in journal.findings(STUDY):
        one.path.write_bytes(b"damaged")
    receive_instances(journal, 1, first=9, at=later(5))
    second = written(store, journal, 2, {"mean": "abe", "mean:2": "cd"})
    assert names_of(*second["mean:2"], journal) == [first["mean:2"]]
    assert "findings.unreadable" in {line["event"] for line in logged}


def written(store, journal, version: int, stacks: dict[str, str]) -> dict[str, tuple[TaskRecord, Findings]]:
    """Analyse the stacks of one series, each of images with a letter for a name; give what reports are of."""
    at = later(10 * version)
    complete(journal, at=at)
    series_uid = full_findings().sources[0].series_instance_uid
    work = [
        NewTask(
            kind=TaskKind.ANALYSE, study_instance_uid=STUDY, study_version=version, engine=engine,
            payload={"series_instance_uid": series_uid, "stack": number},
        )
        for number, engine in enumerate(stacks)
    ]  # fmt: skip
    journal.finish(claim(journal, TaskKind.DISPATCH, at), Event.COMMITTED, at, new_tasks=work)
    found = {}
    for images in stacks.values():
        analysis = claim(journal, TaskKind.ANALYSE, at)
        whole = full_findings(study_version=version)
        frames = tuple(SourceFrame(f"{series_uid}.{ord(letter)}") for letter in images)
        findings = dataclasses.replace(whole, sources=(dataclasses.replace(whole.sources[0], frames=frames),))
        path = store.save_findings(findings)
        following = report(version=version, engine=analysis.engine or "")
        journal.finish(analysis, Event.COMMITTED, at, finding_path=path, new_tasks=[following])
        found[analysis.engine or ""] = findings
    tasks = [claim(journal, TaskKind.REPORT, at) for _ in stacks]
    return {task.engine or "": (task, found[task.engine or ""]) for task in tasks}


def reported(store, journal, version: int, stacks: dict[str, str]) -> dict[str, str]:
    """Send the reports of a version; give their UIDs by analysis."""
    made = {}
    for number, (engine, (task, _)) in enumerate(written(store, journal, version, stacks).items()):
        one = result(number, "SR", version=version, engine=engine)
        sent = dataclasses.replace(deliver(version=version), engine=engine)
        journal.finish(task, Event.COMMITTED, later(20), objects=[one], new_tasks=[sent])
        sending = claim(journal, TaskKind.DELIVER, later(20))
        journal.record_delivery(sending, one.sop_instance_uid, "stored", 0, "", later(20))
        journal.finish(sending, Event.COMMITTED, later(20))
        made[engine] = one.sop_instance_uid
    return made


def names_of(task: TaskRecord, findings: Findings, journal) -> list[str]:
    at_pacs = dataclasses.replace(task, destination=PACS)
    return [one.sop_instance_uid for one in replaced_reports(at_pacs, findings, journal)]
