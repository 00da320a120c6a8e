"""An engine that asks for an earlier study: found, fetched by each way, kept apart; or the reason why not."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from onnx import TensorProto

from dicomnode.analyse import Analyst
from dicomnode.assemble import read_studies
from dicomnode.engine import EnginePackage, load_package
from dicomnode.faults import FETCHED_AS_PRIOR, NO_PRIOR
from dicomnode.journal import Journal, StudyState, TaskKind, TaskRecord, TaskState
from dicomnode.serve.analysing.analysis import Beside, analyse_stack
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.asking.given_priors import priors_of
from dicomnode.serve.asking.priors import PriorClerk
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.results.desk import Desk
from dicomnode.serve.work.carry import carry_out
from dicomnode.settings import (
    EngineSettings,
    PriorsSettings,
    QuerySettings,
    ReceiveSettings,
    SenderSettings,
    Settings,
    StoreSettings,
)
from dicomnode.store import InstanceIds, Store, read_ids
from dicomnode.values import Findings, Instance, Outcome, Sender, no_progress
from tests.unit.analyse.forms import CT, LESION, ONE, engine, node, onnx_bytes, step
from tests.unit.journal.world import ALL_HERE
from tests.unit.serve.test_corrections import changed
from tests.wire.earlier import (
    BEFORE_UID,
    NOW_UID,
    SLICES,
    dicomweb_plugin,
    earlier_ones,
    examination,
    fill,
    until_gone,
    web_server,
)
from tests.wire.peers import DEADLINE_S, Orthanc, free_port, orthanc, silent, socket_peer
from tests.wire.receive_peer import Running, running

pytestmark = [pytest.mark.wire]

PRIOR = """
[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }, { fact = "spacing_k_mm", at_most = 3.5 }]
outside = -1000.0
register = "rigid"
[input.prior]
"""


@pytest.fixture(scope="module")
def package_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = onnx_bytes(
        [node("Sub", ["a", "b"], ["y"])],
        [("a", [1, 1, "k", "j", "i"]), ("b", [1, 1, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], TensorProto.FLOAT)],
    )
    keys = 'inputs = { a = ["ct"], b = ["before"] }\ninterpret = "map"'
    body = step(keys=keys, gate="shapes = { a = [1, 1, 8, 8, 8], b = [1, 1, 8, 8, 8] }")
    body += f'[[output]]\nmap = "difference"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    folder = tmp_path_factory.mktemp("engines") / "growth"
    engine(folder, body, {"net.onnx": network}, CT + PRIOR)
    return folder


class Site:
    """A store, a journal, and the clerks that a study passes until its analysis, one turn at a time."""

    def __init__(self, store: Store, journal: Journal, settings: Settings) -> None:
        self.store, self.journal, self.settings = store, journal, settings
        self.stopping = threading.Event()
        self._entering = threading.Lock()

    def enter(self) -> None:
        """Make rows of what is sealed; one at a time does, as the scheduler is one thread."""
        with self._entering:
            ingest(self.store, self.journal, self.now())

    def receive(self, files: list[Path], calling_ae: str = "SCANNER") -> None:
        for file in files:
            with self.store.new_part() as part:
                part.writev((file.read_bytes()[128:],))
                part.seal(
                    Sender(calling_ae=calling_ae, called_ae="DICOMNODE", address="127.0.0.1"), self.now()
                )
        self.enter()

    def now(self) -> datetime:
        return datetime.now(UTC)


def one_turn(clerk: Desk | PriorClerk) -> None:
    """Let a clerk do the task that waits for it."""
    task = clerk._claim()
    assert task is not None
    carry_out(task, clerk.work, clerk._journal, 60.0)


@contextlib.contextmanager
def entering(here: Site) -> Iterator[None]:
    """What the scheduler's loop does meanwhile: what is sealed gets its rows."""
    end = threading.Event()

    def turn() -> None:
        while not end.is_set():
            here.enter()
            end.wait(0.05)

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(DEADLINE_S)


@contextlib.contextmanager
def site(
    tmp_path: Path,
    package: Path,
    *query: QuerySettings,
    header: Mapping[str, str] | None = None,
    **priors: float,
) -> Iterator[Site]:
    settings = Settings(
        store=StoreSettings(path=tmp_path / "store", reserve_gb=0.0),
        engine=(EngineSettings(name="growth", path=package, mode="shadow"),),
        query=query,
        priors=PriorsSettings(**{"time_s": DEADLINE_S, **priors}),  # type: ignore[arg-type]
    )
    with (
        Store.open(tmp_path / "store") as store,
        Journal.open(f"sqlite:///{store.root}/journal.sqlite") as journal,
    ):
        here = Site(store, journal, settings)
        files = examination(tmp_path / "now", NOW_UID, "20260601")
        for file in files if header else ():
            file.write_bytes(changed(file, **(header or {})))
        here.receive(files)
        journal.close_study(NOW_UID, ALL_HERE, here.now())
        one_turn(Desk(settings, store, journal, here.stopping))
        (task,) = [t for t in journal.tasks(NOW_UID) if t.kind is not TaskKind.DISPATCH]
        assert task.kind is TaskKind.FETCH
        with entering(here):
            yield here


