"""`dicomnode why STUDY`: what happened to a study, and why, for somebody who never read the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json, print_table, result_console, short_uid
from dicomnode.cli.studies import study_document
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dicomnode.journal import Journal
    from dicomnode.settings import Settings
    from dicomnode.values import Verdict

EPILOG = (
    "EXIT STATUS: 0 done, 2 several studies have that number, 3 no such study, 10 configuration, 11 journal."
)


def why(
    study: Annotated[str, typer.Argument(help="Study Instance UID or accession number.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a study: what came, which engine wanted which series, what was sent where, what is missing."""
    settings = open_settings(config)
    journal = open_journal(settings)
    try:
        record = journal.study(study)
        document = {
            "schema": 1,
            "study": study_document(record),
            **_parts(journal, record.study_instance_uid),
            "analyses": _analyses(journal, record.study_instance_uid, settings),
        }
    finally:
        journal.close()
    if as_json:
        print_json(document)
        return
    result_console.print(f"[bold]Study {record.study_instance_uid}[/]")
    result_console.print(f"  state      {record.state.value}", markup=False)
    if record.reason:
        result_console.print(f"  because    {record.reason}", markup=False)
    result_console.print(
        f"  received   {record.instances} images in {record.series} series from {record.calling_ae}; "
        f"complete by: {record.complete_evidence or 'not yet'}",
        markup=False,
    )
    print_verdicts(document["verdicts"])
    for name, columns, keys in (
        (
            "Analyses",
            ("engine", "version", "mode", "outcome", "found", "runtime"),
            ("engine", "study_version", "mode", "outcome", "found", "runtime"),
        ),
        (
            "Results",
            ("kind", "object", "destination", "state"),
            ("kind", "sop_instance_uid", "destination", "state"),
        ),
        ("What happened", ("when", "what"), ("at", "text")),
    ):
        rows = [tuple(row[key] for key in keys) for row in document[name.lower().replace(" ", "_")]]
        if rows:
            print_table(name, columns, rows)


def print_verdicts(verdicts: Sequence[Mapping[str, Any]]) -> None:
    """Print what each engine said of each series."""
    rows = [
        (
            verdict["engine"],
            f"{short_uid(verdict['series_instance_uid'])} #{verdict['stack']}",
            "chosen" if verdict["chosen"] else "passed over",
            verdict["rule"],
            verdict["found"],
        )
        for verdict in verdicts
    ]
    if rows:
        print_table("Engines and series", ("engine", "series", "verdict", "rule", "found"), rows)


def _parts(journal: Journal, study_uid: str) -> dict[str, Any]:
    return {
        "verdicts": [verdict_document(v) for v in journal.verdicts(study_uid)],
        "results": [
            {
                "kind": d.kind,
                "sop_instance_uid": d.sop_instance_uid,
                "destination": d.destination,
                "state": d.outcome if d.text in ("", d.outcome) else f"{d.outcome}: {d.text}",
            }
            for d in journal.deliveries(study_uid)
        ],
        "what_happened": [
            {"at": e.at.astimezone().isoformat(timespec="seconds"), "what": e.what, "text": e.text}
            for e in journal.events(study_uid)
        ],
    }


def _analyses(journal: Journal, study_uid: str, settings: Settings) -> list[dict[str, Any]]:
    """What each engine found, also one in shadow, whose results are kept and not sent."""
    modes = {entry.name: entry.mode for entry in settings.engine}
    rows = []
    for record in journal.findings(study_uid):
        row: dict[str, Any] = {
            "engine": record.engine,
            "study_version": record.study_version,
            "mode": modes.get(record.engine, "not configured"),
            "path": str(record.path),
        }
        rows.append(row | _what_was_found(record.path))
    return rows


def _what_was_found(path: Path) -> dict[str, Any]:
    from dicomnode.store import load_findings

    try:
        findings = load_findings(path)
    except NodeError as error:
        return {"outcome": error.fault.text(**error.values), "found": "", "runtime": ""}
    found = [*(one.label for one in findings.segments), *(one.label for one in findings.regions)]
    found += [f"{one.label} {one.probability:.2f}" for one in findings.classifications]
    return {
        "outcome": findings.outcome.value,
        "found": ", ".join(found),
        "runtime": findings.provenance.runtime,
    }


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """Give the verdict as JSON."""
    return {
        "engine": verdict.engine,
        "version": verdict.version,
        "series_instance_uid": verdict.series_instance_uid,
        "stack": verdict.stack,
        "chosen": verdict.chosen,
        "score": verdict.score,
        "rule": verdict.rule,
        "found": verdict.found,
    }


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(why)
