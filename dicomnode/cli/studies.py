"""`dicomnode studies`: what the node knows, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json, print_table
from dicomnode.cli.waiting import backlog_documents, print_backlogs

if TYPE_CHECKING:
    from dicomnode.journal import StudyRecord

EPILOG = (
    "EXIT STATUS: 0 done, 3 the node has not run yet, 10 the configuration is wrong, 11 the journal cannot "
    "be opened."
)


def studies(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the studies with their state in words, and what waits for each destination."""
    settings = open_settings(config)
    names, now = [one.name for one in settings.destination], datetime.now(UTC)
    journal = open_journal(settings)
    try:
        found = journal.studies(limit)
        held = journal.held()
        backlogs = journal.backlogs()
    finally:
        journal.close()
    if as_json:
        print_json(
            {
                "schema": 1,
                "studies": [study_document(study) for study in found],
                "held": sorted(held),
                "destinations": backlog_documents(names, backlogs, now),
            }
        )
        return
    if not found:
        typer.echo("No study has come yet.")
        return
    rows = [
        (
            study.accession_number or "–",
            study.study_instance_uid,
            study.instances,
            study.state.value,
            progress_words(study),
            study.last_received_at.astimezone().isoformat(timespec="seconds"),
        )
        for study in found
    ]
    print_table("", ("accession", "study", "images", "state", "now", "last image"), rows)
    print_backlogs(names, backlogs, now)
    if held:
        of = "1 study" if len(held) == 1 else f"{len(held)} studies"
        typer.echo(
            f"The results of {of} wait for a person: `dicomnode why STUDY` shows them, `dicomnode release "
            "STUDY --by NAME` lets them go."
        )


def progress_words(study: StudyRecord) -> str:
    """What goes on, or why nothing does, in a few words."""
    if study.progress is not None:
        stage, done, total = study.progress
        return f"{stage} {done} of {total}"
    return study.reason or (f"incomplete: {study.shortfall}" if study.shortfall else "")


def study_document(study: StudyRecord) -> dict[str, Any]:
    """Give the study as JSON."""
    return {
        "study_instance_uid": study.study_instance_uid,
        "accession_number": study.accession_number or None,
        "state": study.state.value,
        "reason": study.reason or None,
        "version": study.version,
        "instances": study.instances,
        "series": study.series,
        "calling_ae": study.calling_ae,
        "first_received_at": study.first_received_at.isoformat(),
        "last_received_at": study.last_received_at.isoformat(),
        "complete_evidence": study.complete_evidence,
        "shortfall": study.shortfall,
        "predecessor": study.predecessor,
        "progress": None
        if study.progress is None
        else dict(zip(("stage", "done", "total"), study.progress, strict=True)),
    }


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(studies)
