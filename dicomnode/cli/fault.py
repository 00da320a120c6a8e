"""`dicomnode fault CODE`: one row of the table of faults, or all of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from dicomnode.cli.output import JsonOption, print_json, print_table, result_console
from dicomnode.faults import EXIT_MEANINGS, FAULTS, USAGE, Fault, NodeError, Retry

_THE_NODE = {
    Retry.NEVER: "does not try again",
    Retry.BACKOFF: "tries again by itself",
    Retry.NEEDS_PERSON: "waits for a person",
}
EPILOG = "EXIT STATUS: 0 done, 2 there is no such code."


def fault(
    code: Annotated[str | None, typer.Argument(help="A code such as DN-2001; all of them without.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a fault code: what it means, what to do, what the node does by itself."""
    if code is None:
        rows = [FAULTS[key] for key in sorted(FAULTS)]
        if as_json:
            print_json({"schema": 1, "faults": [_document(row) for row in rows]})
        else:
            print_table(
                "", ("code", "what happened", "severity"), [(r.code, r.title_shown, r.severity) for r in rows]
            )
        return
    row = FAULTS.get(code.upper())
    if row is None:
        raise NodeError(USAGE, problem=f"There is no fault {code}; `dicomnode fault` lists them")
    if as_json:
        print_json({"schema": 1, "faults": [_document(row)]})
        return
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("what happened", row.title_shown),
        ("what to do", row.remedy_shown),
        ("the node", _THE_NODE[row.retry]),
        ("exit status", f"{row.exit_code} ({EXIT_MEANINGS[row.exit_code]})"),
        ("DIMSE status", "–" if row.dimse_status is None else f"0x{row.dimse_status:04X}"),
    ):
        table.add_row(name, Text(text))
    result_console.print(f"[bold]{row.code}[/]  {row.severity}")
    result_console.print(table)


def _document(row: Fault) -> dict[str, Any]:
    return {
        "code": row.code,
        "title": row.title,
        "remedy": row.remedy,
        "retry": row.retry.value,
        "severity": row.severity.value,
        "exit_code": row.exit_code,
        "dimse_status": row.dimse_status,
    }


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(fault)
