"""What the command prints: results on stdout, the rest on stderr; tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from dicomnode.faults import NodeError

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout (a documented contract).")
]

_UID_SHOWN = 10
_WIDE = 180

# rich leaves out colour by itself where NO_COLOR is set or the output is no terminal
# Nor are sentences: a command that stands in one is copied whole
console = Console(stderr=True, highlight=False, soft_wrap=True)
# Where no person looks at a terminal, lines are not folded: they go into a file or through grep
result_console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout; absent means null, lists are in a stable order."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def failure_document(error: NodeError) -> dict[str, Any]:
    """Give a failure as JSON."""
    text = error.fault.text(**error.values)
    return {"schema": 1, "error": {"code": error.fault.code, "text": text, "remedy": error.remedy}}


def print_failure(error: NodeError, *, as_json: bool = False) -> None:
    """Print what happened and what to do, three lines at most: code and text, then the remedy."""
    text = error.fault.text(**error.values)
    if as_json:
        print_json(failure_document(error))
    console.print(f"[bold red]{error.fault.code}[/] ", end="")
    console.print(text, markup=False)
    console.print(f"        {error.remedy}", markup=False, style="dim")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; wide cells fold, none is cut."""
    named = Text(title, style="table.title") if title else None
    table = Table(title=named, title_justify="left", header_style="bold", expand=False)
    for column in columns:
        number = bool(rows) and all(isinstance(row[len(table.columns)], int | float) for row in rows)
        # Words in the first column and positions stand whole; the long text folds
        whole = not table.columns or column.startswith("x, y, z")
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))  # brackets in labels are no markup
    result_console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def short_uid(uid: str) -> str:
    """The end of a UID, for tables: enough to tell those of one study apart; JSON has the whole."""
    return uid if len(uid) <= _UID_SHOWN + 1 else f"…{uid[-_UID_SHOWN:]}"


class Bars:
    """Progress, a stage a line, on stderr: a `Progress` value for the rooms below.

    On a terminal they are bars; elsewhere a stage is told when it has ended.
    """

    def __init__(self, progress: Progress, *, as_lines: bool) -> None:
        self._progress = progress
        self._as_lines = as_lines
        self._tasks: dict[str, Any] = {}
        self._told: set[str] = set()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far the stage is; of a stage with nothing to do, nothing."""
        if total == 0:
            return
        if self._as_lines and done >= total and stage not in self._told:
            self._told.add(stage)
            console.print(f"{stage}: {done} of {total}", markup=False)
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=max(total, 1))
        self._progress.update(self._tasks[stage], completed=done, total=max(total, 1))


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Bars]:
    """Show progress while the block runs; nothing if `quiet`."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    on_terminal = console.is_terminal and not quiet
    with Progress(*columns, console=console, disable=not on_terminal) as progress:
        yield Bars(progress, as_lines=not quiet and not on_terminal)
