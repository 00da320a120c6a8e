"""`dicomnode why STUDY`: what happened to a study, and why, for somebody who never read the code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.kept import print_kept, write_kept
from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import JsonOption, print_json, print_table, result_console
from dicomnode.cli.studies import study_document
from dicomnode.cli.waiting import print_waits, wait_document
from dicomnode.cli.why_series import print_verdicts, series_of
from dicomnode.cli.writing import require_writable
from dicomnode.faults import EXIT_DONE, EXIT_PARTLY, NodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicomnode.journal import DeliveryRecord, EventRecord, Journal, StudyRecord, Wait
    from dicomnode.settings import Settings
    from dicomnode.values import Verdict

EPILOG = (
    "EXIT STATUS: 0 done, 1 --out cannot be written, 2 several studies have that number, 3 no such study, or "
    "no findings of it for --out, 4 some of them could not be written, 10 configuration, 11 journal."
)


def why(
    study: Annotated[str, typer.Argument(help="Study Instance UID or accession number.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for objects and pictures of kept findings, shadow ones among them."
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Explain a study: what came, which engine wanted which series, what was sent, what waits."""
    if out is not None:
        require_writable(out)
    settings = open_settings(config)
    journal = open_journal(settings)
    try:
        record = journal.study(study)
        waits = journal.waits(record.study_instance_uid, datetime.now(UTC))
        document = {
            "schema": 1,
            "study": study_document(record),
            "held": journal.held(record.study_instance_uid).get(record.study_instance_uid, []),
            "waiting": [wait_document(wait) for wait in waits],
            **_parts(journal, record.study_instance_uid),
            "analyses": _analyses(journal, record.study_instance_uid, settings),
        }
        if out is not None:
            document["written"] = write_kept(journal, settings, record.study_instance_uid, out)
    finally:
        journal.close()
    if as_json:
        print_json(document)
    else:
        _print(record, document, waits)
        if out is not None:
            print_kept(document["written"], out)
    return EXIT_PARTLY if out is not None and document["written"]["problems"] else EXIT_DONE


def _print(record: StudyRecord, document: Mapping[str, Any], waits: Sequence[Wait]) -> None:
    result_console.print(f"[bold]Study {record.study_instance_uid}[/]")
    result_console.print(f"  state      {record.state.value}", markup=False)
    if record.reason:
        result_console.print(f"  because    {record.reason}", markup=False)
    if document["held"]:
        result_console.print(f"  to do      {_to_release(record, document['held'])}", markup=False)
    if record.shortfall:
        result_console.print(f"  missing    {record.shortfall}", markup=False)
    if record.predecessor:
        result_console.print(f"  version    {record.version}, in place of {record.predecessor}", markup=False)
    result_console.print(
        f"  received   {record.instances} images in {record.series} series from {record.calling_ae}; "
        f"complete by: {record.complete_evidence or 'not yet'}",
        markup=False,
    )
    print_waits(waits)
    _print_evidence(document["evidence"])
    for answer in document["rules"]:
        result_console.print(f"  {'✓' if answer['fits'] else '·'} {answer['text']}", markup=False)
    print_verdicts(document)
    _print_analyses(document["analyses"])
    for name, columns, keys in (
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


def _to_release(record: StudyRecord, destinations: Sequence[str]) -> str:
    """Tell what a person does with results that are held."""
    uid = record.study_instance_uid
    return (
        f"look at the results (`dicomnode why {uid} --out FOLDER`), then `dicomnode release {uid} --by NAME` "
        f"sends them to {', '.join(destinations)}, and `dicomnode retract {uid} --by NAME` ends them"
    )


def _print_analyses(analyses: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            *(one[key] for key in ("engine", "study_version", "mode", "outcome", "found", "runtime")),
            "\n".join(_remark(said) for said in one["remarks"]),
        )
        for one in analyses
    ]
    if rows:
        columns = ("engine", "version", "mode", "outcome", "found", "runtime", "remarks")
        print_table("Analyses", columns, rows)