def looked(here: Site) -> TaskRecord:
    """Look for priors, and give the analysis that follows."""
    one_turn(PriorClerk(here.settings, here.store, here.journal, here.stopping))
    (task,) = [t for t in here.journal.tasks(NOW_UID) if t.kind is TaskKind.ANALYSE]
    assert task.state is TaskState.READY
    return task


def said(here: Site, what: str) -> str:
    (event,) = [one for one in here.journal.events(NOW_UID) if one.what == what]
    return event.text


def check_found(here: Site, task: TaskRecord) -> None:
    """The prior is in the store, named to the analysis, and analysed by nobody."""
    assert task.payload["prior.before.study"] == BEFORE_UID
    assert task.payload["prior.before.days"] == 365
    assert "365 days older" in said(here, "prior.found")
    study = here.journal.study(BEFORE_UID)
    assert (study.state, study.instances, study.version) == (StudyState.REFUSED, SLICES, 1)
    assert study.reason == FETCHED_AS_PRIOR.text(study=NOW_UID)
    assert here.journal.open_studies(here.now() + timedelta(days=1)) == []
    assert here.journal.tasks(BEFORE_UID) == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return earlier_ones(tmp_path_factory.mktemp("earlier"))


@contextlib.contextmanager
def archive_with(files: list[Path], folder: Path, **settings: object) -> Iterator[Orthanc]:
    folder.mkdir()
    with orthanc(folder, DicomAlwaysAllowMove=True, **settings) as server:
        fill(server, files)
        yield server


def dimse(server: Orthanc) -> QuerySettings:
    return QuerySettings(name="PACS1", ae_title="ORTHANC", host="127.0.0.1", port=server.peer.port)


