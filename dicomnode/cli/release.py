"""`dicomnode release`: let results go to their destinations that were held for a person to look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.cli.asked import require_consent
from dicomnode.cli.options import ConfigOption, named, open_journal, open_settings
from dicomnode.cli.output import JsonOption, bars, print_json, print_table
from dicomnode.faults import EXIT_DONE, EXIT_NOTHING, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.journal import Journal

EPILOG = (
    "EXIT STATUS: 0 results were let go, 2 usage (also: not asked, another number of studies), 3 nothing is "
    "held, 10 configuration, 11 journal."
)
_SHOWN = 30


def release(
    by: Annotated[str, typer.Option("--by", help="Who releases them: your name, for the audit.")],
    study: Annotated[
        str | None,
        typer.Argument(help="Study Instance UID or accession number; without it, all of --destination."),
    ] = None,
    destination: Annotated[
        str | None, typer.Option("--destination", help="To this destination only.")
    ] = None,
    consent: Annotated[
        int | None,
        typer.Option(
            "--yes-release",
            metavar="N",
            help="Without a study: ask nothing; N is the number of studies that wait.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Send the results of a study that wait for a person: their [[destination]] says hold = true.

    `dicomnode studies` lists the studies, `dicomnode why STUDY` shows what was found;
    `dicomnode retract STUDY --by NAME` takes it back instead. Without a study, all that waits for
    --destination is sent; you are asked first, or say with --yes-release how many studies you expect.
    """
    name = named(by)
    settings = open_settings(config)
    if study is None and destination is None:
        raise NodeError(USAGE, problem="Name a study, or --destination NAME")
    if destination is not None and destination not in (names := [one.name for one in settings.destination]):
        raise NodeError(USAGE, problem=f"There is no destination {destination!r}, only {', '.join(names)}")
    journal = open_journal(settings)
    try:
        uid = None if study is None else journal.study(study).study_instance_uid
        held = journal.held(uid, destination)
        if study is None and held:
            _ask(held, destination or "", consent, quiet=as_json)
        released = _release(journal, held, destination, name, quiet=as_json or study is not None)
    finally:
        journal.close()
    names = sorted({one for of in released.values() for one in of})
    if as_json:
        print_json({"schema": 1, "destinations": names, "studies": sorted(released)})
    elif not released:
        typer.echo("Nothing is held.")
    else:
        of = "" if study is not None else f" of {len(released)} studies"
        typer.echo(f"The results{of} go to {', '.join(names)}.")
    return EXIT_DONE if released else EXIT_NOTHING


def _ask(held: Mapping[str, list[str]], destination: str, consent: int | None, *, quiet: bool) -> None:
    if not quiet:
        print_table("", ("study",), [(uid,) for uid in list(held)[:_SHOWN]])
        if len(held) > _SHOWN:
            typer.echo(f"… and {len(held) - _SHOWN} more studies.")
    count = len(held)
    what = f"let the results of {count} stud{'y' if count == 1 else 'ies'} go to {destination}"
    require_consent(what, count, consent, "--yes-release")


def _release(
    journal: Journal, held: Mapping[str, list[str]], destination: str | None, by: str, *, quiet: bool
) -> dict[str, list[str]]:
    """Let go study by study: ended in the middle, the same again does the rest."""
    released: dict[str, list[str]] = {}
    with bars(quiet=quiet) as progress:
        for number, uid in enumerate(held, start=1):
            names = journal.release_results(uid, destination, by, datetime.now(UTC))
            if names:
                released[uid] = names
            progress("studies", number, len(held))
    return released


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(release)
