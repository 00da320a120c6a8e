"""`dicomnode why STUDY --out DIR`: what an engine in shadow found, as files for people."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pydicom
import pytest

from dicomnode.analyse import Analyst
from dicomnode.assemble import read_studies
from dicomnode.engine import load_package
from dicomnode.journal import Event, Journal, NewTask, TaskKind
from dicomnode.serve import Occasion
from dicomnode.serve.analysing.analysis import analyse_stack
from dicomnode.store import Store
from dicomnode.values import Instance, Outcome, Remark, RemarkKind, Sender, no_progress
from tests.unit.cli.test_commands import config, journal, run  # noqa: F401  fixtures
from tests.unit.journal.world import Ids, claim, complete

SALT = bytes(32)


@pytest.fixture(scope="module")
def analysed(small_phantom, lungs_engine):
    """The phantom's stack and what the engine found of it."""
    (study,) = read_studies(small_phantom.files).studies
    (stack,) = study.series[0].stacks
    analyst = Analyst(load_package(lungs_engine), threads=1, node_version="test")
    occasion = Occasion(study_version=1, made_at=datetime(2026, 3, 1, 12, tzinfo=UTC), salt=SALT)
    findings, _ = analyse_stack(analyst, stack, occasion, no_progress)
    analyst.close()
    return findings


@pytest.fixture
def kept(small_phantom, analysed, journal, config, tmp_path) -> tuple[str, list[Path]]:  # noqa: F811
    """A node whose engine in shadow has analysed the phantom; give the study, and its files there."""
    text = config.read_text()
    config.write_text(text.replace('name = "lung-ct"\n', 'name = "lung-ct"\nmode = "shadow"\n'))
    files = []
    for path in small_phantom.files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        copy = tmp_path / "store" / path.name
        copy.write_bytes(path.read_bytes())
        files.append((header, copy))
    study = str(files[0][0].StudyInstanceUID)
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    journal.add_instances([(_instance(header, path, now), Ids()) for header, path in files], now)
    complete(journal, study)
    with Store.open(config.parent / "store") as store:
        path = store.save_findings(analysed)
    task = NewTask(kind=TaskKind.ANALYSE, study_instance_uid=study, study_version=1, engine="lungs")
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, now, new_tasks=[task])
    journal.finish(claim(journal, TaskKind.ANALYSE), Event.COMMITTED, now, finding_path=path)
    return study, [path for _, path in files]


def _instance(header: pydicom.Dataset, path: Path, now: datetime) -> Instance:
    return Instance(
        sop_instance_uid=str(header.SOPInstanceUID),
        sop_class_uid=str(header.SOPClassUID),
        study_instance_uid=str(header.StudyInstanceUID),
        series_instance_uid=str(header.SeriesInstanceUID),
        transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
        path=path,
        size=path.stat().st_size,
        digest=sha256(path.read_bytes()).hexdigest(),
        received_at=now,
        sender=Sender(calling_ae="CT1", called_ae="DICOMNODE", address="10.0.0.7"),
    )


def test_objects_and_pictures_of_kept_findings_are_written_and_marked_as_not_delivered(
    run,  # noqa: F811
    config,  # noqa: F811
    kept,
    analysed,
    tmp_path,
):
    out_folder = tmp_path / "out"
    status, out, _ = run("why", kept[0], "--config", config, "--out", out_folder, "--json")
    written = json.loads(out)["written"]
    assert (status, written["delivered"], written["problems"]) == (0, False, [])
    assert sorted(one["kind"] for one in written["objects"]) == ["SEG", "SR"]
    assert len(written["pictures"]) == 1
    files = {Path(one["path"]) for one in written["objects"]} | set(map(Path, written["pictures"]))
    assert files == set(out_folder.iterdir())
    assert all(path.name.startswith("not-delivered-") for path in files)
    for one in written["objects"]:  # the name of a file is lost where it is imported
        read = pydicom.dcmread(one["path"])
        assert read.SeriesDescription.startswith("Not for clinical use: ")
        assert read.ContentQualification == "RESEARCH"
    (segmentation,) = [one for one in written["objects"] if one["kind"] == "SEG"]
    made = pydicom.dcmread(segmentation["path"])
    assert made.StudyInstanceUID == kept[0]
    assert [one.SegmentLabel for one in made.SegmentSequence] == [one.label for one in analysed.segments]