def test_a_prior_is_fetched_by_c_get_and_the_engine_gets_it(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    with archive_with(files, tmp_path / "o") as server, site(tmp_path, package_folder, dimse(server)) as here:
        task = looked(here)
        check_found(here, task)
        analyst = Analyst(_package(package_folder), threads=1, node_version="9.9")
        try:
            findings = _analysed(here, analyst, task)
        finally:
            analyst.close()
        # Two volumes of noise do not match: the engine ran without, and the result says so
        assert findings.outcome is Outcome.FINDINGS
        assert BEFORE_UID in findings.provenance.details["prior before"]
        assert "365 days before" in findings.provenance.details["prior before"]
        assert "2025" not in findings.provenance.details["prior before"]
        assert any(remark.text.startswith("No prior for input 'before'") for remark in findings.remarks)


def _package(folder: Path) -> EnginePackage:
    return load_package(folder)


def _analysed(here: Site, analyst: Analyst, task: TaskRecord) -> Findings:
    stacks = [
        stack
        for study in read_studies([one.path for one in here.journal.instances(NOW_UID)]).studies
        for series in study.series
        for stack in series.stacks
    ]
    occasion = Occasion(study_version=1, made_at=here.now(), salt=b"s" * 32)
    priors = priors_of(analyst.package.manifest, task, here.journal)
    found, _ = analyse_stack(analyst, stacks[0], occasion, no_progress, beside=Beside(priors=priors))
    return found


@contextlib.contextmanager
def moving(
    tmp_path: Path, package: Path, files: list[Path], **priors: float
) -> Iterator[tuple[Site, Running]]:
    """A site and an archive that offers C-MOVE alone, and knows where to move to."""
    senders = [SenderSettings(ae_title="ORTHANC", address="127.0.0.1")]
    with (
        archive_with(files, tmp_path / "o", DicomAlwaysAllowGet=False) as server,
        site(tmp_path, package, dimse(server), **priors) as here,
        running(here.store.root, ReceiveSettings(address="127.0.0.1", port=0), senders) as node,
    ):
        known = {"AET": "DICOMNODE", "Host": "127.0.0.1", "Port": node.port, "AllowGet": False}
        entry = json.dumps(known).encode()
        url = f"http://127.0.0.1:{server.http_port}/modalities/dicomnode"
        urllib.request.urlopen(urllib.request.Request(url, entry, method="PUT"), timeout=DEADLINE_S).close()
        yield here, node


def test_a_prior_is_fetched_by_c_move_through_the_receiver(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    with moving(tmp_path, package_folder, files) as (here, node):
        check_found(here, looked(here))
        assert [sealed.sender.fetched for sealed, _ in node.stored] == [True] * SLICES


def test_more_bytes_than_allowed_are_no_prior_by_c_move_either(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    with moving(tmp_path, package_folder, files, gb=1e-6) as (here, _):
        assert "more than 1e-06 GB" in str(looked(here).payload["prior.before.none"])


def test_a_prior_is_fetched_from_a_web_archive(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    settings = {"Plugins": [str(dicomweb_plugin())], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with archive_with(files, tmp_path / "o", **settings) as server:
        query = QuerySettings(name="WEB1", url=f"http://127.0.0.1:{server.http_port}/dicom-web")
        with site(tmp_path, package_folder, query) as here:
            check_found(here, looked(here))


def test_a_prior_that_is_here_is_not_fetched_again(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    with archive_with(files, tmp_path / "o") as server, site(tmp_path, package_folder, dimse(server)) as here:
        here.receive([file for file in files if file.parent.name == BEFORE_UID])
        task = looked(here)
        assert task.payload["prior.before.study"] == BEFORE_UID
        # It came as a study of its own, and stays one
        assert here.journal.study(BEFORE_UID).state is StudyState.RECEIVING


def test_a_prior_that_is_sent_later_becomes_a_study_of_its_own(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    with archive_with(files, tmp_path / "o") as server, site(tmp_path, package_folder, dimse(server)) as here:
        looked(here)
        later = here.now() + timedelta(days=2)
        copies = [(_later(one, later), _ids_of(one.path)) for one in here.journal.instances(BEFORE_UID)]
        here.journal.add_instances(copies, later)
        study = here.journal.study(BEFORE_UID)
        assert (study.state, study.version, study.instances) == (StudyState.RECEIVING, 2, SLICES)


def _later(instance: Instance, at: datetime) -> Instance:
    return replace(instance, received_at=at, sender=replace(instance.sender, calling_ae="SCANNER"))


def _ids_of(path: Path) -> InstanceIds:
    return read_ids(path)


@contextlib.contextmanager
def nobody() -> Iterator[QuerySettings]:
    yield QuerySettings(name="PACS1", ae_title="PACS", host="127.0.0.1", port=free_port(), timeout_s=1.0)


@contextlib.contextmanager
def mute() -> Iterator[QuerySettings]:
    with socket_peer(silent) as peer:
        yield QuerySettings(name="PACS1", ae_title="PACS", host="127.0.0.1", port=peer.port, timeout_s=0.5)


@contextlib.contextmanager
def mute_web() -> Iterator[QuerySettings]:
    with web_server(until_gone) as peer:
        yield QuerySettings(name="PACS1", url=peer.url, timeout_s=0.5)


@pytest.mark.parametrize("archive", [nobody, mute, mute_web])
def test_an_archive_that_does_not_answer_is_a_reason_and_no_hang(
    tmp_path: Path,
    package_folder: Path,
    archive: Callable[[], contextlib.AbstractContextManager[QuerySettings]],
) -> None:
    with archive() as query, site(tmp_path, package_folder, query) as here:
        task = looked(here)
        assert "PACS1" in str(task.payload["prior.before.none"])
        assert said(here, "prior.none").startswith("No prior for input 'before': PACS1")
        assert here.journal.study(NOW_UID).state is StudyState.QUEUED


def test_without_an_archive_the_engine_runs_and_says_so(tmp_path: Path, package_folder: Path) -> None:
    with site(tmp_path, package_folder) as here:
        task = looked(here)
        assert task.payload["prior.before.none"] == "no [[query]] names an archive for this sender"
        (event,) = [one for one in here.journal.events(NOW_UID) if one.what == "prior.none"]
        assert event.facts["code"] == NO_PRIOR.code


def test_a_prior_that_is_too_large_is_a_reason(
    tmp_path: Path, package_folder: Path, files: list[Path]
) -> None:
    with (
        archive_with(files, tmp_path / "o") as server,
        site(tmp_path, package_folder, dimse(server), instances=3) as here,
    ):
        task = looked(here)
        assert f"{SLICES} images" in str(task.payload["prior.before.none"])


def test_an_archive_without_an_earlier_study_is_a_reason(tmp_path: Path, package_folder: Path) -> None:
    old = examination(tmp_path / "old", "1.2.3.300", "20160601")
    with archive_with(old, tmp_path / "o") as server, site(tmp_path, package_folder, dimse(server)) as here:
        task = looked(here)
        assert "no earlier study of the patient" in str(task.payload["prior.before.none"])


def test_an_archive_of_other_senders_is_not_asked(tmp_path: Path, package_folder: Path) -> None:
    query = QuerySettings(name="PACS1", ae_title="PACS", host="127.0.0.1", port=1, senders=("MR_EAST",))
    with site(tmp_path, package_folder, query) as here:
        assert looked(here).payload["prior.before.none"] == "no [[query]] names an archive for this sender"
