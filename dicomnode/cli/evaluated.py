"""An evaluation for people: warnings first, then what leads, then all figures with their intervals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import Bars, console, print_json, print_table, result_console
from dicomnode.cli.writing import write_file
from dicomnode.faults import EXIT_DONE, EXIT_PARTLY

if TYPE_CHECKING:
    from pathlib import Path

    from dicomnode.evaluate.dataset import DataSetLook
    from dicomnode.evaluate.evaluation import Evaluation
    from dicomnode.evaluate.intervals import Interval
    from dicomnode.evaluate.outcomes import Judged
    from dicomnode.evaluate.running import Evaluated

_RUNS_SHOWN = 20


def print_evaluation(evaluation: Evaluation) -> None:
    """Print all that a person decides by; evaluation.json and report.html have every case."""
    from dicomnode.evaluate.evaluation import task_of
    from dicomnode.evaluate.figures import counted
    from dicomnode.evaluate.page.words import named

    data = evaluation.data
    part = f", part {data.part}" if data.part else ""
    studies = counted(data.studies, "study", "studies")
    result_console.print(
        f"{evaluation.engine.text} on {studies} of {counted(data.patients, 'patient')}{part}.", markup=False
    )
    for warning in evaluation.warnings:
        result_console.print("[bold red]![/]", end=" ")
        result_console.print(warning, markup=False)
    leads = [
        (one.output.title, named(one, one.headline.lead), one.headline.text, one.output.truth)
        for one in evaluation.results
    ]
    print_table("What leads", ("output", "figure", "value", "the truth is"), leads)
    for result in evaluation.results:
        # Where every case has something to outline there is nothing to say of the others
        shown = [
            one for one in result.intervals if one.figure.value is not None or one is result.intervals[0]
        ]
        rows = [_row(result, one) for one in shown]
        percent = f"{100 * evaluation.resampling.level:g} %"
        title = f"{result.output.title}: {task_of(result)}"
        print_table(title, ("figure", "value", percent, "patients"), rows)
    _print_runs(evaluation)
    _print_comparison(evaluation)
    _print_companies(evaluation)
    for text in (*evaluation.unmatched, *evaluation.remarks):
        result_console.print(f"- {text}", markup=False)


def _row(result: Judged, interval: Interval) -> tuple[str, str, str, int]:
    from dicomnode.evaluate.page.words import interval_text, named

    return named(result, interval.figure), interval.figure.text, interval_text(interval), interval.patients


def _print_runs(evaluation: Evaluation) -> None:
    from dicomnode.evaluate.evaluation import RunState

    without = [run for run in evaluation.runs if run.state is not RunState.ANALYSED]
    if not without:
        return
    rows = [
        (run.case.place or run.case.study_instance_uid, str(run.state), run.code or "–", run.reason)
        for run in without[:_RUNS_SHOWN]
    ]
    print_table("Without an answer", ("study", "what came of it", "code", "why"), rows)
    if len(without) > len(rows):
        result_console.print(f"… and {len(without) - len(rows)} more, all in evaluation.json")


def _print_comparison(evaluation: Evaluation) -> None:
    from dicomnode.evaluate.page.words import spoken

    compared = evaluation.comparison
    if compared is None:
        return
    rows = [
        (
            one.output,
            spoken(one.difference.second),
            one.difference.second.text,
            one.difference.first.text,
            one.difference.interval.text,
            str(one.verdict),
        )
        for one in compared.differences
    ]
    columns = ("output", "figure", "this engine", "the other", "difference", "verdict")
    print_table(f"Against {compared.other.engine.text}", columns, rows)
    for one in compared.calls:
        test = one.test
        result_console.print(
            f"{one.output}: right by this engine alone {test.only_second}, by the other alone "
            f"{test.only_first}; McNemar p {test.p_value.text}",
            markup=False,
        )
    for text in compared.remarks:
        result_console.print(f"- {text}", markup=False)


def _print_companies(evaluation: Evaluation) -> None:
    """Each output beside the readers of the data."""
    if not evaluation.companies:
        return
    rows = [
        (one.output, one.measure, one.engine.text, one.among.text, one.difference.text)
        for one in evaluation.companies
    ]
    columns = ("output", "agreement", "engine with readers", "readers with one another", "difference")
    print_table("Beside the readers", columns, rows)
    for one in evaluation.companies:
        result_console.print(f"{one.output}: {one.verdict}", markup=False)
    if len(evaluation.companies) > 1:
        from dicomnode.evaluate.page.company import several_outputs

        result_console.print(f"- {several_outputs(evaluation.companies)}", markup=False)


# ── written, and told ──


def told(evaluation: Evaluation, out: Path | None, *, as_json: bool) -> int:
    """Print the evaluation; return the exit status."""
    if as_json:
        print_json(evaluation.to_document())
    else:
        print_evaluation(evaluation)
        if out is not None:
            console.print(f"The report lies in {out / 'report.html'}", markup=False)
    return _status(evaluation)


def write_evaluation(
    evaluation: Evaluation, evaluated: Evaluated, look: DataSetLook | None, out: Path, progress: Bars
) -> None:
    """Write the page and the JSON, each whole or not at all. Raises NodeError(FILE_NOT_WRITTEN)."""
    from dicomnode.assemble import DecoderLimits, DecoderPool
    from dicomnode.evaluate.page import report_html
    from dicomnode.evaluate.running import worst_pictures

    # The numbers first: whatever comes of the pictures and the page, the work is not lost
    _write_json(out / "evaluation.json", evaluation.to_document())
    with DecoderPool(DecoderLimits()) as decode:
        pictures = list(worst_pictures(evaluated, decode=decode, progress=progress))
    write_file(out / "report.html", report_html(evaluation, pictures, look).encode())
    if look is not None:
        from dicomnode.evaluate.dataset import look_document

        _write_json(out / "dataset.json", look_document(look))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(path, (text + "\n").encode())


def _status(evaluation: Evaluation) -> int:
    from dicomnode.evaluate.evaluation import RunState

    unanswered = len(evaluation.runs) - evaluation.count(RunState.ANALYSED)
    return EXIT_PARTLY if unanswered else EXIT_DONE
