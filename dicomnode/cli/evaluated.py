"""An evaluation for people: warnings first, then what leads, then all figures with their intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.cli.output import console, print_json, print_table, result_console
from dicomnode.faults import EXIT_DONE, MATRIX_WRONG, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate.evaluation import Evaluation
    from dicomnode.evaluate.intervals import Interval
    from dicomnode.evaluate.leading import Headline

_RUNS_SHOWN = 20


def print_evaluation(evaluation: Evaluation) -> None:
    """Print all that a person decides by; evaluation.json and report.html have every case."""
    from dicomnode.evaluate.evaluation import task_of
    from dicomnode.evaluate.figures import counted

    data = evaluation.data
    part = f", part {data.part}" if data.part else ""
    studies = counted(data.studies, "study", "studies")
    result_console.print(
        f"{evaluation.engine.text} on {studies} of {counted(data.patients, 'patient')}{part}.", markup=False
    )
    for warning in evaluation.warnings:
        result_console.print(f"[bold red]![/] {_plain(warning)}")
    leads = [
        (result.output.title, lead.title, lead.text, result.output.truth) for result, lead in evaluation.leads
    ]
    print_table("What leads", ("output", "figure", "value", "the truth is"), leads)
    for result in evaluation.results:
        # Where every case has something to outline there is nothing to say of the others
        shown = [
            one for one in result.intervals if one.figure.value is not None or one is result.intervals[0]
        ]
        rows = [_row(one) for one in shown]
        percent = f"{100 * evaluation.resampling.level:g} %"
        title = f"{result.output.title}: {task_of(result)}"
        print_table(title, ("figure", "value", percent, "patients"), rows)
    _print_runs(evaluation)
    _print_comparison(evaluation)
    for text in (*evaluation.unmatched, *evaluation.remarks):
        result_console.print(f"- {_plain(text)}")


def _row(interval: Interval) -> tuple[str, str, str, int]:
    from dicomnode.evaluate.page.words import interval_text

    return interval.figure.title, interval.figure.text, interval_text(interval), interval.patients


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
    compared = evaluation.comparison
    if compared is None:
        return
    rows = [
        (
            one.output,
            one.difference.second.title,
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
            f"{test.only_first}; McNemar p {_plain(test.p_value.text)}"
        )
    for text in compared.remarks:
        result_console.print(f"- {_plain(text)}")


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


# ── the matrix of others ──


def print_matrix(path: Path, *, as_json: bool) -> int:
    """Judge a confusion matrix, and what is printed beside it. Raises NodeError(MATRIX_WRONG)."""
    from dicomnode.evaluate.documents import figure_document

    told = _judged_matrix(path)
    if as_json:
        print_json(
            {
                "schema": 1,
                "lead": figure_document(told.lead),
                "warnings": list(told.warnings),
                "contradictions": [one.text for one in told.contradictions],
                "then": [figure_document(one) for one in told.then],
            }
        )
        return EXIT_DONE
    first, *rest = told.lines()
    result_console.print(f"[bold]{_plain(first)}[/]")
    alarms = {*told.warnings, *(one.text for one in told.contradictions)}
    for line in rest:
        result_console.print(f"[bold red]![/] {_plain(line)}" if line in alarms else _plain(line))
    console.print("Figures of a matrix alone have no interval: whose the cases are is not known.")
    return EXIT_DONE


def _judged_matrix(path: Path) -> Headline:
    from dicomnode.evaluate import ConfusionMatrix, Printed, classification_report, headline

    try:
        document: Any = json.loads(path.read_bytes())
        matrix = ConfusionMatrix(
            labels=tuple(str(label) for label in document["labels"]),
            counts=document["counts"],
            positive=document.get("positive"),
        )
        printed = [
            Printed(name=str(one["name"]), text=str(one["text"]), label=one.get("label"))
            for one in document.get("printed", [])
        ]
        return headline(classification_report(matrix), printed)
    except OSError as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=error.strerror or error) from error
    except KeyError as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=f"it lacks {error.args[0]!r}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise NodeError(MATRIX_WRONG, path=path, problem=str(error)) from error
