"""A new version's report names the one that it takes the place of: which, and which not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.journal import TaskKind, TaskState
from dicomnode.settings import AnalyseSettings, DestinationSettings, EngineSettings, Settings
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve.test_clerks import ARCHIVE, ENHANCED_SR
from tests.unit.serve.test_corrections import KOS, Walk, changed, note_on
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
