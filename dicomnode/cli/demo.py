"""`dicomnode demo`: a study goes in over DICOM, the results come back to an archive; all of it real."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dicomnode.cli.options import parse_peer
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json
from dicomnode.faults import DEMO_INCOMPLETE, EXIT_DONE, EXIT_FAILED, NO_INSTANCES, NodeError

if TYPE_CHECKING:
    from dicomnode.cli.demo_archive import Archive
    from dicomnode.cli.demo_node import DemoNode
    from dicomnode.cli.demo_result import DemoResult
    from dicomnode.journal import Journal, StudyRecord
    from dicomnode.phantom import DemoStudy

EPILOG = (
    "EXIT STATUS: 0 the results came back, 1 they did not, 3 no DICOM in the folder, 12 an engine failed, "
    "13 the archive could not be reached, 130 interrupted (nothing is left running)."
)

_CALLING_AE: Final = "SCANNER"
_POLL_S: Final = 0.25
_LONGEST_S: Final = 900.0


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
    given = None if archive is None else parse_peer(archive, "archive")
    out.mkdir(parents=True, exist_ok=True)
    work = out / "node"
    shutil.rmtree(work, ignore_errors=True)
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
        result = _run(node, kept, files, progress, out=out, phantom=phantom)
    if as_json:
        print_json(result.document)
    else:
        _show(result, out)
    return EXIT_DONE if result.document["state"] == "done" else EXIT_FAILED


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM end the demonstration as Ctrl-C does: everything that was started is stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


def _run(
    node: DemoNode,
    archive: Archive,
    files: list[Path],
    progress: Bars,
    *,
    out: Path,
    phantom: DemoStudy | None,
) -> DemoResult:
    from dicomnode.cli.demo_result import Demonstration, collect
    from dicomnode.deliver import push_study
    from dicomnode.journal import Journal
    from dicomnode.net import Peer
    from dicomnode.settings import load_settings

    settings = load_settings(node.config)
    peer = Peer(name="node", ae_title=settings.node.ae_title, host="127.0.0.1", port=node.port)
    pushed = push_study(
        peer, _CALLING_AE, files, on_sent=lambda done, total: progress("received", done, total)
    )
    journal = Journal.open(settings.journal_url)
    try:
        record = _watch(journal, node, progress)
        return collect(
            Demonstration(
                journal=journal,
                settings=settings,
                record=record,
                archive=archive,
                files=files,
                phantom=phantom,
                tool=pushed.tool,
                out=out,
            )
        )
    finally:
        journal.close()


def _watch(journal: Journal, node: DemoNode, progress: Bars) -> StudyRecord:
    from dicomnode.journal import StudyState

    ended = {StudyState.DONE, StudyState.REFUSED, StudyState.FAILED, StudyState.UNCONFIRMED}
    end = time.monotonic() + _LONGEST_S
    state = "nothing arrived"
    while time.monotonic() < end and node.alive:
        studies = journal.studies(1)
        if studies:
            record = studies[0]
            state = record.state.value
            if record.progress is not None:
                progress(*record.progress)
            objects = journal.deliveries(record.study_instance_uid)
            if objects:
                progress("delivered", sum(o.outcome == "stored" for o in objects), len(objects))
            if record.state in ended:
                return record
        time.sleep(_POLL_S)
    raise NodeError(DEMO_INCOMPLETE, seconds=_LONGEST_S, state=f"the study is {state}", log=node.log)


def _show(result: DemoResult, out: Path) -> None:
    from dicomnode.cli.demo_result import show

    show(result, out)
    console.print(f"\nThe node's configuration, store and log lie in {out / 'node'}.", markup=False)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(demo)
