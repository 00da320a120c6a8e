"""`dicomnode retry`: try again what waits for a person, or for its time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.cli.options import ConfigOption, named, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json
from dicomnode.faults import EXIT_DONE, EXIT_NOTHING, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.journal import Journal, StudyRecord

EPILOG = (
    "EXIT STATUS: 0 something is tried again, 2 usage, 3 there was nothing to try again, 10 configuration, "
    "11 journal."
)
_STANDS = (
    "There is nothing to analyse again: results of the study stand, or are being made; or no image of it may "
    "be used."
)


def retry(
    study: Annotated[str | None, typer.Argument(help="Study Instance UID or accession number.")] = None,
    destination: Annotated[
        str | None, typer.Option("--destination", help="All that waits for this destination.")
    ] = None,
    retracted: Annotated[
        bool,
        typer.Option(
            "--retracted",
            help="Analyse a study again whose results were taken back, or rejected at an archive: what was "
            "wrong has been put right.",
        ),
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", help="With --retracted: who says so, your name, for the audit.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try again now: the failed steps of a study, or all that waits for a destination (harmless).

    With --retracted, a study whose results were taken back is analysed again, as a new version of it, and its
    results are sent.
    """
    if study is None and destination is None:
        raise NodeError(USAGE, problem="Name a study, or --destination NAME")
    if retracted != (by is not None) or (retracted and (study is None or destination is not None)):
        raise NodeError(USAGE, problem="--retracted wants a study and --by NAME, and no --destination")
    settings = open_settings(config)
    names = [d.name for d in settings.destination]
    if destination is not None and destination not in names:
        raise NodeError(USAGE, problem=f"There is no destination {destination!r}, only {', '.join(names)}")
    journal = open_journal(settings)
    try:
        found = None if study is None else journal.study(study)
        if found is not None and by is not None:
            return _reanalyse(found, named(by), journal, as_json=as_json)
        return _retry(found, destination, journal, as_json=as_json)
    finally:
        journal.close()


def _retry(found: StudyRecord | None, destination: str | None, journal: Journal, *, as_json: bool) -> int:
    uid = None if found is None else found.study_instance_uid
    count = journal.retry(uid, destination, datetime.now(UTC))
    if as_json:
        print_json({"schema": 1, "tasks": count})
    else:
        typer.echo(f"{count} task(s) are tried again." if count else "There is nothing to try again.")
        if found is not None and found.state == "retracted":
            typer.echo("The results of the study were taken back; --retracted has it analysed again.")
    return EXIT_DONE if count else EXIT_NOTHING


def _reanalyse(found: StudyRecord, by: str, journal: Journal, *, as_json: bool) -> int:
    version = journal.reanalyse(found.study_instance_uid, by, datetime.now(UTC))
    if as_json:
        print_json({"schema": 1, "version": version})
    elif version is None:
        typer.echo(_STANDS)
    else:
        typer.echo(f"The study is analysed again as version {version}, once nothing more of it comes.")
    return EXIT_NOTHING if version is None else EXIT_DONE


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(retry)
