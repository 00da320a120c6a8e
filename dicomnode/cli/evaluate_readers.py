"""`dicomnode evaluate --readers`: how far those who labelled a data set agree among themselves."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode import __version__
from dicomnode.cli.output import bars, console, print_json, print_table, result_console
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import EXIT_DONE, READERS_WRONG, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate.intervals import Resampling
    from dicomnode.evaluate.readers import ReadersReport, ReadersResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadersAsked:
    """What is compared: as the options say it."""

    data: tuple[Path, ...]
    labels: Path | None
    columns: tuple[str, ...]
    order: str
    machine_labels: bool


def evaluate_readers(asked: ReadersAsked, resampling: Resampling, out: Path | None, *, as_json: bool) -> int:
    """Compare readers; write readers.html and readers.json with `out`.

    Raises NodeError: READERS_WRONG, READERS_NONE, and as `read_labelled`.
    """
    from dicomnode.evaluate.readers import readers_document

    if out is not None:
        require_writable(out)
    report = _compared(asked, resampling, quiet=as_json)
    document = readers_document(report)
    if out is not None:
        from dicomnode.evaluate.page import readers_html

        write_file(out / "readers.html", readers_html(report).encode())
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        write_file(out / "readers.json", (text + "\n").encode())
    if as_json:
        print_json(document)
        return EXIT_DONE
    _print(report)
    if out is not None:
        console.print(f"The page lies in {out / 'readers.html'}", markup=False)
    return EXIT_DONE


def _compared(asked: ReadersAsked, resampling: Resampling, *, quiet: bool) -> ReadersReport:
    from dicomnode.evaluate.data import numbered, read_labelled
    from dicomnode.evaluate.readers import gather_readings, reader_columns, readers_report
    from dicomnode.evaluate.running import Judging, data_facts

    with bars(quiet=quiet) as progress:
        data = numbered(read_labelled(asked.data, asked.labels, progress))
        columns = reader_columns(asked.columns, data.columns)
        read = gather_readings(
            data, columns, _order(asked.order), machine_labels=asked.machine_labels, progress=progress
        )
        report = readers_report(read, data_facts(data, Judging()), resampling, progress)
    return replace(report, node_version=__version__, made_at=datetime.now(UTC).astimezone())


def _order(text: str) -> tuple[str, ...]:
    """Read labels from the least to the most. Raises NodeError(READERS_WRONG)."""
    labels = tuple(one.strip() for row in csv.reader([text], skipinitialspace=True) for one in row)
    if labels and (len(labels) < 2 or not all(labels) or len(set(labels)) != len(labels)):
        raise NodeError(READERS_WRONG, text=text, problem="--order names two and more different labels")
    return labels


def _print(report: ReadersReport) -> None:
    from dicomnode.evaluate.figures import counted

    data = report.data
    studies = counted(data.studies, "study", "studies")
    result_console.print(f"Readers of {studies} of {counted(data.patients, 'patient')}.", markup=False)
    for warning in report.warnings:
        result_console.print("[bold red]![/]", end=" ")
        result_console.print(warning, markup=False)
    for one in report.results:
        _print_result(one, f"{100 * report.resampling.level:g} %")
    for text in report.remarks:
        result_console.print(f"- {text}", markup=False)


def _print_result(one: ReadersResult, level: str) -> None:
    from dicomnode.evaluate.page.words import interval_text, spoken_of_readers

    groups = [(f"{pair.first}, {pair.second}", pair.cases, pair.intervals) for pair in one.pairs]
    if len(groups) > 1:
        groups.insert(0, ("all", one.by_all, one.together))
    rows = [
        (who, spoken_of_readers(each.figure), each.figure.text, interval_text(each), cases)
        for who, cases, intervals in groups
        for each in intervals
    ]
    print_table(one.readings.title, ("readers", "figure", "value", level, "cases"), rows)
    result_console.print(f"- {one.readings.by}", markup=False)
    for text in one.remarks:
        result_console.print(f"- {text}", markup=False)