def _remark(said: Mapping[str, Any]) -> str:
    return f"{said['text']} ({said['code']})" if said["code"] else str(said["text"])


def _print_evidence(evidence: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            one["study_version"],
            one["kind"],
            one["source"] or "this node",
            one["text"],
            "decided" if one["decided"] else "",
        )
        for one in evidence
    ]
    if rows:
        print_table("Evidence of completeness", ("version", "kind", "source", "says", ""), rows)


def _delivered(delivery: DeliveryRecord, taken_back: Mapping[str, str]) -> str:
    """What became of an object at a destination, and whether it was taken back since."""
    said: list[str] = [delivery.outcome]
    if delivery.confirmed_by is not None:
        said[0] += f", confirmed by {delivery.confirmed_by}"
    if delivery.losses:
        said.append(f"it was lost there {delivery.losses} time(s)")
    if delivery.text not in ("", delivery.outcome):
        said.append(delivery.text)
    code = taken_back.get(delivery.sop_instance_uid)
    return ": ".join(said) + (f" (taken back, DCM {code})" if code else "")


def _parts(journal: Journal, study_uid: str) -> dict[str, Any]:
    taken_back = journal.rejected(study_uid)
    return {
        "evidence": [
            {
                "study_version": version,
                "kind": one.kind.value,
                "source": one.source or None,
                "text": one.text,
                "expected": one.expected,
                "here": one.here,
                "unit": one.unit,
                "decided": one.decided,
                "found_at": one.found_at.isoformat(),
            }
            for version, records in sorted(journal.evidence(study_uid).items())
            for one in records
        ],
        "series": series_of(journal.instances(study_uid)),
        "rules": _rules(journal.events(study_uid)),
        "verdicts": [verdict_document(v) for v in journal.verdicts(study_uid)],
        "results": [
            {
                "kind": d.kind,
                "sop_instance_uid": d.sop_instance_uid,
                "destination": d.destination,
                "state": _delivered(d, taken_back),
                "confirmed_by": d.confirmed_by,
            }
            for d in journal.deliveries(study_uid)
        ],
        "what_happened": [
            {"at": e.at.astimezone().isoformat(timespec="seconds"), "what": e.what, "text": e.text}
            for e in journal.events(study_uid)
        ],
    }


def _rules(events: Sequence[EventRecord]) -> list[dict[str, Any]]:
    """What the rules of the site said of the study, when it was dispatched last."""
    asked = [event for event in events if event.what == "rule.asked"]
    return [
        {"rule": event.facts["rule"], "fits": event.facts["fits"], "text": event.text}
        for event in asked
        if event.at == asked[-1].at
    ]


def _analyses(journal: Journal, study_uid: str, settings: Settings) -> list[dict[str, Any]]:
    """What each engine found, also one in shadow, whose results are kept and not sent."""
    from dicomnode.journal import analysis_of
    from dicomnode.serve import engine_of

    modes = {entry.name: entry.mode for entry in settings.engine}
    rows = []
    for record in journal.findings(study_uid):
        row: dict[str, Any] = {
            "engine": analysis_of(record.engine),
            "study_version": record.study_version,
            "mode": modes.get(engine_of(record.engine), "not configured"),
            "path": str(record.path),
        }
        rows.append(row | _what_was_found(record.path))
    return rows


def _what_was_found(path: Path) -> dict[str, Any]:
    from dicomnode.store import load_findings

    try:
        findings = load_findings(path)
    except NodeError as error:
        said = error.fault.text(**error.values)
        return {"series_instance_uid": None, "outcome": said, "found": "", "runtime": "", "remarks": []}
    found = [*(one.label for one in findings.segments), *(one.label for one in findings.regions)]
    found += [f"{one.label} {one.probability:.2f}" for one in findings.classifications]
    return {
        "series_instance_uid": findings.sources[0].series_instance_uid,
        "outcome": findings.outcome.value,
        "found": ", ".join(found),
        "runtime": findings.provenance.runtime,
        "remarks": [{"kind": one.kind.value, "code": one.code, "text": one.text} for one in findings.remarks],
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
