"""`dicomnode feedback …`: what doctors said of the results, over time and as labels."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli import feedback_answer
from dicomnode.cli.options import ConfigOption, open_journal, open_settings
from dicomnode.cli.output import (
    JsonOption,
    bars,
    console,
    print_failure,
    print_json,
    print_table,
    result_console,
    short_uid,
)
from dicomnode.cli.writing import require_writable
from dicomnode.faults import EXIT_DONE, EXIT_PARTLY, EXPORT_NOT_EMPTY, FEEDBACK_NONE, NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicomnode.evaluate.feedback import Month
    from dicomnode.journal import FeedbackQuery, FeedbackRecord

LIST_EPILOG = "EXIT STATUS: 0 done, 2 usage, 3 there is no feedback, 10 configuration, 11 journal."
EXPORT_EPILOG = (
    "EXIT STATUS: 0 done, 1 --out cannot be written, 2 usage (also: --out is not empty), 3 there is no "
    "feedback, 4 some studies were left out, 10 configuration, 11 journal."
)
_SHOWN = 40

app = typer.Typer(
    help="What doctors say of the results: corrected SEG, edited or verified SR, assessments, yes and no.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

EngineOption = Annotated[str | None, typer.Option("--engine", help="Only of this engine.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", formats=["%Y-%m-%d"], help="Only what came on this day (local) or later."),
]


@app.command("list", epilog=LIST_EPILOG)
def list_(
    engine: EngineOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what became of the findings of each engine: by month, and one by one.

    accepted: left as it was, or said to be right; changed: another outline, number or code; rejected: taken
    away; missed: drawn by somebody, and not found. Of each finding the last word counts in the months.
    """
    from dicomnode.evaluate.feedback import by_month
    from dicomnode.store import labels_kept

    settings = open_settings(config)
    with open_journal(settings) as journal:
        records = journal.feedback(_query(engine, since))
    if not records:
        raise NodeError(FEEDBACK_NONE, of=f" on {engine}" if engine else "")
    kept = labels_kept(settings.store.path)
    months = by_month(records)
    if as_json:
        document = {
            "schema": 1,
            "months": [_month_document(one) for one in months],
            "feedback": [_document(one) for one in records],
            "labels": {
                "path": str(kept.path),
                "studies": kept.studies,
                "objects": kept.objects,
                "bytes": kept.bytes,
            },
        }
        print_json(document)
    else:
        _print(months, records)
        size = f"{kept.objects} objects, {kept.bytes / 1e6:.1f} MB that the store holds already"
        console.print(f"Labels of {kept.studies} studies lie in {kept.path}: {size}.", markup=False)
    return EXIT_DONE


def _query(engine: str | None, since: datetime | None) -> FeedbackQuery:
    from dicomnode.journal import FeedbackQuery

    return FeedbackQuery(engine=engine, since=None if since is None else since.astimezone())


def _print(months: Sequence[Month], records: Sequence[FeedbackRecord]) -> None:
    columns = ("engine", "version", "month", "studies", "accepted", "changed", "rejected", "missed", "Dice")
    rows = [
        (m.engine, m.version, m.month, m.studies, m.accepted, m.changed, m.rejected, m.missed, m.dice)
        for m in months
    ]
    print_table("By month (UTC)", columns, rows)
    shown = [
        (
            one.engine,
            f"{one.at.astimezone():%Y-%m-%d %H:%M}",
            short_uid(one.study_instance_uid),
            one.label,
            one.kind,
            one.dice,
            one.difference_ml,
            "verified" if one.verified else one.recognised_by,
        )
        for one in records[-_SHOWN:]
    ]
    heads = ("engine", "when", "study", "finding", "was", "Dice", "difference ml", "known by")
    print_table("One by one", heads, shown)
    if len(records) > _SHOWN:
        result_console.print(f"The last {_SHOWN} of {len(records)}; --json has all.", markup=False)


def _month_document(one: Month) -> dict[str, Any]:
    return {
        "engine": one.engine,
        "version": one.version,
        "month": one.month,
        "studies": one.studies,
        "accepted": one.accepted,
        "changed": one.changed,
        "rejected": one.rejected,
        "missed": one.missed,
        "median_dice": one.dice,
    }


def _document(one: FeedbackRecord) -> dict[str, Any]:
    from dicomnode.journal import BY_HAND

    return {
        "at": one.at.isoformat(),
        "engine": one.engine,
        "engine_version": one.engine_version,
        "engine_digest": one.engine_digest,
        "study_instance_uid": one.study_instance_uid,
        "study_version": one.study_version,
        "finding": one.label,
        "kind": one.kind,
        "dice": one.dice,
        "difference_ml": one.difference_ml,
        "verified": one.verified,
        "recognised_by": one.recognised_by,
        "our_object": one.object_uid,
        "tracking_uid": one.tracking_uid,
        "their_object": None if one.their_uid == BY_HAND else one.their_uid,
        "their_sop_class_uid": one.their_class_uid or None,
    }


@app.command(epilog=EXPORT_EPILOG)
def export(
    out: Annotated[Path, typer.Option("--out", help="An empty folder, or one that is not there yet.")],
    engine: EngineOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write the studies that doctors have answered, with their answers, as --data of train and evaluate.

    Each study is a folder: its images, and the last SEG, RTSTRUCT or SR on each as label-N.dcm; where nobody
    drew one, our own SEG as it was accepted and rejected. The files are NOT de-identified: names and IDs of
    patients are in them.
    """
    from dicomnode.serve.feedback.export import export_labels, exported_document

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NodeError(EXPORT_NOT_EMPTY, path=out)
    require_writable(out)
    with open_journal(open_settings(config)) as journal, bars(quiet=as_json) as progress:
        exported = export_labels(journal, out, _query(engine, since), progress)
    if as_json:
        print_json({"out": str(out), **exported_document(exported.studies, exported.left_out)})
    else:
        rows = [
            (one.folder, ", ".join(one.engines), one.images, len(one.labels), *one.findings.values())
            for one in exported.studies
        ]
        columns = ("study", "engines", "images", "labels", "accepted", "changed", "rejected", "missed")
        print_table(str(out), columns, rows)
        for error in exported.left_out:
            print_failure(error)
        console.print("These files are not de-identified: they must not leave the hospital.", markup=False)
    return EXIT_PARTLY if exported.left_out else EXIT_DONE


def add_to(parent: typer.Typer) -> None:
    """Add the verbs."""
    feedback_answer.add_to(app)
    parent.add_typer(app, name="feedback")
