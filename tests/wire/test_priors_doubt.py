"""A prior is taken only if it is the patient's, and whatever keeps it away, the analysis follows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from structlog.testing import capture_logs

from dicomnode.faults import FILE_UNREADABLE, JOURNAL_FAILED, NodeError
from dicomnode.journal import Event, ExpectedPrior, NewTask, TaskKind, TaskRecord, TaskState
from dicomnode.serve.analysing import analysis
from dicomnode.serve.asking.given_priors import GivenPrior, Priors, payload_of, priors_of, without_priors
from dicomnode.serve.asking.priors import PriorClerk
from dicomnode.serve.work.carry import carry_out
from dicomnode.settings import QuerySettings
from tests.unit.serve.test_corrections import changed, note_on
from tests.wire.earlier import (
    BEFORE_UID,
    FIND,
    NOW_UID,
    PATIENT_ID,
    SLICES,
    examination,
    query_scp,
    web_server,
)
from tests.wire.test_priors import Site, _package, looked, package_folder, said, site

__all__ = ["package_folder"]

pytestmark = [pytest.mark.wire]

SERIES_UID = f"{BEFORE_UID}.1"
PRIOR_OF = GivenPrior(study_instance_uid=BEFORE_UID, series_instance_uid=SERIES_UID, stack=0, days=365)


def earlier(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
    """What an archive says that has the earlier study, and its images here already."""
    found = Dataset()
    found.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
    found.StudyInstanceUID = BEFORE_UID
    if found.QueryRetrieveLevel == "STUDY":
        found.PatientID, found.StudyDate, found.StudyTime = PATIENT_ID, "20250601", "101500"
    else:
        found.SeriesInstanceUID, found.Modality = SERIES_UID, "CT"
        found.NumberOfSeriesRelatedInstances = SLICES
    yield 0xFF00, found


@contextlib.contextmanager
def archive(
    find: Callable[[evt.Event], Iterator[tuple[int, Dataset]]] = earlier,
) -> Iterator[QuerySettings]:
    with query_scp((FIND,), (evt.EVT_C_FIND, find)) as peer:
        yield QuerySettings(
            name="PACS1", ae_title=peer.ae_title, host="127.0.0.1", port=peer.port, timeout_s=30.0
        )


def before(folder: Path, **header: str) -> list[Path]:
    files = examination(folder / "before", BEFORE_UID, "20250601")
    for file in files if header else ():
        file.write_bytes(changed(file, **header))
    return files


# ── whose it is ──


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"PatientID": "PRIOR-2"}, "it has another Patient ID"),
        ({"PatientBirthDate": "19010101"}, "it has the same Patient ID, but another"),
        ({"PatientSex": "M"}, "it has the same Patient ID, but another"),
        ({"IssuerOfPatientID": "ELSEWHERE"}, None),
    ],
)
def test_what_came_is_taken_only_if_nothing_speaks_against_its_patient(
    tmp_path: Path, package_folder: Path, header: dict[str, str], reason: str | None
) -> None:
    ours = {"PatientBirthDate": "19600203", "PatientSex": "F"}
    with archive() as query, site(tmp_path, package_folder, query, header=ours) as here:
        here.receive(before(tmp_path, **{**ours, **header}), "PACS")
        task = looked(here)
        if reason is None:
            assert task.payload["prior.before.study"] == BEFORE_UID
        else:
            assert reason in str(task.payload["prior.before.none"])
            assert reason in said(here, "prior.none")


@pytest.mark.parametrize("modality", ["CT", "MR"], ids=["that serves", "that does not"])
def test_of_an_archive_that_lists_fewer_series_than_it_has_what_it_lists_is_looked_at(
    tmp_path: Path, package_folder: Path, modality: str
) -> None:
    def of_two(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for status, found in earlier(event):
            if found.QueryRetrieveLevel == "STUDY":
                found.NumberOfStudyRelatedSeries = 2
            else:
                found.Modality = modality
            yield status, found

    with archive(of_two) as query, site(tmp_path, package_folder, query) as here:
        here.receive(before(tmp_path), "PACS")
        payload = looked(here).payload
        if modality == "CT":
            assert payload["prior.before.study"] == BEFORE_UID
        else:
            reason = str(payload["prior.before.none"])
            assert reason.endswith("; of 2 series of an earlier study it lists 1")


@pytest.mark.parametrize(
    ("patient_id", "reason"),
    [
        ("PRIOR-?", "holds a character that stands for any other in a query"),
        ("UNKNOWN", "says nothing of whose the study is"),
        ("0000", "says nothing of whose the study is"),
    ],
)
def test_a_patient_id_that_others_have_too_is_never_asked_for(
    tmp_path: Path, package_folder: Path, patient_id: str, reason: str
) -> None:
    asked: list[str] = []

    def note(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        asked.append(event.identifier.QueryRetrieveLevel)
        yield from earlier(event)

    with (
        archive(note) as query,
        site(tmp_path, package_folder, query, header={"PatientID": patient_id}) as here,
    ):
        assert reason in str(looked(here).payload["prior.before.none"])
    assert asked == []


# ── between the fetch and the analysis ──


def given(here: Site, files: list[Path]) -> TaskRecord:
    """Fetch the earlier study, and give it to the analysis."""
    until_then = here.now() + timedelta(hours=1)
    here.journal.expect_prior(
        ExpectedPrior(study_instance_uid=BEFORE_UID, wanted_by=NOW_UID, calling_ae="PACS", until=until_then)
    )
    here.receive(files, "PACS")
    task = here.journal.claim([TaskKind.FETCH], "w", 60.0, here.now())
    assert task is not None
    analyse = NewTask(
        kind=TaskKind.ANALYSE,
        study_instance_uid=NOW_UID,
        study_version=1,
        engine=task.engine,
        payload={**without_priors(task.payload), **payload_of("before", PRIOR_OF)},
    )
    here.journal.finish(task, Event.COMMITTED, here.now(), new_tasks=[analyse])
    return here.journal.tasks(NOW_UID)[-1]


def at_the_analysis(here: Site, task: TaskRecord, package: Path) -> Priors:
    return priors_of(_package(package).manifest, task, here.journal)


def rejected(files: list[Path], folder: Path) -> list[Path]:
    note = folder / "note.dcm"
    note.write_bytes(note_on(files, "113037"))
    return [note]


def of_somebody_else(files: list[Path], _: Path) -> list[Path]:
    for file in files:
        file.write_bytes(changed(file, PatientID="PRIOR-2"))
    return files


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (of_somebody_else, "it has another Patient ID"),
        (rejected, f"series {SERIES_UID} is not in the store any more"),
    ],
)
def test_a_prior_that_was_corrected_or_rejected_since_its_fetch_is_none(
    tmp_path: Path,
    package_folder: Path,
    happens: Callable[[list[Path], Path], list[Path]],
    reason: str,
) -> None:
    with site(tmp_path, package_folder) as here:
        files = before(tmp_path)
        task = given(here, files)
        assert set(at_the_analysis(here, task, package_folder).stacks) == {"before"}
        here.receive(happens(files, tmp_path), "PACS")
        priors = at_the_analysis(here, task, package_folder)
        assert (priors.stacks, priors.reasons) == ({}, {"before": reason})


def test_a_prior_whose_file_goes_before_the_analysis_is_none(tmp_path: Path, package_folder: Path) -> None:
    with site(tmp_path, package_folder) as here:
        task = given(here, before(tmp_path))
        here.journal.instances(BEFORE_UID)[3].path.unlink()
        priors = at_the_analysis(here, task, package_folder)
        assert priors.stacks == {}
        assert "cannot be read" in priors.reasons["before"]


def test_a_prior_whose_file_goes_during_the_analysis_is_none(
    tmp_path: Path, package_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise NodeError(FILE_UNREADABLE, path="1.dcm", error="no such file or directory")

    with site(tmp_path, package_folder) as here:
        priors = at_the_analysis(here, given(here, before(tmp_path)), package_folder)
        monkeypatch.setattr(analysis, "load_volume", gone)
        left = analysis._load_priors(priors, {}, lambda *_: None, lambda *_: [])
        assert left.stacks == {}
        assert "1.dcm" in left.reasons["before"]


# ── whatever happens ──


def nested(request: BaseHTTPRequestHandler) -> None:
    content = b"[" * 100_000
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def test_json_that_nests_without_end_is_a_reason(tmp_path: Path, package_folder: Path) -> None:
    with web_server(nested) as peer:
        query = QuerySettings(name="WEB1", url=peer.url, timeout_s=30.0)
        with site(tmp_path, package_folder, query) as here:
            assert "no DICOM JSON" in str(looked(here).payload["prior.before.none"])


def test_a_prior_whose_file_is_gone_is_a_reason(tmp_path: Path, package_folder: Path) -> None:
    with archive() as query, site(tmp_path, package_folder, query) as here:
        here.receive(before(tmp_path), "PACS")
        gone = here.journal.instances(BEFORE_UID)[0].path
        gone.unlink()
        reason = str(looked(here).payload["prior.before.none"])
        assert "cannot be read" in reason
        assert str(gone.parent) not in reason  # it becomes a sentence of the result


def test_a_secret_that_cannot_be_read_is_a_reason_whose_place_is_in_the_log(
    tmp_path: Path, package_folder: Path
) -> None:
    query = QuerySettings(name="WEB1", url="https://127.0.0.1:1/rs", ca_file=tmp_path / "site" / "roots.pem")
    with site(tmp_path, package_folder, query) as here, capture_logs() as lines:
        reason = str(looked(here).payload["prior.before.none"])
    assert "roots.pem" in reason
    assert str(tmp_path) not in reason
    (line,) = [one for one in lines if one["event"] == "priors.unanswered"]
    assert str(tmp_path / "site" / "roots.pem") in str(line)


def test_what_nobody_foresaw_is_a_reason_and_a_bug_in_the_log(
    tmp_path: Path, package_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("Prior^Phantom")

    monkeypatch.setattr("dicomnode.serve.asking.priors.find_earlier", fails)
    with archive() as query, site(tmp_path, package_folder, query) as here:
        with capture_logs() as lines:
            reason = str(looked(here).payload["prior.before.none"])
        assert reason.startswith("Unexpected error in the search for priors at PACS1: KeyError")
        (line,) = [one for one in lines if one["event"] == "priors.failed"]
        assert line["log_level"] == "error"
        assert "Prior^Phantom" not in f"{reason}{line}"


def test_what_may_pass_is_waited_for(
    tmp_path: Path, package_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise NodeError(JOURNAL_FAILED, error="database is locked")

    monkeypatch.setattr("dicomnode.serve.asking.priors.find_earlier", fails)
    with archive() as query, site(tmp_path, package_folder, query) as here:
        clerk = PriorClerk(here.settings, here.store, here.journal, here.stopping)
        task = clerk._claim()
        assert task is not None
        carry_out(task, clerk.work, here.journal, 60.0)
        (search,) = [one for one in here.journal.tasks(NOW_UID) if one.kind is not TaskKind.DISPATCH]
        assert (search.kind, search.state) == (TaskKind.FETCH, TaskState.RETRY)


def test_a_search_that_was_given_up_says_so_at_the_analysis(tmp_path: Path, package_folder: Path) -> None:
    with site(tmp_path, package_folder) as here:
        search = here.journal.claim([TaskKind.FETCH], "w", 60.0, here.now())
        assert search is not None
        broken = NodeError(FILE_UNREADABLE, path="1.dcm", error="input/output error")
        here.journal.finish(search, Event.NEEDS_PERSON, here.now(), error=broken)
        priors = at_the_analysis(here, here.journal.tasks(NOW_UID)[-1], package_folder)
        assert priors.reasons == {"before": broken.fault.text(**broken.values).rstrip(".")}


def test_an_analysis_is_as_urgent_as_its_search(tmp_path: Path, package_folder: Path) -> None:
    with site(tmp_path, package_folder) as here:
        clerk = PriorClerk(here.settings, here.store, here.journal, here.stopping)
        task = clerk._claim()
        assert task is not None
        carry_out(replace(task, priority=7), clerk.work, here.journal, 60.0)
        assert here.journal.tasks(NOW_UID)[-1].priority == 7