def test_two_writings_share_no_uid_so_that_none_is_taken_for_a_delivery(run, config, kept, tmp_path):  # noqa: F811
    uids = []
    for name in ("a", "b"):
        _, out, _ = run("why", kept[0], "--config", config, "--out", tmp_path / name, "--json")
        uids += [one["sop_instance_uid"] for one in json.loads(out)["written"]["objects"]]
    assert len(set(uids)) == 4


def test_for_people_it_says_that_nobody_was_sent_them(run, config, kept, tmp_path):  # noqa: F811
    status, out, err = run("why", kept[0], "--config", config, "--out", tmp_path / "out")
    assert status == 0
    assert "Written anew, not delivered" in out
    assert "was delivered" in err


def test_where_source_images_are_gone_that_is_said_and_the_objects_are_written_all_the_same(
    run,  # noqa: F811
    config,  # noqa: F811
    kept,
    tmp_path,
):
    for path in kept[1][:5]:
        path.unlink()
    arguments = ["why", kept[0], "--config", config, "--out", tmp_path / "out"]
    status, out, _ = run(*arguments, "--json")
    written = json.loads(out)["written"]
    assert (status, written["pictures"], len(written["objects"])) == (4, [], 2)
    (problem,) = written["problems"]
    assert (problem["engine"], problem["code"]) == ("lungs", "DN-4282")
    assert "5 of the 112 images" in problem["text"]
    assert "not in the store any more" in " ".join(run(*arguments)[2].split())


def test_where_a_source_image_is_damaged_no_picture_shows_another_volume(run, config, kept, tmp_path):  # noqa: F811
    kept[1][50].write_bytes(b"no image any more")
    status, out, _ = run("why", kept[0], "--config", config, "--out", tmp_path / "out", "--json")
    written = json.loads(out)["written"]
    assert (status, written["pictures"], len(written["objects"])) == (4, [], 2)
    assert "do not make the volume any more" in written["problems"][0]["text"]


def test_findings_that_cannot_be_read_are_told(run, config, kept, tmp_path):  # noqa: F811
    (path,) = (config.parent / "store" / "findings").iterdir()
    path.write_bytes(b"torn")
    status, out, _ = run("why", kept[0], "--config", config, "--out", tmp_path / "out", "--json")
    written = json.loads(out)["written"]
    assert (status, written["objects"], written["problems"][0]["engine"]) == (4, [], "lungs")
    assert not (tmp_path / "out").exists()


def test_why_an_analysis_came_to_nothing_is_told_with_its_code(run, config, kept, analysed):  # noqa: F811
    said = Remark(kind=RemarkKind.NOT_ANALYSED, text="The pixels of 1.2.3 are cut.", code="DN-3011")
    refused = replace(analysed, outcome=Outcome.NOT_ANALYSED, segments=(), remarks=(said,))
    (path,) = (config.parent / "store" / "findings").iterdir()
    path.unlink()
    with Store.open(config.parent / "store") as store:
        store.save_findings(refused).rename(path)  # as if nothing else had been kept
    _, out, _ = run("why", kept[0], "--config", config, "--json")
    (row,) = json.loads(out)["analyses"]
    assert row["outcome"] == "not-analysed"
    assert row["series_instance_uid"] == analysed.sources[0].series_instance_uid
    assert row["remarks"] == [{"kind": "not-analysed", "code": "DN-3011", "text": said.text}]
    _, out, _ = run("why", kept[0], "--config", config)
    assert "DN-3011" in out


def test_a_remark_without_a_code_is_told_without_one(run, config, kept, analysed):  # noqa: F811
    said = Remark(kind=RemarkKind.QUALITY, text="The kernel is soft.", code=None)
    (path,) = (config.parent / "store" / "findings").iterdir()
    path.unlink()
    with Store.open(config.parent / "store") as store:
        assert store.save_findings(replace(analysed, remarks=(said,))) == path
    _, out, _ = run("why", kept[0], "--config", config)
    assert "The kernel is soft." in out
    assert "(None)" not in out


def test_a_study_that_nobody_analysed_has_nothing_to_write(run, config, journal: Journal, tmp_path):  # noqa: F811
    from tests.unit.journal.world import STUDY, receive

    receive(journal)
    status, out, _ = run("why", STUDY, "--config", config, "--out", tmp_path / "out", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (3, "DN-4281")


def test_a_folder_that_takes_no_files_is_told_first(run, config, kept):  # noqa: F811
    status, out, _ = run("why", kept[0], "--config", config, "--out", "/proc/out", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "DN-9008")
