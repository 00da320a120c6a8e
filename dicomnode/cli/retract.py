"""`dicomnode retract`: take back results that were wrong, here and at the archives that have them."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json
from dicomnode.faults import EXIT_DONE, EXIT_NOTHING

EPILOG = (
    "EXIT STATUS: 0 taken back or ended, 2 several studies have that number, 3 no such study or nothing to "
    "take back, 10 configuration, 11 journal."
)


class Reason(StrEnum):
    """Why, in a word; what a rejection note says is of PS3.16 CID 7010."""

    QUALITY = "quality"
    SAFETY = "safety"
    WORKLIST = "worklist"
    RETENTION = "retention"

    @property
    def code(self) -> str:
        """Code value of the note's title, of the scheme DCM."""
        return _CODES[self]


_CODES = {
    Reason.QUALITY: "113001",
    Reason.SAFETY: "113037",
    Reason.WORKLIST: "113038",
    Reason.RETENTION: "113039",
}


def retract(
    study: Annotated[str, typer.Argument(help="Study Instance UID or accession number.")],
    reason: Annotated[
        Reason,
        typer.Option(
            "--reason",
            help="quality: the results are wrong or of no use; safety: they may harm the patient; "
            "worklist: they are of the wrong patient or order; retention: they are too old to be kept.",
        ),
    ] = Reason.QUALITY,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="Only the results that a later version has superseded.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take the results of a study back; each archive that has some gets a rejection note (IHE IOCM).

    What is not sent yet is not sent any more. Images that come later are analysed as ever.
    """
    journal = open_journal(open_settings(config))
    try:
        done = journal.retract(study, reason.code, datetime.now(UTC), earlier_only=earlier)
    finally:
        journal.close()
    if as_json:
        destinations = list(done.destinations)
        print_json({"schema": 1, "objects": done.objects, "destinations": destinations, "ended": done.ended})
    elif done.objects:
        told = ", ".join(done.destinations)
        then = f"{told} will get a rejection note" if told else "none was sent, so nobody needs to be told"
        typer.echo(f"{done.objects} result object(s) are taken back; {then}.")
    elif done.ended:
        typer.echo("There is no result to take back; what was under way of the study is ended.")
    else:
        typer.echo("There is nothing to take back.")
    return EXIT_DONE if done.objects or done.ended else EXIT_NOTHING


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(retract)
