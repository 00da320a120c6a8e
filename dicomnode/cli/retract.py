"""`dicomnode retract`: take back results that were wrong, here and at the archives that have them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.cli.options import ConfigOption, named, open_journal, open_settings
from dicomnode.cli.output import JsonOption
from dicomnode.faults import USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.journal import AnswerQuery

EPILOG = (
    "EXIT STATUS: 0 taken back or ended, or shown by --dry-run, 2 usage (also: not asked, another number of "
    "studies, several studies have that number), 3 no such study or nothing to take back, 4 of some results "
    "it is not known whether they are meant, 10 configuration, 11 journal, 130 interrupted (the same again "
    "does the rest)."
)
_SHORTEST_DIGEST = 12
_HEX = frozenset("0123456789abcdef")


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


StudyArgument = Annotated[
    str | None, typer.Argument(help="Study Instance UID or accession number; without it, all studies.")
]
ReasonOption = Annotated[
    Reason,
    typer.Option(
        "--reason",
        help="quality: the results are wrong or of no use; safety: they may harm the patient; "
        "worklist: they are of the wrong patient or order; retention: they are too old to be kept.",
    ),
]
EngineOption = Annotated[str | None, typer.Option("--engine", help="Only the results of this engine.")]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="With --engine: only of this version of it.")
]
DigestOption = Annotated[
    str | None,
    typer.Option("--digest", help="Only of the package with this SHA-256; its first 12 digits will do."),
]
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="Only what was found on this day (local) or later."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], help="Only what was found on this day or earlier."),
]
EarlierOption = Annotated[
    bool, typer.Option("--earlier", help="Only the results that a later version has superseded.")
]
ByOption = Annotated[str | None, typer.Option("--by", help="Who takes them back: your name, for the audit.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what it would be, and do nothing.")]
ConsentOption = Annotated[
    int | None,
    typer.Option("--yes-retract", metavar="N", help="Ask nothing; N is the number of studies concerned."),
]


def retract(
    study: StudyArgument = None,
    *,
    reason: ReasonOption = Reason.QUALITY,
    engine: EngineOption = None,
    version: VersionOption = None,
    digest: DigestOption = None,
    first_day: FromOption = None,
    last_day: ToOption = None,
    earlier: EarlierOption = False,
    by: ByOption = None,
    dry_run: DryRunOption = False,
    consent: ConsentOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take results back: of a study, an engine, a version of it, some days; archives that have them are told.

    Each of these archives gets one rejection note (IHE IOCM) for each study. What is not sent yet is not sent
    any more. A study that is named without an engine or days is taken back whole, and what is under way of it
    ends. Studies that come later are analysed as before: set the engine to mode = "off" first, or install
    another version of it. --dry-run shows what would be taken back.
    """
    from dicomnode.cli.retracting import Retraction, run

    if by is None and not dry_run:
        raise NodeError(USAGE, problem="Say who takes them back: --by NAME")
    query = _query(engine, version, digest, first_day, last_day, superseded=earlier)
    is_whole = (engine, version, digest, first_day, last_day) == (None,) * 5
    if study is None and is_whole:
        raise NodeError(USAGE, problem="Name a study, or --engine, --digest, --from or --to")
    who = "" if by is None else named(by)
    settings = open_settings(config)
    chosen = Retraction(
        study=study, query=query, is_whole=is_whole, code=reason.code, by=who, log=settings.log
    )
    with open_journal(settings) as journal:
        return run(journal, chosen, dry_run=dry_run, consent=consent, as_json=as_json)


def _query(
    engine: str | None,
    version: str | None,
    digest: str | None,
    first_day: datetime | None,
    last_day: datetime | None,
    *,
    superseded: bool,
) -> AnswerQuery:
    """Say which answers are meant. Raises NodeError(USAGE)."""
    from datetime import timedelta

    from dicomnode.journal import AnswerQuery

    if version is not None and engine is None:
        raise NodeError(USAGE, problem="--version is that of an engine: add --engine NAME")
    if first_day is not None and last_day is not None and last_day < first_day:
        raise NodeError(USAGE, problem="--to is before --from")
    beginning = None if digest is None else digest.lower().removeprefix("sha256:")
    if beginning is not None and (len(beginning) < _SHORTEST_DIGEST or not _HEX.issuperset(beginning)):
        raise NodeError(USAGE, problem=f"--digest wants a SHA-256, at least {_SHORTEST_DIGEST} digits of it")
    # Days of the place where this machine stands, which need not have 24 hours
    return AnswerQuery(
        engine=engine,
        version=version,
        digest=beginning,
        found_from=None if first_day is None else first_day.astimezone(),
        found_before=None if last_day is None else (last_day + timedelta(days=1)).astimezone(),
        superseded=superseded,
    )


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(retract)
