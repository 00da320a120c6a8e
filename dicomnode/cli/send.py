"""`dicomnode send AE@HOST:PORT PATH…`: C-STORE files to a peer, as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dicomnode.cli.options import checked_ae_title, parse_peer
from dicomnode.cli.output import JsonOption, bars, print_json, print_table
from dicomnode.faults import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_PARTLY,
    NO_INSTANCES,
    PEER_REJECTED,
    PEER_UNREACHABLE,
    NodeError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicomnode.deliver import FileOutcome

EPILOG = "EXIT STATUS: 0 all stored, 1 none, 2 usage, 3 no DICOM file, 4 some stored, 13 peer unreachable."


def send(
    peer: Annotated[str, typer.Argument(metavar="AE@HOST:PORT", help="The peer.")],
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.", exists=True)],
    calling_ae: Annotated[str, typer.Option("--calling-ae", help="AE title to call with.")] = "DICOMNODE",
    as_json: JsonOption = False,
) -> int:
    """Send DICOM files to a peer (C-STORE), each with its outcome."""
    from dicomnode.assemble import find_files
    from dicomnode.deliver import send_files

    target = parse_peer(peer)
    checked_ae_title(calling_ae)
    files = find_files(paths)
    if not files:
        raise NodeError(NO_INSTANCES, path=", ".join(map(str, paths)))
    with bars(quiet=as_json) as progress:
        done = 0

        def count(outcome: FileOutcome) -> None:
            nonlocal done
            done += outcome.outcome == "stored"
            progress("stored", done, len(files))

        outcomes = send_files(target, calling_ae, files, on_outcome=count)
    _require_association(outcomes)
    stored = sum(outcome.outcome == "stored" for outcome in outcomes)
    failed = [outcome for outcome in outcomes if outcome.outcome != "stored"]
    if as_json:
        rows = [
            {
                "file": str(o.path),
                "sop_instance_uid": o.sop_instance_uid,
                "outcome": o.outcome,
                "status": o.status,
                "text": o.text,
            }
            for o in outcomes
        ]
        print_json({"schema": 1, "peer": peer, "stored": stored, "total": len(files), "files": rows})
    else:
        if failed:
            print_table("Not stored", ("file", "what happened"), [(o.path.name, o.text) for o in failed])
        typer.echo(f"{stored} of {len(files)} instances stored at {peer}.")
    if stored == len(files):
        return EXIT_DONE
    return EXIT_PARTLY if stored else EXIT_FAILED


def _require_association(outcomes: Sequence[FileOutcome]) -> None:
    """Raise the fault PEER_UNREACHABLE or PEER_REJECTED when no association opened at all."""
    # A file without a UID could not be read: it was not tried
    faults = [outcome.fault for outcome in outcomes if outcome.sop_instance_uid]
    if faults and all(f is not None and f.fault in (PEER_UNREACHABLE, PEER_REJECTED) for f in faults):
        raise cast("NodeError", faults[0])


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(send)
