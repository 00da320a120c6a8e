"""`dicomnode retry`: try again what waits for a person, or for its time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json
from dicomnode.faults import EXIT_DONE, EXIT_NOTHING, USAGE, NodeError

EPILOG = (
    "EXIT STATUS: 0 something is tried again, 2 usage, 3 there was nothing to try again, 10 configuration."
)


def retry(
    study: Annotated[str | None, typer.Argument(help="Study Instance UID or accession number.")] = None,
    destination: Annotated[
        str | None, typer.Option("--destination", help="All that waits for this destination.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try again now: the failed steps of a study, or all that waits for a destination (harmless)."""
    if study is None and destination is None:
        raise NodeError(USAGE, problem="Name a study, or --destination NAME")
    settings = open_settings(config)
    names = [d.name for d in settings.destination]
    if destination is not None and destination not in names:
        raise NodeError(USAGE, problem=f"There is no destination {destination!r}, only {', '.join(names)}")
    journal = open_journal(settings)
    try:
        uid = None if study is None else journal.study(study).study_instance_uid
        count = journal.retry(uid, destination, datetime.now(UTC))
    finally:
        journal.close()
    if as_json:
        print_json({"schema": 1, "tasks": count})
    else:
        typer.echo(f"{count} task(s) are tried again." if count else "There is nothing to try again.")
    return EXIT_DONE if count else EXIT_NOTHING


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(retry)
