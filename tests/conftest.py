"""What all tests share."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

if TYPE_CHECKING:
    from dicomnode.phantom import DemoStudy

_REPOSITORY = Path(__file__).resolve().parent.parent

# Several tests share the cores: threads of BLAS and of torch would burn them waiting for one another, many
# times what the sums take. Set before either is loaded; processes that tests start inherit it.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")


class _AtOnce:
    """Names each test that fails when it fails: a run that is cut off later has told it."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._plugins.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            crash = getattr(report.longrepr, "reprcrash", None)
            said = crash.message if crash is not None else str(report.longrepr)
            terminal.write_line(f"\n{report.nodeid} ({report.when}): {said}"[:1000])


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # pytest-xdist: only who runs the workers writes
        config.pluginmanager.register(_AtOnce(config))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "unit" in item.path.parts)  # the quick ones fill up what is left at the end
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1200))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Twenty thousand tests are no garbage: nobody looks for it in them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Undo what a command does to the logs of its process, which the next test shares."""
    hook = threading.excepthook
    yield
    structlog.reset_defaults()
    threading.excepthook = hook
    logging.captureWarnings(capture=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadGroupScheduling:
    """Keep the tests of a file, or of an `xdist_group`, in one process: what they share is made once."""

    class ByFile(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            group: str = super()._split_scope(nodeid)
            return nodeid.partition("::")[0] if group == nodeid else group

    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def peers_close_their_sockets() -> None:
    """Let pynetdicom's servers, which are the peers here, close a socket whose other end was faster.

    Its own leaves it to the collector then (3.0.4), which fails any test that happens to run at that time.
    """
    from pynetdicom.transport import AssociationSocket

    def shut_down(this: AssociationSocket) -> None:
        if this.socket is not None:
            with suppress(OSError):
                this.socket.shutdown(socket.SHUT_RDWR)
            this.socket.close()

    AssociationSocket._shutdown_socket = shut_down


@pytest.fixture(scope="session", autouse=True)
def journals_are_migrated_once() -> None:
    """Let new journals be made as the migrations made the first one of this process."""
    from dicomnode.journal import migrate
    from tests.fixtures import journals

    migrate._run = journals.once(migrate._run)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give the path of a folder or file of the real studies; the test is skipped where they are absent.

    They lie where DICOMNODE_TEST_DATA says, else in ../shared/data beside the repository.
    """
    root = Path(os.environ.get("DICOMNODE_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"no real data: {path} is not there (set DICOMNODE_TEST_DATA)")
        return path

    return find


@pytest.fixture(scope="session")
def small_phantom(tmp_path_factory: pytest.TempPathFactory) -> DemoStudy:
    """The small thorax phantom (112 slices of 2.5 mm) as a CT study with its truth.

    One worker makes it, and all read it: nobody may write to its files.
    """
    from dicomnode.phantom import demo_study

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small-phantom"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return demo_study(folder, size="small")


@pytest.fixture(scope="session")
def lungs_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine package without a network: the lungs of `lung-ct` alone, for tests of what is around it."""
    from dicomnode.engine import shipped_engines_dir

    shipped = (shipped_engines_dir() / "lung-ct" / "engine.toml").read_text(encoding="utf-8")
    tables = re.split(r"(?m)^(?=\[\[)", shipped)
    others = ("nodules", 'segment = "nodule', '"types"', '"lung-masks')
    kept = [table for table in tables if not any(word in table for word in others)]
    folder = tmp_path_factory.mktemp("engines") / "lungs"
    folder.mkdir()
    text = "".join(kept).replace('name = "lung-ct"', 'name = "lungs"', 1)
    text = text.replace('step = "lungs_compared"', 'step = "lungs"')
    (folder / "engine.toml").write_text(text, encoding="utf-8")
    return folder
