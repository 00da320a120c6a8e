"""`dicomnode demo`: a study goes in over DICOM, the results come back to an archive; all of it real."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dicomnode.cli.options import parse_peer
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json
from dicomnode.faults import (
    DEMO_BROKEN,
    DEMO_INCOMPLETE,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOTHING,
    EXIT_PARTLY,
    NO_INSTANCES,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from dicomnode.cli.demo_archive import Archive
    from dicomnode.cli.demo_node import DemoNode
    from dicomnode.cli.demo_result import DemoResult
    from dicomnode.deliver import PushFailure
    from dicomnode.journal import Journal, StudyRecord, StudyState
    from dicomnode.phantom import DemoStudy

EPILOG = (
    "EXIT STATUS: 0 the results came back, 1 they did not, 3 no DICOM in the folder or no engine wants it, "
    "4 results of some studies came back, 12 an engine failed, "
    "13 the archive could not be reached, 130 interrupted (nothing is left running)."
)

_CALLING_AE: Final = "SCANNER"
_POLL_S: Final = 0.25
_LONGEST_S: Final = 900.0
_MARK: Final = ".dicomnode-demo"
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    study: Annotated[
        Path | None,
        typer.Option("--study", help="DICOM folder; default: a phantom with known truth.", exists=True),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for what comes back.")] = Path("demo-out"),
    archive: Annotated[
        str | None, typer.Option("--archive", metavar="AE@HOST:PORT", help="A real archive to deliver to.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="Engine to run.")] = "lung-ct",
    as_json: JsonOption = False,
) -> int:
    """Show the whole walk: push a study, watch it being analysed, see what the archive got."""
    from dicomnode.engine import find_engine

    given = None if archive is None else parse_peer(archive, "archive")
    find_engine(engine)  # before anything is started
    out = out.resolve()
    work = _work_folder(out)
    with _interruptible(), ExitStack() as stack, bars(quiet=as_json) as progress:
        from dicomnode.cli.demo_archive import choose_archive
        from dicomnode.cli.demo_node import DemoNode

        phantom, files = _study(study, progress)
        # What is to be ended stands on the stack before it is started: Ctrl-C can come at any line
        kept = choose_archive(given, work / "archive", _CALLING_AE)
        stack.callback(kept.close)
        kept.start()
        node = DemoNode(work, kept.peer, [engine])
        stack.callback(node.close)
        node.start()
        results, failures = _run(_Stage(node, kept, phantom, out), files, progress)
    documents = [result.document for result in results]
    if as_json:
        print_json(documents[0] if len(documents) == 1 else {"schema": 1, "studies": documents})
    else:
        _show(results, failures, out)
    return _status([result.record.state for result in results])


def _status(states: list[StudyState]) -> int:
    from dicomnode.journal import StudyState

    done = [state is StudyState.DONE for state in states]
    if all(done):
        return EXIT_DONE
    if any(done):
        return EXIT_PARTLY
    return EXIT_NOTHING if set(states) == {StudyState.REFUSED} else EXIT_FAILED


def _work_folder(out: Path) -> Path:
    """Make the folder of the node and the archive anew; what an earlier demonstration made is removed.

    Only its own: the node's folder carries a mark, and names the objects and pictures that came back.
    """
    work = out / "node"
    try:
        if work.exists() and not (work / _MARK).exists():
            raise NodeError(USAGE, problem=f"{work} is not of a demonstration; choose another --out")
        if work.exists():
            shutil.rmtree(out / "dicom", ignore_errors=True)
            for picture in out.glob("overlay-*.png"):
                picture.unlink()
            shutil.rmtree(work)
        work.mkdir(parents=True)
        (work / _MARK).write_text("Made by `dicomnode demo`; the next one removes this folder.\n")
    except OSError as error:
        raise NodeError(USAGE, problem=f"--out {out} cannot be used: {error.strerror}") from error
    return work


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and a closed terminal end the demonstration as Ctrl-C does.

    Once it ends, further signals are not heard: what was started is stopped in any case.
    """

    def interrupted(number: int, frame: FrameType | None) -> None:
        for each in _ENDING:
            signal.signal(each, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    before = {number: signal.signal(number, interrupted) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _study(folder: Path | None, progress: Bars) -> tuple[DemoStudy | None, list[Path]]:
    from dicomnode.assemble import find_files

    if folder is not None:
        files = find_files([folder])
        if not files:
            raise NodeError(NO_INSTANCES, path=folder)
        return None, files
    from dicomnode.phantom import demo_study

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dicomnode"
    progress("making the phantom", 0, 1)
    phantom = demo_study(cache)
    progress("making the phantom", 1, 1)
    return phantom, list(phantom.files)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the demonstration takes place."""

    node: DemoNode
    archive: Archive
    phantom: DemoStudy | None
    out: Path


def _run(stage: _Stage, files: list[Path], progress: Bars) -> tuple[list[DemoResult], list[PushFailure]]:
    from dicomnode.cli.demo_result import Demonstration, collect
    from dicomnode.deliver import push_study
    from dicomnode.journal import Journal
    from dicomnode.net import Peer
    from dicomnode.settings import load_settings

    settings = load_settings(stage.node.config)
    peer = Peer(name="node", ae_title=settings.node.ae_title, host="127.0.0.1", port=stage.node.port)
    pushed = push_study(
        peer, _CALLING_AE, files, on_sent=lambda done, total: progress("received", done, total)
    )
    if not pushed.sent:
        reason = pushed.failed[0].text if pushed.failed else "nothing was sent"
        raise NodeError(DEMO_BROKEN, state=reason, log=stage.node.log)
    with Journal.open(settings.journal_url) as journal:
        results = [
            collect(
                Demonstration(
                    journal=journal,
                    settings=settings,
                    record=record,
                    archive=stage.archive,
                    files=files,
                    phantom=stage.phantom,
                    tool=pushed.tool,
                    out=stage.out,
                )
            )
            for record in _watch(journal, stage.node, progress)
        ]
    return results, list(pushed.failed)


def _watch(journal: Journal, node: DemoNode, progress: Bars) -> list[StudyRecord]:
    """Follow the studies until all have come to an end."""
    from dicomnode.journal import StudyState, TaskKind, TaskState

    ended = {StudyState.DONE, StudyState.REFUSED, StudyState.FAILED}
    end = time.monotonic() + _LONGEST_S
    state = "nothing arrived"
    while time.monotonic() < end and node.alive:
        studies = journal.studies()
        for record in studies:
            if record.state not in ended:
                state = f"study {record.study_instance_uid} is {record.state.value}"
            if record.progress is not None:
                progress(*record.progress)
        reports = [task for task in journal.tasks() if task.kind is TaskKind.REPORT]
        if reports:
            progress("encoding", sum(task.state is TaskState.DONE for task in reports), len(reports))
        deliveries = [d for record in studies for d in journal.deliveries(record.study_instance_uid)]
        if deliveries:
            progress("delivered", sum(d.outcome == "stored" for d in deliveries), len(deliveries))
        if studies and all(record.state in ended for record in studies):
            return studies
        time.sleep(_POLL_S)
    if not node.alive:
        raise NodeError(DEMO_BROKEN, state=state, log=node.log)
    raise NodeError(DEMO_INCOMPLETE, seconds=_LONGEST_S, state=state, log=node.log)


def _show(results: list[DemoResult], failures: list[PushFailure], out: Path) -> None:
    from dicomnode.cli.demo_result import show

    for failure in failures:
        console.print(f"not received: {failure.path}: {failure.text}", markup=False)
    for result in results:
        show(result, out)
    console.print(f"\nThe node's configuration, store and log lie in {out / 'node'}.", markup=False)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(demo)
